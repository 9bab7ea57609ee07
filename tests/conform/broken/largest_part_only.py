"""It reconstructs one part of the mask."""

from scipy.ndimage import label

from qsmbench.method import method
from qsmbench.methods.inversion.tkd import tkd

FAILS = ("two parts",)


@method(produces="chi", reference="deliberately broken")
def largest_part_only(local_field, mask, grid):
    """It reconstructs one part of the mask."""
    parts, _ = label(mask)
    return tkd(local_field, parts == 1, grid)
