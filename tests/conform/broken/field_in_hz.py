"""It takes a field in Hz."""

from qsmbench.method import method
from qsmbench.methods.inversion.tkd import tkd
from qsmbench.units import hz_per_ppm

FAILS = ("units",)


@method(produces="chi", reference="deliberately broken")
def field_in_hz(local_field, mask, grid, b0):
    """It takes a field in Hz."""
    return tkd(local_field / hz_per_ppm(b0), mask, grid)
