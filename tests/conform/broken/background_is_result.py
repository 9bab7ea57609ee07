"""It gives the background, and not what is left."""

from qsmbench.method import method
from qsmbench.methods.background.vsharp import vsharp

FAILS = ("truth",)


@method(produces=("local_field", "mask"), reference="deliberately broken")
def background_is_result(total_field, mask, grid):
    """It gives the background, and not what is left."""
    local, inside = vsharp(total_field, mask, grid)
    return (total_field - local) * inside, inside
