"""Total-field inversion: χ in and around a mask, whose sources outside cause the background."""

from __future__ import annotations

from typing import Any

from qsmbench.ops.arrays.algebra import add, dot, norm, scale_add
from qsmbench.ops.arrays.array import compute, like, masked, namespace, total
from qsmbench.ops.arrays.difference import gradient, gradient_adjoint, laplacian_spectrum
from qsmbench.ops.arrays.fft import convolve
from qsmbench.ops.masks.edges import away_from_edges
from qsmbench.ops.solvers.problem import Problem

_REFRESH = 50
# Of the preconditioner: they affect the speed, not the limit. Found by trial on two heads.
_LOWEST = 1e-3  # of D² + λ/ε |k|²
_FALL, _LEAST = 0.95, 0.1  # of P in each step, and in all


def smooth_pairs(image: Any, inside: Any, voxel_size: tuple[float, float, float], edges: float) -> Any:
    """Find the pairs of neighbours whose difference of χ is penalised: both in the mask, and no edge between them.

    Args:
        image: (nx, ny, nz) float32, whose edges count, zero outside the mask.
        inside: (nx, ny, nz) bool, the mask.
        voxel_size: mm.
        edges: fraction of the differences in the mask that count as edges.

    Returns:
        (3 nx, ny, nz) bool, axis after axis.
    """
    xp = namespace(image)
    smooth = away_from_edges(image, inside, voxel_size, edges)
    neighbours = [inside & xp.roll(inside, -1, axis=a) for a in range(3)]
    return xp.concat([smooth[a, ...] & n for a, n in enumerate(neighbours)])


def invert_total_field(
    problem: Problem,
    field: Any,
    weight: Any,
    penalised: Any,
    outside: Any,
    *,
    regularisation: float,
    smallest: float,
    tolerance: float,
    max_iterations: int,
    anchor: Any = None,
) -> Any:
    """Minimise ½‖W(Dχ − field)‖² + λ Σ √(|∇χ|² + ε²) + ½ Σ a χ² by preconditioned nonlinear conjugate gradients.

    |∇χ| is bounded from above by a parabola at the current χ, which is updated at every step and gives its length. So
    the objective decreases with each step.

    Args:
        problem: mask, grid and dipole kernel.
        field: (nx, ny, nz) float32 of the padded shape, ppm.
        weight: (nx, ny, nz) float32, W², zero outside the mask.
        penalised: (3 nx, ny, nz) bool, see `smooth_pairs`.
        outside: (nx, ny, nz) float32, P of the preconditioner: how much larger χ may be there, zero inside the mask.
            P² is added to the inverse of D² + λ/ε |k|², that of the normal equations if all voxels are known and χ is
            flat. P decreases to a tenth, since the background is found early.
        regularisation: λ, ppm·mm.
        smallest: ε, ppm/mm.
        tolerance: stop when χ in the mask changes by less than this fraction between iterations.
        max_iterations: largest number of iterations.
        anchor: (nx, ny, nz) float32, a: weight of χ = 0; None: 0.

    Returns:
        (nx, ny, nz) float32, χ in the padded window, ppm.

    Reference:
        Liu Z 2017, doi:10.1002/mrm.26331; nonlinear conjugate gradients: Polak & Ribière 1969,
        doi:10.1051/m2an/196903R100351.
    """
    size, inside, kernel = problem.grid.voxel_size, problem.mask, problem.kernel
    inverse = kernel**2 + like(laplacian_spectrum(problem.grid, problem.shape), field) * (regularisation / smallest)
    inverse = 1 / namespace(field).clip(inverse, _LOWEST, None)
    strength = {"regularisation": regularisation, "smallest": smallest}

    chi, misfit = problem.zero(), -field
    descent, before, slope_before = problem.zero(), problem.zero(), float("inf")
    steep = bound = None
    for i in range(max_iterations):
        if i % _REFRESH == 0 and i > 0:
            misfit = convolve(chi, kernel) - field  # without accumulated rounding
        steep = gradient(chi, size, steep)
        bound = compute(_bound, _volumes(steep), penalised, out=bound, **strength)
        steep *= namespace(field).reshape(bound, steep.shape)
        fall = convolve(weight * misfit, kernel)
        compute(_downhill, fall, gradient_adjoint(steep, size), out=fall)
        if anchor is not None:
            fall -= anchor * chi
        scale = max(_FALL**i, _LEAST)
        down = compute(_preconditioned, convolve(fall, inverse), fall, outside, square=scale**2)
        slope = dot(fall, down)
        if slope == 0:
            break
        scale_add(descent, max(slope - dot(before, down), 0.0) / slope_before, down)
        if dot(fall, descent) <= 0:
            scale_add(descent, 0.0, down)
        along, steep = convolve(descent, kernel), gradient(descent, size, steep)
        slopes = _volumes(steep)
        curvature = total(_scaled_product, along, along, weight) + total(_scaled_product, slopes, slopes, bound)
        if anchor is not None:
            curvature += total(_scaled_product, descent, descent, anchor)
        length = dot(fall, descent) / curvature
        add(chi, length, descent)
        add(misfit, length, along)
        before, slope_before = fall, slope
        if abs(length) * norm(masked(descent, inside)) <= tolerance * norm(masked(chi, inside)):
            break
    return chi


def _volumes(vector):
    """View a vector field (3, nx, ny, nz) as one volume (3 nx, ny, nz), for `compute` on blocks that fit the cache."""
    return namespace(vector).reshape(vector, (-1, *vector.shape[-2:]))


def _bound(xp, steep, penalised, *, regularisation, smallest):
    """Compute λM/√(|∇χ|² + ε²): twice the weight of |∇|² in the parabola that touches the penalty from above at χ."""
    return xp.where(penalised, regularisation / xp.sqrt(steep**2 + smallest**2), 0.0)


def _downhill(xp, misfit, roughness):
    return -(misfit + roughness)


def _scaled_product(xp, a, b, scale):
    return a * b * scale


def _preconditioned(xp, everywhere, fall, outside, *, square):
    return everywhere + square * outside**2 * fall
