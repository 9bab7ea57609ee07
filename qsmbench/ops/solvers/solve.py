"""Iterative solvers of linear least squares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qsmbench.ops.arrays.algebra import add, dot, scale_add
from qsmbench.ops.arrays.array import compute, namespace

Operator = Callable[[Any], Any]


def cgls(
    forward: Operator,
    adjoint: Operator,
    data: Any,
    tolerance: float,
    max_iterations: int,
) -> Any:
    """Minimise ‖forward(x) − data‖² by conjugate gradients, starting from zero.

    Args:
        forward: linear operator on volumes; may return the same array each time it is called.
        adjoint: its adjoint; may do so too.
        data: (nx, ny, nz) float32; overwritten by the residual, data − forward(x).
        tolerance: stop when ‖adjoint(residual)‖ has fallen to this fraction of its start.
        max_iterations: largest number of iterations.

    Returns:
        x: (nx, ny, nz) float32.

    Reference:
        Hestenes & Stiefel 1952, doi:10.6028/jres.049.044 (section 10, least squares).
    """
    xp = namespace(data)
    descent = xp.asarray(adjoint(data), copy=True)
    x = xp.zeros_like(descent)
    first = norm = dot(descent, descent)
    for _ in range(max_iterations):
        if norm <= tolerance**2 * first:
            break
        image = forward(descent)
        step = norm / dot(image, image)
        add(x, step, descent)
        add(data, -step, image)
        slope = adjoint(data)
        previous, norm = norm, dot(slope, slope)
        scale_add(descent, norm / previous, slope)
    return x


def nu_method(normal: Operator, data: Any, bound: float, n_iterations: int) -> Any:
    """Reduce ‖data − A x‖ by the ν-method with ν = 1, starting from x = 0, and return data − A x.

    Its steps have fixed lengths, so the result is linear in the data. Conjugate gradients are of the same order, but
    their directions lose orthogonality: in single precision, PDF's A on heads of 5 mm turned rounding of 1e-7 into
    differences of up to 0.1 in 15 to 25 iterations, which then depended on the processor. Here rounding grows no faster
    than the number of iterations. After k of them, a component with the eigenvalue λ of AAᵀ is multiplied by the Jacobi
    polynomial P(1 − 2 λ / bound) / P(1), where P has degree k and the exponents 2ν − ½ and −½; it is small for
    λ > bound / k².

    Args:
        normal: AAᵀ, linear, symmetric and not negative; may return the same array each time.
        data: (nx, ny, nz) float32; overwritten.
        bound: not below the largest eigenvalue of AAᵀ.
        n_iterations: fewer of them regularise more.

    Returns:
        (nx, ny, nz) float32.

    Reference:
        Brakhage 1987, in Engl & Groetsch (eds.), Inverse and ill-posed problems, 165–175; Hanke 1991,
        doi:10.1007/BF01385727.
    """
    before, now = namespace(data).asarray(data, copy=True), data
    for k in range(1, n_iterations + 1):
        momentum = (k - 1) * (2 * k - 3) * (2 * k + 1) / ((k + 1) * (2 * k - 1) * (2 * k + 3))
        length = 4 * k * (2 * k + 1) / ((k + 1) * (2 * k + 3)) / bound
        compute(_semi_step, before, now, normal(now), out=before, momentum=momentum, length=length)
        before, now = now, before
    return now


def _semi_step(xp: Any, before: Any, now: Any, image: Any, *, momentum: float, length: float) -> Any:
    return now + momentum * (now - before) - length * image


def cg(
    normal: Operator,
    right: Any,
    tolerance: float,
    max_iterations: int,
    start: Any = None,
    precondition: Operator = lambda residual: residual,
) -> Any:
    """Solve normal(x) = right by conjugate gradients.

    Args:
        normal: linear, symmetric and positive operator on volumes; may return the same array each time.
        right: (nx, ny, nz) float32; overwritten by the residual, right − normal(x).
        tolerance: stop when the residual, in the norm of the preconditioner, has fallen to this fraction of that of
            `right`.
        max_iterations: largest number of iterations.
        start: initial x, overwritten by the result; by default zero.
        precondition: linear, symmetric and positive operator that approximates the inverse of `normal`; by default
            none.

    Returns:
        x: (nx, ny, nz) float32.

    Reference:
        Hestenes & Stiefel 1952, doi:10.6028/jres.049.044; preconditioned: Concus, Golub & O'Leary 1976, Stanford
        report CS-TR-76-533.
    """
    xp = namespace(right)
    near = precondition(right)
    first = norm = dot(right, near)
    x = xp.zeros_like(right) if start is None else start
    if start is not None:
        add(right, -1, normal(x))
        near = precondition(right)
        norm = dot(right, near)
    descent = xp.asarray(near, copy=True)
    for _ in range(max_iterations):
        if norm <= tolerance**2 * first:
            break
        image = normal(descent)
        step = norm / dot(descent, image)
        add(x, step, descent)
        add(right, -step, image)
        near = precondition(right)
        previous, norm = norm, dot(right, near)
        scale_add(descent, norm / previous, near)
    return x
