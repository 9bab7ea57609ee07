"""It masks its input in place."""

from qsmbench.method import method
from qsmbench.methods.inversion.tkd import tkd

FAILS = ("inputs unchanged",)


@method(produces="chi", reference="deliberately broken")
def writes_to_input(local_field, mask, grid):
    """It masks its input in place."""
    local_field -= 0.1 * mask
    return tkd(local_field, mask, grid)
