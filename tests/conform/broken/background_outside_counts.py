"""Its means reach out of the mask."""

from qsmbench.method import method
from qsmbench.methods.background.vsharp import vsharp

FAILS = ("outside",)


@method(produces="local_field", reference="deliberately broken")
def background_outside_counts(total_field, mask, grid):
    """Its means reach out of the mask."""
    local, _ = vsharp(total_field, mask | True, grid)
    return local * mask
