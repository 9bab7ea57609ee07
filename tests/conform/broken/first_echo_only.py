"""It takes the phase of the first echo to be zero at TE = 0."""

from qsmbench.method import method
from qsmbench.units import rad_per_ppm

FAILS = ("phase offset",)


@method(produces="total_field", reference="deliberately broken")
def first_echo_only(unwrapped, mask, te, b0):
    """It takes the phase of the first echo to be zero at TE = 0."""
    return unwrapped[..., 0] / rad_per_ppm(b0, te[0]) * mask
