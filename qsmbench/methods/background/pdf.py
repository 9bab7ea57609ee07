"""Background removal by projection onto dipole fields."""

from qsmbench.method import method
from qsmbench.ops.arrays.array import like, to_numpy
from qsmbench.ops.arrays.fft import Window, convolve
from qsmbench.ops.kernels.dipole import dipole_kernel
from qsmbench.ops.solvers.solve import nu_method


@method(produces="local_field", reference="Liu 2011, doi:10.1002/nbm.1670", portable=True)
def pdf(total_field, mask, grid, *, n_iterations=80, pad=20.0):
    """Projection onto dipole fields: subtract the best fit of sources outside the mask.

    The sources are found by least squares of their field in the mask, iteratively. They lie in the bounding box of the
    mask and in `pad` around it, even beyond the volume. Cyclic copies of a source also lie outside the mask, and their
    field is harmonic in it, so that the cyclic convolution causes no error.

    Differences:
        The publication uses conjugate gradients, whose later steps depend on rounding, and so on the processor.
        The ν-method has fixed steps, so that the local field is linear in the total field.

    Args:
        n_iterations: number of iterations; stopping early regularises the sources.
        pad: distance between the mask and its cyclic copies, for sources, mm along each axis.

    Reference:
        Liu 2011, doi:10.1002/nbm.1670; ν-method: Hanke 1991, doi:10.1007/BF01385727.
    """
    window = Window.around(mask, grid, pad)
    field = window.take(total_field, mask)
    inside = like(window.take(to_numpy(mask)), field)
    outside = 1 - inside
    dipole = dipole_kernel(grid, window.shape)
    kernel = like(dipole, field)

    def field_of_sources_of(field):
        sources = convolve(field, kernel)
        sources *= outside
        field = convolve(sources, kernel)
        field *= inside
        return field

    # A constant added to D changes nothing of the field in the mask of sources outside. So the norm of that operator is
    # at most half of the range of D.
    bound = ((float(dipole.max()) - float(dipole.min())) / 2) ** 2
    return window.put(nu_method(field_of_sources_of, field, bound, n_iterations), mask)
