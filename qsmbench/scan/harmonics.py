"""Smooth fields of the scanner: solid harmonics up to second order, used by the shim and the phase offset."""

from __future__ import annotations

import numpy as np

from qsmbench.grid import Grid

COUNT = (1, 4, 9)
"""Number of harmonics up to order 0, 1 and 2."""

SCALE_MM = 100.0
"""Unit of length [mm], so that a coefficient is about the amplitude at the edge of a head."""


def harmonics(grid: Grid, planes: slice = slice(None)) -> list[np.ndarray]:
    """Return the nine solid harmonics 1, x, y, z, xy, xz, yz, x²−y², 2z²−x²−y² about the grid's centre.

    Args:
        grid: its array axes are the harmonics' axes.
        planes: which planes along x.

    Returns:
        nine float64 arrays that broadcast to those planes; lengths in units of `SCALE_MM`.
    """
    x, y, z = (a / SCALE_MM for a in grid.axes())
    x = x[planes]
    return [np.ones((1, 1, 1)), x, y, z, x * y, x * z, y * z, x**2 - y**2, 2 * z**2 - x**2 - y**2]


def evaluate(coefficients: np.ndarray, grid: Grid, planes: slice = slice(None)) -> np.ndarray:
    """Evaluate Σ c_i·h_i on the voxels of some planes, float32.

    Args:
        coefficients: of the harmonics; missing ones are zero.
        grid: its array axes are the harmonics' axes.
        planes: which planes along x.
    """
    terms = harmonics(grid, planes)[: len(coefficients)]
    total = sum(c * h for c, h in zip(coefficients, terms, strict=True))
    shape = (len(range(grid.shape[0])[planes]), *grid.shape[1:])
    return np.broadcast_to(np.asarray(total, np.float32), shape)


def fit(values: np.ndarray, mask: np.ndarray, grid: Grid, order: int) -> np.ndarray:
    """Fit harmonics by least squares; return their coefficients.

    Args:
        values: (nx, ny, nz).
        mask: (nx, ny, nz) bool, the voxels to fit.
        grid: of both.
        order: highest of the harmonics, 0, 1 or 2.
    """
    basis = [np.broadcast_to(h, grid.shape)[mask] for h in harmonics(grid)[: COUNT[order]]]
    return np.linalg.lstsq(np.stack(basis, axis=1), values[mask].astype(float), rcond=None)[0]
