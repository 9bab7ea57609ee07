"""Conjugate residuals: LSMR for symmetric operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qsmbench.ops.arrays.algebra import add, dot, scale_add
from qsmbench.ops.arrays.array import namespace


def conjugate_residual(normal: Callable[[Any], Any], right: Any, tolerance: float, max_iterations: int) -> Any:
    """Minimise ‖normal(x) − right‖ over growing Krylov spaces, starting from zero.

    With normal = AᵀA and right = Aᵀb its iterates are those of LSMR on ‖Ax − b‖, with one call of `normal` each.

    Args:
        normal: linear, symmetric and positive semidefinite operator on volumes; may return the same array each time.
        right: (nx, ny, nz) float32; overwritten by the residual, right − normal(x).
        tolerance: stop when ‖right − normal(x)‖ has fallen to this fraction of ‖right‖.
        max_iterations: largest number of iterations.

    Returns:
        x: (nx, ny, nz) float32.

    Reference:
        LSMR, which is MINRES on the normal equations: Fong & Saunders 2011, doi:10.1137/10079687X.
    """
    xp = namespace(right)
    x = xp.zeros_like(right)
    first = dot(right, right)
    descent = xp.asarray(right, copy=True)
    image = xp.asarray(normal(right), copy=True)
    along = dot(right, image)
    for _ in range(max_iterations):
        length = dot(image, image)
        if length == 0 or dot(right, right) <= tolerance**2 * first:
            break
        add(x, along / length, descent)
        add(right, -along / length, image)
        slope = normal(right)
        previous, along = along, dot(right, slope)
        scale_add(descent, along / previous, right)
        scale_add(image, along / previous, slope)
    return x
