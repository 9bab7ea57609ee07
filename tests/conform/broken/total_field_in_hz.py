"""Its field is in Hz."""

from qsmbench.method import method
from qsmbench.methods.field.fit import fit
from qsmbench.units import hz_per_ppm

FAILS = ("units",)


@method(produces="total_field", reference="deliberately broken")
def total_field_in_hz(unwrapped, magnitude, mask, grid, te, b0):
    """Its field is in Hz."""
    return fit(unwrapped, magnitude, mask, grid, te, b0)[0] * hz_per_ppm(b0)
