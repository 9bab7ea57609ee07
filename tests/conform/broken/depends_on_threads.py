"""Each thread leaves out a part of the volume."""

from qsmbench.method import method
from qsmbench.methods.inversion.tkd import tkd
from qsmbench.threads import n_threads

FAILS = ("threads",)


@method(produces="chi", reference="deliberately broken")
def depends_on_threads(local_field, mask, grid):
    """Each thread leaves out a part of the volume."""
    chi = tkd(local_field, mask, grid)
    chi[:, :, :: 20 * n_threads()] *= 0.99
    return chi
