"""It takes B0 to be along z."""

from qsmbench.grid import Grid
from qsmbench.method import method
from qsmbench.methods.inversion.tkd import tkd

FAILS = ("b0 oblique", "b0 turned")


@method(produces="chi", reference="deliberately broken")
def b0_direction_ignored(local_field, mask, grid):
    """It takes B0 to be along z."""
    return tkd(local_field, mask, Grid(grid.shape, grid.voxel_size))
