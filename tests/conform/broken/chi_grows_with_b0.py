"""It takes the strength of B0 for a factor of a field in ppm."""

from qsmbench.method import method
from qsmbench.methods.inversion.tkd import tkd

FAILS = ("b0 strength",)


@method(produces="chi", reference="deliberately broken")
def chi_grows_with_b0(local_field, mask, grid, b0):
    """It takes the strength of B0 for a factor of a field in ppm."""
    return tkd(local_field * b0 / 3, mask, grid)
