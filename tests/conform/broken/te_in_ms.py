"""It takes echo times in milliseconds."""

from qsmbench.method import method
from qsmbench.methods.field.fit import fit

FAILS = ("units",)


@method(produces="total_field", reference="deliberately broken")
def te_in_ms(unwrapped, magnitude, mask, grid, te, b0):
    """It takes echo times in milliseconds."""
    return fit(unwrapped, magnitude, mask, grid, te * 1e-3, b0)[0]
