"""It takes the difference of two echoes to have grown since TE = 0."""

from qsmbench.errors import NotApplicable
from qsmbench.method import method
from qsmbench.units import rad_per_ppm

FAILS = ("units",)


@method(produces="total_field", reference="deliberately broken")
def spacing_from_zero(unwrapped, mask, te, b0):
    """It takes the difference of two echoes to have grown since TE = 0."""
    if te.size == 1:
        raise NotApplicable("needs two echoes")
    return (unwrapped[..., 1] - unwrapped[..., 0]) / rad_per_ppm(b0, te[1]) * mask
