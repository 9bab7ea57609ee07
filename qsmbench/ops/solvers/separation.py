"""Two susceptibilities of opposite sign in a voxel, from the field of their difference and a map of their sum."""

from __future__ import annotations

from typing import Any

from qsmbench.grid import Grid
from qsmbench.ops.arrays.algebra import dot
from qsmbench.ops.arrays.array import compute, like, masked, namespace, total
from qsmbench.ops.arrays.difference import laplacian_spectrum
from qsmbench.ops.arrays.fft import convolve, irfftn, rfftn
from qsmbench.ops.kernels.dipole import dipole_kernel
from qsmbench.ops.solvers import total_variation


def separate(
    field: Any,
    strength: Any,
    weight: Any,
    inside: Any,
    grid: Grid,
    *,
    regularisation: float,
    penalty: float,
    coupling: float,
    relaxation: float,
    tolerance: float,
    max_iterations: int,
) -> tuple[Any, Any]:
    """Minimise ½‖M(D(p − n) − field − cu)‖² + ½‖M√w(p + n − strength)‖² + λ(‖∇p‖₁ + ‖∇n‖₁) over p, n ≥ 0 and c.

    A local field does not determine how much of u = MDM, the field of a uniform χ over the mask M, belongs to it, so
    that any multiple is allowed; p, n ≥ 0 and the strength fix the mean of p − n. Sources lie in the mask. By ADMM with
    the splittings D(p − n), ∇p, ∇n, and p and n themselves. In p + n and p − n the quadratic part is diagonal in
    k-space.

    Args:
        field: (nx, ny, nz) float32, ppm, in a padded window.
        strength: (nx, ny, nz) float32, ppm, measured p + n.
        weight: (nx, ny, nz) float32, w.
        inside: (nx, ny, nz) bool, M.
        grid: voxel size and B0 direction.
        regularisation: λ, ppm·mm.
        penalty: of the gradient splittings, in multiples of λ, mm/ppm.
        coupling: of the splittings of p and n.
        relaxation: over-relaxation of all splittings, 1 (none) to 2.
        tolerance: stop when p and n change by less than this fraction between iterations.
        max_iterations: largest number of iterations.

    Returns:
        p, n: (nx, ny, nz) float32 each, ppm, not negative, zero outside the mask.

    Reference:
        Data terms: Shin 2021, doi:10.1016/j.neuroimage.2021.118371.
    """
    xp = namespace(field)
    size, rho = grid.voxel_size, penalty * regularisation
    kernel = like(dipole_kernel(grid, field.shape), field)
    smooth = like(laplacian_spectrum(grid, field.shape), field) * (rho / 2) + coupling / 2
    normal = smooth + kernel**2
    ambiguous = masked(convolve(xp.astype(inside, xp.float32), kernel), inside)
    square = dot(ambiguous, ambiguous)

    chi = [xp.zeros_like(field) for _ in range(2)]  # p and n
    duals = [xp.stack(3 * [chi[0]]) for _ in range(2)]
    own = [xp.zeros_like(field) for _ in range(2)]  # the splittings of p and n, each plus its multiplier
    data, target = xp.zeros_like(field), xp.asarray(field, copy=True)
    work = [xp.zeros_like(field) for _ in range(2)]
    for _ in range(max_iterations):
        compute(_right_hand_sides, *work, *own, strength, weight, inside, out=tuple(work), rho=rho, coupling=coupling)
        spectrum = rfftn(target)
        spectrum *= kernel
        spectrum += rfftn(work.pop())  # frees it
        spectrum /= normal
        # `data` and `target` are y plus and minus its multiplier; c follows from y
        compute(_data_step, data, irfftn(kernel * spectrum, field.shape), target, out=data, relaxation=relaxation)
        share = total(_overlap, ambiguous, data, field) / square if square > 0 else 0.0
        compute(_reflected, data, field, ambiguous, inside, out=target, share=share)
        difference = irfftn(spectrum, field.shape)
        spectrum = rfftn(work.pop())
        spectrum /= smooth
        work = [irfftn(spectrum, field.shape), difference]
        del spectrum, difference
        compute(_halves, *work, out=tuple(work))
        changes = [
            total_variation.step(dual, new, old, size, 1 / penalty, relaxation)
            for dual, new, old in zip(duals, work, chi, strict=True)
        ]
        chi, work = work, chi
        compute(
            _own_step, *own, *chi, strength, weight, inside, out=tuple(own), relaxation=relaxation, coupling=coupling
        )
        if max(changes) < tolerance:
            break
        for i in range(2):
            total_variation.adjoint(duals[i], work[i], size, 1 / penalty)
    return compute(_nearest, *own, strength, weight, inside, out=tuple(chi), coupling=coupling)


def _nearest(xp, para, dia, strength, weight, inside, *, coupling):
    """Find the p, n ≥ 0 that minimise ½c(p − para)² + ½c(n − dia)² + ½w(p + n − strength)²; zero outside the mask."""
    ratio = weight / coupling
    missing = strength - para - dia
    p = para + missing * (ratio / (1 + 2 * ratio))
    n = dia + missing * (ratio / (1 + 2 * ratio))
    p_alone = xp.clip((para + ratio * strength) / (1 + ratio), 0.0, None)
    n_alone = xp.clip((dia + ratio * strength) / (1 + ratio), 0.0, None)
    no_p, no_n = p < 0, n < 0
    nothing = xp.zeros_like(p)
    both = xp.where(no_p, nothing, xp.where(no_n, p_alone, p)), xp.where(no_p, n_alone, xp.where(no_n, nothing, n))
    return tuple(xp.where(inside, v, nothing) for v in both)


def _right_hand_sides(xp, work_p, work_n, own_p, own_n, strength, weight, inside, *, rho, coupling):
    """Compute the right-hand sides of p + n and of p − n from the splittings of the gradients and of p and n."""
    p, n = _nearest(xp, own_p, own_n, strength, weight, inside, coupling=coupling)
    p = rho * work_p + coupling * (2 * p - own_p)
    n = rho * work_n + coupling * (2 * n - own_n)
    return 0.5 * (p + n), 0.5 * (p - n)


def _own_step(xp, own_p, own_n, para, dia, strength, weight, inside, *, relaxation, coupling):
    """Update the splittings of p and n for new p and n."""
    p, n = _nearest(xp, own_p, own_n, strength, weight, inside, coupling=coupling)
    return own_p + relaxation * (para - p), own_n + relaxation * (dia - n)


def _halves(xp, added, difference):
    """Return p and n from their sum and difference."""
    return 0.5 * (added + difference), 0.5 * (added - difference)


def _overlap(xp, ambiguous, data, field):
    return ambiguous * (data - field)


def _data_step(xp, data, model, target, *, relaxation):
    """Update y plus its multiplier for the field `model` of new sources."""
    return data + relaxation * (model - 0.5 * (data + target))


def _reflected(xp, data, field, ambiguous, inside, *, share):
    """Return y minus its multiplier: in the mask, y is half-way between `data` and the field."""
    return xp.where(inside, field + share * ambiguous, data)
