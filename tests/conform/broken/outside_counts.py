"""Its result is masked, but what it computes from is not."""

from qsmbench.method import method
from qsmbench.methods.inversion.tkd import tkd

FAILS = ("outside",)


@method(produces="chi", reference="deliberately broken")
def outside_counts(local_field, mask, grid):
    """Its result is masked, but what it computes from is not."""
    return tkd(local_field, mask | True, grid) * mask
