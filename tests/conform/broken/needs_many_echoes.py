"""It looks at the fourth echo, there or not."""

from qsmbench.method import method
from qsmbench.units import rad_per_ppm

FAILS = ("one echo",)


@method(produces="total_field", reference="deliberately broken")
def needs_many_echoes(unwrapped, mask, te, b0):
    """It looks at the fourth echo, there or not."""
    return unwrapped[..., 3] / rad_per_ppm(b0, te[3]) * mask
