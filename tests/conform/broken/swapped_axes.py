"""It takes volumes as z, y, x, but voxel size and B0 as x, y, z."""

from qsmbench.grid import Grid
from qsmbench.method import method
from qsmbench.methods.inversion.tkd import tkd

FAILS = ("truth", "b0 oblique")


@method(produces="chi", reference="deliberately broken")
def swapped_axes(local_field, mask, grid):
    """It takes volumes as z, y, x, but voxel size and B0 as x, y, z."""
    as_read = Grid(mask.shape[::-1], grid.voxel_size, grid.b0_dir)
    return tkd(local_field.T, mask.T, as_read).T
