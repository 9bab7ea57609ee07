"""Unwrapping and background removal in one, from the Laplacian of the phase."""

import numpy as np

from qsmbench.errors import NotApplicable
from qsmbench.method import method
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
    """HARPERELLA: find the Laplacian outside the mask that leaves no background, and invert the whole.

    Inside, the Laplacian of the phase is known, whether or not the phase is wrapped, and only the local field has any.
    Outside, the one is sought whose mean over a ball, together with the inside's, is the same everywhere: that mean
    over the mask. Conjugate gradients on the least squares; stopping early keeps the Laplacian outside small. The local
    field is the solution of Poisson's equation in the padded, cyclic box.

    Li 2014 treat each echo by itself. The Laplacian is linear in the field, so here it is fitted over the echoes first.

    Args:
        phase: (nx, ny, nz, n_echoes) rad, wrapped.
        magnitude: (nx, ny, nz, n_echoes) a.u.
        mask: (nx, ny, nz) bool.
        grid: voxel size.
        te: (n_echoes,) echo times, s.
        b0: T.
        radius: of the ball, mm; not less than the longest side of a voxel is used.
        tolerance: stop when the gradient of the least squares has fallen to this fraction of its start.
        max_iterations: stop then at the latest.
        pad: room for sources around the bounding box of the mask, mm along each axis.

    Returns:
        local_field: (nx, ny, nz) float32, ppm.

    Raises:
        NotApplicable: no voxel of the mask has all its six neighbours in it, so no Laplacian is known.

    Reference:
        Li 2014, doi:10.1002/nbm.3056.
    """
    window = Window.around(mask, grid, pad=max(pad, *grid.voxel_size))
    inside = without_boundary(window.take_mask(mask))
    if not namespace(inside).any(inside):
        raise NotApplicable("no voxel of the mask has all its six neighbours in it")
    mean = like(smv_kernel(grid, window.shape, max(radius, *grid.voxel_size)), inside)
    known = masked(field_laplacian(phase, magnitude, te, mask, window, mean, grid.voxel_size), inside)
    known += _laplacian_outside(known, inside, mean, tolerance, max_iterations)
    return window.put(convolve(known, like(_inverse_laplacian(grid, window.shape) / rad_per_ppm(b0, 1.0), known)), mask)


def _laplacian_outside(known, inside, mean, tolerance, max_iterations):
    """The minimiser x, zero inside, of ‖S·x + S·known − level‖², S being the mean over a ball."""
    xp = namespace(known)
    outside = ~inside
    smooth = convolve(known, mean)
    level = float(xp.sum(masked(smooth, inside), dtype=xp.float64)) / float(xp.sum(xp.astype(inside, xp.float64)))
    right = masked(convolve(level - smooth, mean), outside)
    twice = mean**2
    return cg(lambda x: masked(convolve(x, twice), outside), right, tolerance, max_iterations)


def _inverse_laplacian(grid, shape):
    """The spectrum that divides by the Laplacian; the mean of the box is undetermined, and left at zero."""
    spectrum = -laplacian_spectrum(grid, shape)
    spectrum[0, 0, 0] = np.inf
    return 1 / spectrum
