"""Its χ is negative where it should be positive."""

from qsmbench.method import method
from qsmbench.methods.inversion.tkd import tkd

FAILS = ("sign",)


@method(produces="chi", reference="deliberately broken")
def wrong_sign(local_field, mask, grid):
    """Its χ is negative where it should be positive."""
    return -tkd(local_field, mask, grid)
