"""Masks made from what was measured, and their erosion."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid

THRESHOLD = 0.4
"""Of the median magnitude of the brightest half: below it is bone and air; assumed."""


SIGNAL_THRESHOLD = 0.3
"""Of the 95th percentile of the magnitude: air lies well below, tissue above; assumed."""

BRIDGE_MM = 12.0
"""Half the width of what may join the brain to the scalp, and is cut; assumed."""


def brain(magnitude: np.ndarray, grid: Grid) -> np.ndarray:
    """The largest bright part of a head that thin bridges alone join to the rest, with its holes filled.

    Args:
        magnitude: (nx, ny, nz, n_echoes).
        grid: of the magnitude.

    Returns:
        (nx, ny, nz) bool; empty if the magnitude is zero everywhere.
    """
    combined = np.sqrt(np.mean(np.square(magnitude, dtype=np.float32), axis=-1))
    bright = combined[combined > np.median(combined)]
    if not bright.size:
        return np.zeros(combined.shape, bool)
    tissue = combined > THRESHOLD * np.median(bright[bright > np.median(bright)])
    # the edge of a slab is none of the brain, so that only what is dark counts as an end
    core = tissue if tissue.all() else ndimage.distance_transform_edt(tissue, sampling=grid.voxel_size) > BRIDGE_MM
    core = _largest(core)
    if not core.any():
        return _largest(tissue)
    grown = ndimage.distance_transform_edt(~core, sampling=grid.voxel_size) <= 1.2 * BRIDGE_MM
    return ndimage.binary_fill_holes(_largest(grown & tissue))


def eroded(mask: np.ndarray, grid: Grid, depth: float) -> np.ndarray:
    """Where the mask is at least `depth` [mm] deep, counted from its surface; beyond the grid it ends."""
    distance = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=grid.voxel_size)[1:-1, 1:-1, 1:-1]
    # distances are between middles; the surface lies half a voxel before the first one outside
    return distance >= depth + min(grid.voxel_size) / 2


def _largest(mask: np.ndarray) -> np.ndarray:
    parts, count = ndimage.label(mask)
    return parts == 1 + np.argmax(np.bincount(parts.ravel())[1:]) if count else mask


def mask_from_magnitude(magnitude: np.ndarray) -> np.ndarray:
    """Voxels with signal: threshold of the combined echoes, largest connected part, holes filled.

    Args:
        magnitude: (nx, ny, nz, n_echoes).

    Returns:
        (nx, ny, nz) bool.

    Raises:
        QsmbenchError: the magnitude is zero everywhere.
    """
    combined = np.sqrt(np.mean(np.square(magnitude, dtype=np.float32), axis=-1))
    level = float(np.percentile(combined, 95)) * SIGNAL_THRESHOLD
    if level <= 0:
        raise QsmbenchError("the magnitude is zero nearly everywhere; give a mask")
    mask = ndimage.binary_opening(combined > level)
    parts, count = ndimage.label(mask if mask.any() else combined > level)
    if count > 1:
        parts = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
    return ndimage.binary_fill_holes(parts > 0)
