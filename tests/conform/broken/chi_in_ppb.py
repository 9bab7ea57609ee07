"""Its χ is in ppb."""

from qsmbench.method import method
from qsmbench.methods.inversion.tkd import tkd

FAILS = ("units",)


@method(produces="chi", reference="deliberately broken")
def chi_in_ppb(local_field, mask, grid):
    """Its χ is in ppb."""
    return 1000 * tkd(local_field, mask, grid)
