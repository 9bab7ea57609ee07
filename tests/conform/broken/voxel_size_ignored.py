"""It takes all voxels for cubes."""

from qsmbench.grid import Grid
from qsmbench.method import method
from qsmbench.methods.inversion.tkd import tkd

FAILS = ("anisotropic",)


@method(produces="chi", reference="deliberately broken")
def voxel_size_ignored(local_field, mask, grid):
    """It takes all voxels for cubes."""
    return tkd(local_field, mask, Grid(grid.shape, (1.0, 1.0, 1.0), grid.b0_dir))
