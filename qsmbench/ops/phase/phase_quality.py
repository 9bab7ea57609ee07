"""The quality of the phase in each voxel."""

from __future__ import annotations

import numpy as np

from qsmbench.ops.phase.wrap import wrap


def phase_quality(phase: np.ndarray, te: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Compute the mean quality of a voxel's pairs with its neighbours; pairs beyond the grid are not counted.

    Args:
        phase: (nx, ny, nz, n_echoes) rad, wrapped.
        te: (n_echoes,) s.
        mask: (nx, ny, nz) bool; if given, the mean is over the pairs in the mask.

    Returns:
        (nx, ny, nz) float32, 0 … 1; see the method `quality_mask`.

    Reference:
        Weights: Dymerska & Eckstein 2021, doi:10.1002/mrm.28563.
    """
    quality = np.zeros(phase.shape[:3], np.float32)
    n_pairs = np.full(phase.shape[:3], 6 if mask is None else 0, np.float32)
    if mask is not None:
        phase = np.where(mask[..., None], phase, np.float32(0))
    for axis in range(3):
        low, high = (slice(None),) * axis + (slice(0, -1),), (slice(None),) * axis + (slice(1, None),)
        first = wrap(phase[high][..., 0] - phase[low][..., 0])
        pair = 1 - np.abs(first) / np.float32(np.pi)
        if te.size > 1:
            deviation = wrap(phase[high][..., 1] - phase[low][..., 1] - np.float32(te[1] / te[0]) * first)
            pair *= np.maximum(1 - np.abs(deviation), 0)
        else:
            pair *= _linearity(first, axis)
        if mask is not None:
            inside = mask[high] & mask[low]
            pair *= inside
            n_pairs[low] += inside
            n_pairs[high] += inside
        quality[low] += pair
        quality[high] += pair
    return quality / np.maximum(n_pairs, 1)


def _linearity(difference: np.ndarray, axis: int) -> np.ndarray:
    """Compare each difference along an axis with the one before and after: 0 … 1; 1 at an end of the grid."""
    same = np.maximum(1 - np.abs(wrap(np.diff(difference, axis=axis))), 0)
    ends = [(0, 0)] * 3
    before, after = list(ends), list(ends)
    before[axis], after[axis] = (1, 0), (0, 1)
    return (np.pad(same, before, constant_values=1) + np.pad(same, after, constant_values=1)) / 2
