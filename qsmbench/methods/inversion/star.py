"""Streak reduction in two levels: strong sources first, then the remaining field."""

from qsmbench.method import method
from qsmbench.methods.inversion.tv import tv
from qsmbench.ops.arrays.array import like, masked, namespace
from qsmbench.ops.arrays.fft import Window, convolve
from qsmbench.ops.kernels.dipole import dipole_kernel
from qsmbench.ops.solvers.reference import subtract_mask_mean


@method(produces="chi", reference="Wei 2015, doi:10.1002/nbm.3383", portable=True)
def star(local_field, mask, grid, *, source=0.3, strong=2e-3, weak=1e-4, pad=30.0):
    """Two-level streak reduction: strong sources with strong regularisation, the rest with weak regularisation.

    The first level, `tv` with a large λ, gives strong sources without streaks. Their field is subtracted. The second
    level, with a small λ, recovers the weak contrast that the first has smoothed. It excludes the strong sources, which
    have little signal, and whose field errors cause the streaks.

    Args:
        source: |χ| in the first level above which a voxel belongs to a strong source, ppm.
        strong: λ of the first level, ppm·mm.
        weak: λ of the second level, ppm·mm.

    Reference:
        Wei 2015, doi:10.1002/nbm.3383.
    """
    chi = tv(local_field, mask, grid, regularisation=strong, pad=pad)
    sources = abs(chi) > source
    chi = masked(chi, sources)
    window = Window.around(mask, grid, pad)
    inner = window.take(chi)
    field = window.put(convolve(inner, like(dipole_kernel(grid, window.shape), inner)), mask)
    rest = mask & ~sources
    chi += tv(local_field - field, rest if namespace(rest).any(rest) else mask, grid, regularisation=weak, pad=pad)
    return subtract_mask_mean(chi, mask)
