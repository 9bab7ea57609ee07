"""Unwrapping and background removal in one step, from the Laplacian of the phase."""

import numpy as np

from qsmbench.errors import NotApplicable
from qsmbench.method import method
from qsmbench.ops.arrays.algebra import mean_inside
from qsmbench.ops.arrays.array import like, masked, namespace
from qsmbench.ops.arrays.difference import laplacian_spectrum
from qsmbench.ops.arrays.fft import Window, convolve
from qsmbench.ops.kernels.sphere import smv_kernel
from qsmbench.ops.masks.morphology import without_boundary
from qsmbench.ops.phase.wrapped_phase import field_laplacian
from qsmbench.ops.solvers.solve import cg
from qsmbench.units import rad_per_ppm


@method(produces="local_field", reference="Li 2014, doi:10.1002/nbm.3056", portable=True)
def harperella(phase, magnitude, mask, grid, te, b0, *, radius=10.0, tolerance=0.03, max_iterations=40, pad=20.0):
    """HARPERELLA: find the Laplacian outside the mask that removes the background, and invert the Laplacian.

    Inside, the Laplacian of the wrapped phase is that of the local field, since the background is harmonic. Outside,
    the Laplacian is chosen so that the mean over a ball, of the Laplacian inside and outside, is uniform: equal to its
    average over the mask. That least-squares problem is solved by conjugate gradients; stopping early keeps the
    Laplacian outside small. The local field is the solution of Poisson's equation in the padded, cyclic box.

    Differences:
        The publication processes each echo separately. The Laplacian is linear in the field, so here it is fitted over
        the echoes.

    Args:
        tolerance: stop when the gradient of the least squares has fallen to this fraction of its start.
        pad: margin for sources around the bounding box of the mask, mm along each axis.

    Raises:
        NotApplicable: no voxel of the mask has all six neighbours inside the mask, so that no Laplacian is known.

    Reference:
        Li 2014, doi:10.1002/nbm.3056.
    """
    window = Window.around(mask, grid, pad=max(pad, *grid.voxel_size))
    inside = without_boundary(window.take_mask(mask))
    if not namespace(inside).any(inside):
        raise NotApplicable("no voxel of the mask has all six neighbours inside the mask")
    mean = like(smv_kernel(grid, window.shape, max(radius, *grid.voxel_size)), inside)
    known = masked(field_laplacian(phase, magnitude, te, mask, window, mean, grid.voxel_size), inside)
    known += _laplacian_outside(known, inside, mean, tolerance, max_iterations)
    return window.put(convolve(known, like(_inverse_laplacian(grid, window.shape) / rad_per_ppm(b0, 1.0), known)), mask)


def _laplacian_outside(known, inside, mean, tolerance, max_iterations):
    """Minimise ‖S·x + S·known − level‖² over x, zero inside, S being the mean over a ball."""
    outside = ~inside
    smooth = convolve(known, mean)
    right = masked(convolve(mean_inside(smooth, inside) - smooth, mean), outside)
    twice = mean**2
    return cg(lambda x: masked(convolve(x, twice), outside), right, tolerance, max_iterations)


def _inverse_laplacian(grid, shape):
    """Compute the spectrum of the inverse Laplacian; the mean of the box is undetermined, and left at zero."""
    spectrum = -laplacian_spectrum(grid, shape)
    spectrum[0, 0, 0] = np.inf
    return 1 / spectrum
