"""Its χ is negative where it should be positive."""

from qsmbench.methods.inversion.tkd import tkd
from qsmbench.registry import method

FAILS = ("sign",)


@method(produces="chi", reference="deliberately broken")
def wrong_sign(local_field, mask, grid):
    """Its χ is negative where it should be positive."""
    return -tkd(local_field, mask, grid)
