"""Masks made from the magnitude where none is given, and what lies deep in one.

They stand in for the segmentation that a user of real data would have made: `brain` in simulated scans of a head,
`mask_from_magnitude` in measured ones, whatever they show. `methods/mask/magnitude_mask.py` is none of them: it is a
method under test, and works within a mask.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.segmentation import watershed

from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid

BRAIN_THRESHOLD = 0.5
"""Of the median magnitude of the brightest half: below it is bone and air; assumed."""

BRIDGE_MM = 12.0
"""Half the width of what may join the brain to the scalp, and is cut; assumed."""

SIGNAL_THRESHOLD = 0.3
"""Of the 95th percentile of the magnitude: air lies well below, tissue above; assumed."""


def brain(magnitude: np.ndarray, grid: Grid) -> np.ndarray:
    """Find the largest bright part of a head that thin bridges alone join to the rest, and fill its holes.

    Where fat that the readout displaced lies on the skull, brain and scalp have no dark gap between them: there the
    brain ends at the darkest voxels on the way from its core to what is far from it.

    Args:
        magnitude: (nx, ny, nz, n_echoes).
        grid: of the magnitude.

    Returns:
        (nx, ny, nz) bool; empty if the magnitude is zero everywhere.
    """
    combined = _combined(magnitude)
    bright = combined[combined > np.median(combined)]
    if not bright.size:
        return np.zeros(combined.shape, bool)
    tissue = combined > BRAIN_THRESHOLD * np.median(bright[bright > np.median(bright)])
    # the edge of a slab is none of the brain, so that only what is dark counts as an end
    core = tissue if tissue.all() else ndimage.distance_transform_edt(tissue, sampling=grid.voxel_size) > BRIDGE_MM
    core = _largest(core)
    if not core.any():
        return _largest(tissue)
    far = ndimage.distance_transform_edt(~core, sampling=grid.voxel_size) > 1.2 * BRIDGE_MM
    basins = watershed(-combined, core.astype(np.int8) + 2 * far.astype(np.int8))
    return ndimage.binary_fill_holes(_largest((basins == 1) & tissue))


MADE_FROM_MAGNITUDE = "mask made from the magnitude: threshold, largest connected part, holes filled"
"""The note on a scan whose mask `mask_from_magnitude` made."""


def mask_from_magnitude(magnitude: np.ndarray) -> np.ndarray:
    """Find the voxels with signal: threshold of the combined echoes, largest connected part, holes filled.

    Args:
        magnitude: (nx, ny, nz, n_echoes).

    Returns:
        (nx, ny, nz) bool.

    Raises:
        QsmbenchError: the magnitude is zero nearly everywhere.
    """
    combined = _combined(magnitude)
    level = float(np.percentile(combined, 95)) * SIGNAL_THRESHOLD
    if level <= 0:
        raise QsmbenchError("the magnitude is zero nearly everywhere; give a mask")
    signal = combined > level
    opened = ndimage.binary_opening(signal)
    return ndimage.binary_fill_holes(_largest(opened if opened.any() else signal))


def deeper_than(mask: np.ndarray, grid: Grid, depth: float) -> np.ndarray:
    """Return where the mask is at least `depth` [mm] deep, counted from its surface; beyond the grid it ends.

    Erosion by a ball, `ops.masks.morphology.eroded`, counts from the middle of the next voxel outside, and so takes
    half a voxel less.
    """
    distance = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=grid.voxel_size)[1:-1, 1:-1, 1:-1]
    # distances are between middles; the surface lies half a voxel before the first one outside
    return distance >= depth + min(grid.voxel_size) / 2


def _combined(magnitude: np.ndarray) -> np.ndarray:
    """Return the root mean square of the echoes, times a power of two that keeps squares within float32."""
    _, exponent = np.frexp(magnitude.max())
    return np.sqrt(np.mean(np.square(np.ldexp(magnitude, -exponent), dtype=np.float32), axis=-1))


def _largest(mask: np.ndarray) -> np.ndarray:
    """Return the largest connected part."""
    parts, count = ndimage.label(mask)
    return parts == 1 + np.argmax(np.bincount(parts.ravel())[1:]) if count else mask
