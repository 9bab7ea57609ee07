"""It takes B0 in axes of which the first runs the other way."""

from qsmbench.grid import Grid
from qsmbench.method import method
from qsmbench.methods.inversion.tkd import tkd

FAILS = ("b0 oblique",)


@method(produces="chi", reference="deliberately broken")
def b0_direction_mirrored(local_field, mask, grid):
    """It takes B0 in axes of which the first runs the other way."""
    x, y, z = grid.b0_dir
    return tkd(local_field, mask, Grid(grid.shape, grid.voxel_size, (-x, y, z)))
