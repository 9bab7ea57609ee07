"""Conversion between the fine grid and the scan's grid, by blocks of sub-voxels."""

from __future__ import annotations

import numpy as np

Factor = tuple[int, int, int]
"""Sub-voxels per voxel along x, y, z."""


def block_mean(volume: np.ndarray, factor: Factor) -> np.ndarray:
    """Return the mean of each block of `factor` voxels, float32; `volume` itself if a block is one voxel."""
    mean = volume.astype(np.float32, copy=False)
    # one axis after another: adding strided volumes is several times faster than a mean over three axes
    for axis, f in reversed(list(enumerate(factor))):
        if f == 1:
            continue
        parts = [mean[(slice(None),) * axis + (slice(first, None, f),)] for first in range(f)]
        mean = parts[0] / np.float32(f)
        for part in parts[1:]:
            mean += part / np.float32(f)
    return mean


def majority(labels: np.ndarray, factor: Factor) -> np.ndarray:
    """Return the label that fills most of each block; the smaller index wins a tie."""
    fx, fy, fz = factor
    parts = [labels[a::fx, b::fy, c::fz] for a in range(fx) for b in range(fy) for c in range(fz)]
    best, most = parts[0].copy(), np.zeros(parts[0].shape, np.uint8)
    for candidate in parts:
        count = np.zeros(candidate.shape, np.uint8)
        for other in parts:
            count += candidate == other
        better = (count > most) | ((count == most) & (candidate < best))
        best[better], most[better] = candidate[better], count[better]
    return best


def repeat(mask: np.ndarray, factor: Factor) -> np.ndarray:
    """Repeat each voxel of `mask` `factor` times along each axis."""
    for axis, f in enumerate(factor):
        mask = np.repeat(mask, f, axis) if f > 1 else mask
    return mask
