"""It takes phase to fall with the field."""

from qsmbench.method import method
from qsmbench.methods.field.fit import fit

FAILS = ("sign",)


@method(produces="total_field", reference="deliberately broken")
def phase_conjugated(unwrapped, magnitude, mask, grid, te, b0):
    """It takes phase to fall with the field."""
    return fit(-unwrapped, magnitude, mask, grid, te, b0)[0]
