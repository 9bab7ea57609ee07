"""Its kernel has the voxel sizes of the first and the last axis swapped."""

from qsmbench.grid import Grid
from qsmbench.method import method
from qsmbench.methods.inversion.tkd import tkd

FAILS = ("anisotropic",)


@method(produces="chi", reference="deliberately broken")
def kernel_transposed(local_field, mask, grid):
    """Its kernel has the voxel sizes of the first and the last axis swapped."""
    return tkd(local_field, mask, Grid(grid.shape, grid.voxel_size[::-1], grid.b0_dir))
