"""Single-step inversion of the phase with total generalised variation."""

import numpy as np
from scipy.ndimage import binary_erosion

from qsmbench.errors import NotApplicable
from qsmbench.ops import single_step_tgv
from qsmbench.ops.array import compute, like, namespace, to_numpy
from qsmbench.ops.fft import Window
from qsmbench.ops.reference import refer_to_mask
from qsmbench.registry import method
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
    ratio=30.0,
    scale=10.0,
    relaxation=1.9,
    tolerance=5e-4,
    max_iterations=600,
):
    """TGV-QSM: from the wrapped phase to χ in one step, with no unwrapping and no background removal.

    It minimises ½‖ψ‖² + α₁‖∇χ − w‖ + α₀‖Ew‖ under Δψ = □χ − Δ(field), □ = ⅓Δ − (b·∇)², in the mask. The Laplacian of
    the field follows from the wrapped differences of the phase between neighbours. It holds no background, for that is
    harmonic in the mask; so ψ is the noise of the field. The equation stands where all 26 neighbours lie in the mask.
    With several echoes, each difference is taken within ±π of what the echo before predicts, so that only the first
    one must not turn by more than π from voxel to voxel, and the echoes' Laplacians are averaged as a weighted fit over
    the echo time does, with weights (magnitude · TE)².

    The solver is the primal-dual iteration of the publication (Chambolle & Pock 2011), with steps of its own for each
    variable and over-relaxation, which reach the published state in about a third of the iterations.

    Args:
        phase: (nx, ny, nz, n_echoes) rad, wrapped or not.
        magnitude: (nx, ny, nz, n_echoes) a.u.
        mask: (nx, ny, nz) bool.
        grid: voxel size and B0 direction.
        te: (n_echoes,) s.
        b0: T.
        alpha1: weight of ∇χ − w, ppm·mm.
        alpha0: weight of Ew, the symmetrised derivative of w, ppm·mm².
        ratio: of primal to dual steps; changes the speed, not the limit.
        scale: how much more the steps count the dipole's equation than the gradients'; likewise.
        relaxation: over-relaxation, 1 (none) to below 2.
        tolerance: stop when χ changes by less than this fraction between iterations.
        max_iterations: stop then at the latest.

    Returns:
        chi: (nx, ny, nz) float32, ppm, zero mean over the mask.

    Raises:
        NotApplicable: nowhere is the mask three voxels thick.

    Reference:
        Langkammer 2015, doi:10.1016/j.neuroimage.2015.02.041; TGV: Bredies 2010, doi:10.1137/090769521; solver:
        Chambolle & Pock 2011, doi:10.1007/s10851-010-0251-1.
    """
    window = Window.around(mask, grid, pad=2 * max(grid.voxel_size))
    inside = np.roll(to_numpy(window.take_mask(mask)), (1, 1, 1), axis=(0, 1, 2))  # a margin on both sides
    known = binary_erosion(inside, np.ones((3, 3, 3)))
    if not known.any():
        raise NotApplicable("nowhere is the mask three voxels thick")
    laplacian = _field_laplacian(window, phase, magnitude, mask, grid, te, b0)
    xp = namespace(laplacian)
    data = xp.where(like(known, laplacian), laplacian, xp.zeros_like(laplacian))
    where = like(single_step_tgv.flags(inside, known), data)
    by = single_step_tgv.steps(grid, ratio, scale, relaxation)

    dual = xp.stack([xp.zeros_like(data)] * 10)
    primal = xp.stack([xp.zeros_like(data)] * 5)
    ahead = xp.zeros_like(primal)
    for _ in range(max_iterations):
        single_step_tgv.dual_step(dual, ahead, data, where, grid, (alpha1, alpha0), by)
        if single_step_tgv.primal_step(primal, ahead, dual, where, grid, by) < tolerance:
            break
    chi = xp.roll(primal[0, ...], (-1, -1, -1), axis=(0, 1, 2))
    return refer_to_mask(window.put(chi, mask), mask)


def _field_laplacian(window, phase, magnitude, mask, grid, te, b0):
    """Laplacian of the field [ppm/mm²] by a weighted fit to those of the phase of all echoes, in the window."""
    weighted = squares = 0.0
    expected = [0.0, 0.0, 0.0]
    for echo, t in enumerate(te):
        wrapped, strength = (_centred(window, v[..., echo], mask) for v in (phase, magnitude))
        differences = [_difference(wrapped, axis, e) for axis, e in enumerate(expected)]
        if echo + 1 < len(te):
            expected = [d * float(te[echo + 1] / t) for d in differences]
        turns = rad_per_ppm(b0, float(t))
        weighted = weighted + strength**2 * turns * _divergence(differences, grid.voxel_size)
        squares = squares + (strength * turns) ** 2
    return compute(_ratio, weighted, squares)


def _centred(window, volume, mask):
    taken = window.take(volume, mask)
    return namespace(taken).roll(taken, (1, 1, 1), axis=(0, 1, 2))


def _difference(phase, axis, expected):
    """Phase difference to the next voxel [rad], within ±π of what is expected."""
    xp = namespace(phase)
    difference = xp.roll(phase, -1, axis=axis) - phase
    return difference - 2 * np.pi * xp.round((difference - expected) / (2 * np.pi))


def _divergence(differences, voxel_size):
    """Sum of the differences to the six neighbours, each over the square of the distance [rad/mm²]."""
    xp = namespace(differences[0])
    x, y, z = ((d - xp.roll(d, 1, axis=a)) / voxel_size[a] ** 2 for a, d in enumerate(differences))
    return x + y + z


def _ratio(xp, weighted, squares):
    """Zero where there is no signal."""
    return xp.where(squares > 0, weighted / xp.where(squares > 0, squares, xp.ones_like(squares)), 0.0)
