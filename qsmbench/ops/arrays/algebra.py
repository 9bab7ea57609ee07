"""Sums, products and means of whole volumes."""

from __future__ import annotations

from typing import Any

import numpy as np

from qsmbench.compiled import compiled
from qsmbench.ops.arrays.array import is_numpy, masked, namespace
from qsmbench.threads import over_planes


def dot(a: Any, b: Any) -> float:
    """Compute the inner product of two float32 volumes or vector fields, independently of the number of threads."""
    if not is_numpy(a):
        xp = namespace(a)
        return float(xp.sum(a * b, dtype=xp.float64))
    a, b = _planes(a), _planes(b)
    planes = np.zeros(a.shape[0])
    over_planes(_dot, a.shape[0], a, b, planes)
    return float(planes.sum())


def norm(a: Any) -> float:
    """Compute the Euclidean norm of a float32 volume or vector field."""
    return dot(a, a) ** 0.5


def mean_inside(volume: Any, mask: Any) -> float:
    """Compute the mean of a volume over a mask, in double precision."""
    xp = namespace(volume)
    count = float(xp.sum(xp.astype(mask, xp.float64)))
    return float(xp.sum(masked(volume, mask), dtype=xp.float64)) / count


def add(y: Any, factor: float, x: Any) -> None:
    """Add factor · x to y, in place.

    Args:
        y: float32 volume or vector field.
        factor: of `x`.
        x: like `y`.
    """
    if not is_numpy(y):
        y += factor * x
        return
    y, x = _planes(y), _planes(x)
    over_planes(_add, y.shape[0], y, np.float32(factor), x)


def scale_add(y: Any, factor: float, x: Any) -> None:
    """Replace y by x + factor · y, in place.

    Args:
        y: float32 volume or vector field.
        factor: of `y`.
        x: like `y`.
    """
    if not is_numpy(y):
        y *= factor
        y += x
        return
    y, x = _planes(y), _planes(x)
    over_planes(_scale_add, y.shape[0], y, np.float32(factor), x)


def _planes(volume: np.ndarray) -> np.ndarray:
    """View a volume, or a vector field of contiguous ones, as an array of three axes."""
    return volume if volume.ndim == 3 else np.reshape(volume, (-1, *volume.shape[-2:]), copy=False)


@compiled(fastmath={"contract", "reassoc"})
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


@compiled()
def _add(start, stop, y, factor, x):
    _, ny, nz = y.shape
    for i in range(start, stop):
        for j in range(ny):
            for k in range(nz):
                y[i, j, k] += factor * x[i, j, k]


@compiled()
def _scale_add(start, stop, y, factor, x):
    _, ny, nz = y.shape
    for i in range(start, stop):
        for j in range(ny):
            for k in range(nz):
                y[i, j, k] = x[i, j, k] + factor * y[i, j, k]
