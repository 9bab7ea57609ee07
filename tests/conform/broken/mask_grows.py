"""Its mask is larger than the one it was given."""

from scipy.ndimage import binary_dilation

from qsmbench.method import method
from qsmbench.methods.background.vsharp import vsharp

FAILS = ("zero outside",)


@method(produces=("local_field", "mask"), reference="deliberately broken")
def mask_grows(total_field, mask, grid):
    """Its mask is larger than the one it was given."""
    local, _ = vsharp(total_field, mask, grid)
    return local, binary_dilation(mask)
