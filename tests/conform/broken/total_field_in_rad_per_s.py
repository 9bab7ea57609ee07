"""Its field is an angular frequency."""

from qsmbench.method import method
from qsmbench.methods.field.fit import fit
from qsmbench.units import rad_per_ppm

FAILS = ("units",)


@method(produces="total_field", reference="deliberately broken")
def total_field_in_rad_per_s(unwrapped, magnitude, mask, grid, te, b0):
    """Its field is an angular frequency."""
    return fit(unwrapped, magnitude, mask, grid, te, b0)[0] * rad_per_ppm(b0, 1.0)
