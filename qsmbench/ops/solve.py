"""Iterative solvers of linear least squares."""

from __future__ import annotations

from collections.abc import Callable

import numba
import numpy as np

from qsmbench.ops.threads import over_planes


def cgls(
    forward: Callable[[np.ndarray], np.ndarray],
    adjoint: Callable[[np.ndarray], np.ndarray],
    data: np.ndarray,
    tolerance: float,
    max_iterations: int,
) -> np.ndarray:
    """Minimise ‖forward(x) − data‖² by conjugate gradients, starting from zero.

    Args:
        forward: linear operator on volumes; may return the same array each time it is called.
        adjoint: its adjoint; likewise.
        data: (nx, ny, nz) float32; overwritten by the residual, data − forward(x).
        tolerance: stop when ‖adjoint(residual)‖ has fallen to this fraction of its start.
        max_iterations: stop then at the latest.

    Returns:
        x: (nx, ny, nz) float32.

    Reference:
        Hestenes & Stiefel 1952, doi:10.6028/jres.049.044 (section 10, least squares).
    """
    descent = adjoint(data).copy()
    x = np.zeros_like(descent)
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


def dot(a: np.ndarray, b: np.ndarray) -> float:
    """Inner product of two float32 volumes; the same on any number of threads."""
    planes = np.zeros(a.shape[0])
    over_planes(_dot, a.shape[0], a, b, planes)
    return float(planes.sum())


def add(y: np.ndarray, factor: float, x: np.ndarray) -> None:
    """y += factor · x, in place."""
    over_planes(_add, y.shape[0], y, np.float32(factor), x)


def scale_add(y: np.ndarray, factor: float, x: np.ndarray) -> None:
    """y = x + factor · y, in place."""
    over_planes(_scale_add, y.shape[0], y, np.float32(factor), x)


@numba.njit(nogil=True, cache=True, fastmath={"contract", "reassoc"})
def _dot(start, stop, a, b, planes):
    _, ny, nz = a.shape
    for i in range(start, stop):
        total = 0.0
        for j in range(ny):
            row = 0.0
            for k in range(nz):
                row += a[i, j, k] * b[i, j, k]
            total += row
        planes[i] = total


@numba.njit(nogil=True, cache=True)
def _add(start, stop, y, factor, x):
    _, ny, nz = y.shape
    for i in range(start, stop):
        for j in range(ny):
            for k in range(nz):
                y[i, j, k] += factor * x[i, j, k]


@numba.njit(nogil=True, cache=True)
def _scale_add(start, stop, y, factor, x):
    _, ny, nz = y.shape
    for i in range(start, stop):
        for j in range(ny):
            for k in range(nz):
                y[i, j, k] = x[i, j, k] + factor * y[i, j, k]
