"""Planes: the right slice, turned the right way, whatever the axes of the grid."""

import numpy as np
import pytest

from qsmbench.grid import Grid
from qsmbench.view.planes import Plane, coordinates, location, mask_box, orthogonal

BOX = ((-8, 6), (-5, 9), (-7, 7))
AXES = [((1, 1, 1), (0, 1, 2)), ((-1, 1, -1), (2, 0, 1)), ((1, -1, 1), (1, 2, 0)), ((-1, -1, -1), (0, 1, 2))]


def places(signs, order, shape=(16, 16, 16)):
    """A grid of 1 mm whose axes run in `order` with `signs`, and where its voxels lie in the world."""
    affine = np.zeros((4, 4))
    for axis, (direction, sign) in enumerate(zip(order, signs, strict=True)):
        affine[direction, axis] = sign
    affine[3, 3] = 1
    affine[:3, 3] = np.array([0.5, 1.5, -0.5]) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    index = np.indices(shape).reshape(3, -1)
    return Grid.from_affine(shape, affine), (affine[:3, :3] @ index + affine[:3, 3:]).reshape(3, *shape)


@pytest.mark.parametrize(("signs", "order"), AXES)
@pytest.mark.parametrize("name", ["axial", "coronal", "sagittal"])
def test_a_cut_shows_the_slice_in_radiological_convention(name, signs, order):
    grid, world = places(signs, order)
    plane = Plane(name, 3.2, BOX)
    across, up = (axis for axis in range(3) if axis != plane.normal)
    columns, rows, depth = (plane.cut(world[axis], grid) for axis in (across, up, plane.normal))
    assert set(depth.ravel()) == {3.0}
    assert (np.diff(columns, axis=1) == -1).all() and (np.diff(rows, axis=0) == -1).all()
    for found, axis in ((columns, across), (rows, up)):
        assert BOX[axis][0] < found.min() < BOX[axis][0] + 1.1 and BOX[axis][1] - 1.1 < found.max() < BOX[axis][1]


@pytest.mark.parametrize(("signs", "order"), AXES)
def test_voxels_and_boxes_lie_where_the_affine_says(signs, order):
    grid, world = places(signs, order)
    assert location((2, 5, 11), grid) == tuple(world[:, 2, 5, 11])
    mask = (np.abs(world - np.array([1, -2, 3]).reshape(3, 1, 1, 1)) < 2.5).all(axis=0)
    assert mask_box(mask, grid) == ((-1.5, 3.5), (-4.5, 0.5), (0.5, 5.5))
    assert mask_box(mask, grid, rim=100) == tuple((c[0] - 0.5, c[-1] + 0.5) for c in coordinates(grid))


def test_a_plane_has_the_grid_of_its_box():
    plane = Plane("coronal", 4.0, BOX)
    grid = plane.grid(0.5, 2.0, 3)
    assert (grid.shape, grid.voxel_size) == ((28, 3, 28), (0.5, 2.0, 0.5))
    x, y, z = coordinates(grid)
    assert (x[0], y.tolist(), z[-1]) == (-7.75, [2.0, 4.0, 6.0], 6.75)
    assert plane.cut(np.ones(grid.shape), grid).shape == (28, 28)
    assert (plane.extent, plane.title) == ((14, 14), "coronal, y = 4 mm")


def test_positions_are_shares_from_the_upper_left():
    axial, coronal, sagittal = orthogonal((1, 2, 3), BOX)
    assert axial.position((6, 9, 0)) == (0, 0) and axial.position((-8, -5, 0)) == (1, 1)
    assert coronal.position((-1, 0, 0)) == (0.5, 0.5)
    assert sagittal.position((0, 9, -7)) == (0, 1)
    assert [p.at for p in (axial, coronal, sagittal)] == [3, 2, 1]
