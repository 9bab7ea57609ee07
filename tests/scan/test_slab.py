"""Scans on a grid of their own: where it lies, and the field of what lies beyond it."""

import numpy as np
import pytest
from analytic import sphere_field

from qsmbench.grid import Grid
from qsmbench.phantom.load import load
from qsmbench.scan import slab
from qsmbench.scan.field import field_of
from qsmbench.scan.geometry import GridChoice, centre_of, rotation_matrix, rotation_of, scan_geometry
from qsmbench.scan.slab import properties_and_field

HEAD = """
kind: shapes
field_of_view: {lower: [-25, -30, -28], upper: [25, 30, 28]}
voxel_size: 0.5
supersampling: 1
ambient_chi: 9.4
b0_dir: [0.3, -0.5, 0.81240384]
mask: {shape: ellipsoid, radii: [18, 23, 21]}
layers:
  - {region: scalp, shape: {shape: ellipsoid, radii: [24, 29, 27]}, material: {chi: 0}}
  - {region: bone, shape: {shape: ellipsoid, radii: [22, 27, 25]}, material: {chi: -2, pd: 0.1}}
  - {region: brain, shape: {shape: ellipsoid, radii: [20, 25, 23]}, material: {chi: -0.02}}
  - {region: sinus, shape: {shape: ellipsoid, center: [2, 12, -18], radii: [5, 4, 6]}, material: {chi: 9.4, pd: 0}}
  - {region: vein, shape: {shape: tube, points: [[-12, 0, -16, 1], [10, 4, 18, 1]]}, material: {chi: 0.4}}
"""


def test_slab_has_the_field_of_the_whole_computed_finely(tmp_path):
    """Two levels against one convolution of all of it on the slab's voxels: a skull full of brain, with a sinus."""
    (tmp_path / "skull.yaml").write_text(HEAD)
    phantom = load(str(tmp_path / "skull.yaml"))
    whole = phantom.grid()
    box = (slice(10, 80), slice(10, 90), slice(40, 64))
    affine = whole.affine.copy()
    affine[:3, 3] += [b.start / 2 for b in box]
    part = Grid.from_affine(tuple(b.stop - b.start for b in box), affine, whole.b0_dir)
    expected, true = properties_and_field(phantom, whole, 3.0)
    properties, field = properties_and_field(phantom, part, 3.0)
    assert np.array_equal(properties.chi, expected.chi[box])
    assert np.array_equal(properties.labels, expected.labels[box])
    brain = expected.mask[box]
    error = (field - true[box])[brain]
    spread = true[box][brain].std()
    # 0.15 % for a head three times this size: the error grows with the size of coarse voxels in it
    assert np.sqrt(np.mean(error**2)) < 0.01 * spread
    assert np.abs(error).max() < 0.05 * spread


def test_sphere_beyond_the_slab():
    """Outside of a sphere its field is in closed form, wherever the slab lies and however it is turned."""
    phantom = load("sphere", {"radius": 12})
    choice = GridChoice(voxel_size=1, field_of_view=(20, 16, 10), center=(5, -4, 28), rotate=(20, -30, 40))
    grid = scan_geometry(phantom.grid(), phantom.supersampling, choice).grid
    _, field = properties_and_field(phantom, grid, 3.0)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), -1)
    x, y, z = np.moveaxis(index @ grid.affine[:3, :3].T + grid.affine[:3, 3], -1, 0)
    r2 = x * x + y * y + z * z
    expected = 12**3 / 3 * (3 * z * z / r2 - 1) / r2**1.5
    np.testing.assert_allclose(field, expected, atol=0.005 * np.abs(expected).max())


def test_an_oblique_whole_is_the_axial_one_turned():
    """A sphere knows no axes: on a turned grid its field is the closed form with B0 turned."""
    phantom = load("sphere", {"voxel_size": 2})
    where = scan_geometry(phantom.grid(), phantom.supersampling, GridChoice(rotate=(0, 25, 10)))
    grid = where.grid
    np.testing.assert_allclose(grid.b0_dir, rotation_matrix((0, 25, 10)).T @ [0, 0, 1], atol=1e-12)
    properties, field = properties_and_field(phantom, grid, 3.0)
    expected, r = sphere_field(grid, 16)
    away = np.abs(r - 16) > 5
    assert np.abs(field - expected)[away].max() < 0.01
    assert properties.chi.sum() * grid.voxel_volume == pytest.approx(4 / 3 * np.pi * 16**3, rel=0.01)


def test_cubics_are_refined_exactly():
    """A cubic polynomial along each axis comes out as it is."""
    coarse = Grid((9, 8, 10), (4, 6, 4))
    box = (slice(4, 14), slice(7, 16), slice(4, 12))

    def cubic(x, y, z):
        return (x**3 - 20 * x**2 + y * x) * (1 + 0.1 * y**2) + z**3 / 10

    def at(n, step):
        return (np.arange(n) + 0.5) * step

    def values(x, y, z):
        return cubic(x[:, None, None], y[None, :, None], z[None, None, :]).astype(np.float32)

    given = values(at(9, 4.0), at(8, 6.0), at(10, 4.0))
    fine = values(*(at(n * s, 2.0)[b] for n, s, b in zip(coarse.shape, (2, 3, 2), box, strict=True)))
    np.testing.assert_allclose(slab._refine(given, (2, 3, 2), box), fine, rtol=1e-4, atol=1)


def test_without_a_choice_the_grid_is_the_phantoms():
    phantom = load("head", {"voxel_size": 3})
    assert scan_geometry(phantom.grid(), phantom.supersampling, None).grid == phantom.grid()
    chosen = scan_geometry(phantom.grid(), phantom.supersampling, GridChoice(voxel_size=3)).grid
    assert chosen.shape == phantom.grid().shape
    np.testing.assert_allclose(chosen.affine, phantom.grid().affine, atol=1e-9)


def test_a_chosen_grid_lies_where_it_was_asked_for():
    phantom = load("head")
    choice = GridChoice(voxel_size=(0.9, 0.9, 5), field_of_view=(230, 180, 120), center=(0, -10, 30), rotate=(15, 0, 0))
    where = scan_geometry(phantom.grid(), phantom.supersampling, choice, gap=1)
    assert where.grid.shape == (256, 200, 20)
    np.testing.assert_allclose(where.grid.voxel_size, (0.9, 0.9, 6))
    assert where.thickness == 5
    np.testing.assert_allclose(centre_of(where.grid), (0, -10, 30), atol=1e-9)
    np.testing.assert_allclose(rotation_of(where.grid)[:, 2], [0, -np.sin(np.pi / 12), np.cos(np.pi / 12)], atol=1e-9)


def test_turning_the_head_turns_b0_in_its_grid():
    """The field of a turned head on its own grid is that of an unturned one under a turned B0."""
    phantom = load("cylinder", {"voxel_size": 3})
    own = phantom.grid()
    where = scan_geometry(phantom.grid(), phantom.supersampling, None, head=(30, 0, 0))
    assert where.grid.shape == own.shape
    np.testing.assert_allclose(where.grid.affine, own.affine, atol=1e-9)
    expected = rotation_matrix((30, 0, 0)).T @ np.array(own.b0_dir)
    np.testing.assert_allclose(where.grid.b0_dir, expected, atol=1e-12)
    chi = phantom.render(own, 3.0).chi
    _, field = properties_and_field(phantom, where.grid, 3.0)
    ambient = phantom.description.ambient_chi
    turned = Grid(own.shape, own.voxel_size, tuple(expected))
    np.testing.assert_allclose(field, field_of(chi, turned, ambient=ambient), atol=1e-6)
