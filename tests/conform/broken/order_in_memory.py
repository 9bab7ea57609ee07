"""It takes values in the order in which they lie in memory."""

from qsmbench.method import method
from qsmbench.methods.inversion.tkd import tkd

FAILS = ("scaled integers",)


@method(produces="chi", reference="deliberately broken")
def order_in_memory(local_field, mask, grid):
    """It takes values in the order in which they lie in memory."""
    as_it_lies = local_field.ravel(order="K").reshape(mask.shape)
    return tkd(as_it_lies, mask, grid)
