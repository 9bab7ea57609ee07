"""Its local field is in Hz."""

from qsmbench.method import method
from qsmbench.methods.background.vsharp import vsharp
from qsmbench.units import hz_per_ppm

FAILS = ("units",)


@method(produces=("local_field", "mask"), reference="deliberately broken")
def background_in_hz(total_field, mask, grid, b0):
    """Its local field is in Hz."""
    local, inside = vsharp(total_field, mask, grid)
    return local * hz_per_ppm(b0), inside
