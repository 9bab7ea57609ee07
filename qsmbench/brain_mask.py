"""A mask for a measured scan that comes without one."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from qsmbench.errors import QsmbenchError

THRESHOLD = 0.3  # assumed: of the 95th percentile; air lies well below, tissue above


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
    level = float(np.percentile(combined, 95)) * THRESHOLD
    if level <= 0:
        raise QsmbenchError("the magnitude is zero nearly everywhere; give a mask")
    mask = ndimage.binary_opening(combined > level)
    parts, count = ndimage.label(mask if mask.any() else combined > level)
    if count > 1:
        parts = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
    return ndimage.binary_fill_holes(parts > 0)
