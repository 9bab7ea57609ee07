"""Voxel grids."""

import numpy as np

from qsmbench.grid import Grid


def test_a_part_has_its_voxels_where_they_were():
    """Also beyond the grid, and on an oblique one."""
    affine = np.diag([1.0, 2.0, 3.0, 1.0])
    affine[:2, :2] = affine[:2, :2] @ np.array([[0.8, -0.6], [0.6, 0.8]])
    affine[:3, 3] = 5, -7, 11
    grid = Grid((8, 9, 10), (1.0, 2.0, 3.0), (0.0, 0.6, 0.8), affine)
    part = grid.part([-2, 3, 4], (12, 2, 5))
    assert (part.shape, part.voxel_size, part.b0_dir) == ((12, 2, 5), grid.voxel_size, grid.b0_dir)
    index = np.array([7, 1, 2])
    here, there = (g.affine @ [*i, 1] for g, i in ((part, index), (grid, index + np.array([-2, 3, 4]))))
    np.testing.assert_allclose(here, there)
