"""Background removal by projection onto dipole fields."""

from qsmbench.method import method
from qsmbench.ops.arrays.array import like, to_numpy
from qsmbench.ops.arrays.fft import Window, convolve
from qsmbench.ops.kernels.dipole import dipole_kernel
from qsmbench.ops.solvers.solve import cgls


@method(produces="local_field", reference="Liu 2011, doi:10.1002/nbm.1670", portable=True)
def pdf(total_field, mask, grid, *, tolerance=2e-4, max_iterations=50, pad=20.0):
    """Projection onto dipole fields: subtract the best fit of sources outside the mask.

    The sources are found by least squares of their field in the mask, with conjugate gradients. They lie in the
    bounding box of the mask and in `pad` around it, even beyond the volume. Cyclic copies of a source also lie outside
    the mask, and their field is harmonic in it, so that the cyclic convolution causes no error.

    Args:
        tolerance: stop when the gradient of the least squares has fallen to this fraction of its start.
        max_iterations: largest number of iterations; stopping early regularises the sources.
        pad: distance between the mask and its cyclic copies, for sources, mm along each axis.

    Reference:
        Liu 2011, doi:10.1002/nbm.1670.
    """
    window = Window.around(mask, grid, pad)
    residual = window.take(total_field, mask)
    inside = like(window.take(to_numpy(mask)), residual)
    outside = 1 - inside
    kernel = like(dipole_kernel(grid, window.shape), residual)

    def field_of(sources):
        field = convolve(sources, kernel)
        field *= inside
        return field

    def correlate(field):
        sources = convolve(field, kernel)
        sources *= outside
        return sources

    cgls(field_of, correlate, residual, tolerance, max_iterations)
    return window.put(residual, mask)
