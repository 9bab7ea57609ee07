"""Its last echo comes first."""

from qsmbench.method import method
from qsmbench.methods.unwrap.romeo import romeo

FAILS = ("echo order",)


@method(produces="unwrapped", reference="deliberately broken")
def echoes_reversed(phase, magnitude, mask, grid, te):
    """Its last echo comes first."""
    return romeo(phase, magnitude, mask, grid, te)[..., ::-1]
