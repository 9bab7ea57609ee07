"""It takes any scan to be at 3 T."""

from qsmbench.method import method
from qsmbench.methods.field.fit import fit

FAILS = ("b0 strength",)


@method(produces="total_field", reference="deliberately broken")
def b0_ignored(unwrapped, magnitude, mask, grid, te):
    """It takes any scan to be at 3 T."""
    return fit(unwrapped, magnitude, mask, grid, te, 3.0)[0]
