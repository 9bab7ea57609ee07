"""It takes no notice of the mask."""

from qsmbench.method import method
from qsmbench.methods.inversion.tkd import tkd

FAILS = ("zero outside", "outside")


@method(produces="chi", reference="deliberately broken")
def mask_ignored(local_field, mask, grid):
    """It takes no notice of the mask."""
    return tkd(local_field, mask | True, grid)
