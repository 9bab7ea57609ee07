"""Single-step inversion of the phase with total generalised variation."""

import numpy as np
from scipy.ndimage import binary_erosion

from qsmbench.errors import NotApplicable
from qsmbench.method import method
from qsmbench.ops.arrays.array import like, masked, namespace, to_numpy
from qsmbench.ops.arrays.fft import Window
from qsmbench.ops.kernels.sphere import smv_kernel
from qsmbench.ops.phase.wrapped_phase import field_laplacian
from qsmbench.ops.solvers import single_step_tgv
from qsmbench.ops.solvers.reference import subtract_mask_mean
from qsmbench.units import rad_per_ppm


@method(produces="chi", reference="Langkammer 2015, doi:10.1016/j.neuroimage.2015.02.041", portable=True)
def tgv_qsm(
    phase,
    magnitude,
    mask,
    grid,
    te,
    b0,
    *,
    alpha1=5e-4,
    alpha0=1.5e-3,
    offset_radius=10.0,
    ratio=30.0,
    scale=10.0,
    relaxation=1.9,
    tolerance=5e-4,
    max_iterations=600,
):
    """TGV-QSM: from the wrapped phase to χ in one step, with no unwrapping and no background removal.

    It minimises ½‖ψ‖² + α₁‖∇χ − w‖ + α₀‖Ew‖ subject to Δψ = □χ − Δ(field), □ = ⅓Δ − (b·∇)², in the mask. The Laplacian
    of the field follows from the wrapped differences of the phase between neighbours. It contains no background, which
    is harmonic in the mask; so ψ is the noise of the field. The equation holds where all 26 neighbours are in the mask.
    The differences are fitted over the echoes, weighted with magnitude² (see `ops.phase.wrapped_phase`).

    The solver is the primal-dual iteration of Chambolle & Pock 2011.

    Differences:
        The solver has a separate step size for each variable, and over-relaxation: a hundred iterations are as good as
        a thousand of equal steps.

    Args:
        phase: (nx, ny, nz, n_echoes) rad, wrapped or not.
        alpha1: weight of ∇χ − w, ppm·mm.
        alpha0: weight of Ew, the symmetrised derivative of w, ppm·mm².
        offset_radius: radius of the ball over which the coils' part of the Laplacian is averaged, mm; raised to the
            longest voxel side if smaller.
        ratio: of primal to dual steps; affects the speed, not the limit.
        scale: weight of the dipole equation relative to the gradients in the steps; affects the speed, not the
            converged solution.
        relaxation: over-relaxation, 1 (none) to below 2.

    Raises:
        NotApplicable: the mask is less than three voxels thick everywhere.

    Reference:
        Langkammer 2015, doi:10.1016/j.neuroimage.2015.02.041; TGV: Bredies 2010, doi:10.1137/090769521; solver:
        Chambolle & Pock 2011, doi:10.1007/s10851-010-0251-1.
    """
    radius = max(offset_radius, *grid.voxel_size)
    window = Window.around(mask, grid, pad=2 * radius)
    inside = np.roll(to_numpy(window.take_mask(mask)), (1, 1, 1), axis=(0, 1, 2))  # a margin on both sides
    known = binary_erosion(inside, np.ones((3, 3, 3)))
    if not known.any():
        raise NotApplicable("the mask is less than three voxels thick everywhere")
    mean = like(smv_kernel(grid, window.shape, radius), mask)
    laplacian = field_laplacian(phase, magnitude, te, mask, window, mean, grid.voxel_size)
    xp = namespace(laplacian)
    data = masked(xp.roll(laplacian, (1, 1, 1), axis=(0, 1, 2)), like(known, laplacian))
    data /= rad_per_ppm(b0, 1.0)
    where = like(single_step_tgv.flags(inside, known), data)
    sizes = single_step_tgv.step_sizes(grid, ratio, scale, relaxation)

    dual = xp.stack([xp.zeros_like(data)] * 10)
    primal = xp.stack([xp.zeros_like(data)] * 5)
    ahead = xp.zeros_like(primal)
    for _ in range(max_iterations):
        single_step_tgv.dual_step(dual, ahead, data, where, grid, (alpha1, alpha0), sizes)
        if single_step_tgv.primal_step(primal, ahead, dual, where, grid, sizes) < tolerance:
            break
    chi = xp.roll(primal[0, ...], (-1, -1, -1), axis=(0, 1, 2))
    return subtract_mask_mean(window.put(chi, mask), mask)
