"""Spatial unwrapping of the connected parts of a mask, and their common multiple of 2π."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.ndimage

from qsmbench.ops.arrays.array import compute
from qsmbench.ops.arrays.box import Box, bounding_box
from qsmbench.ops.phase.region_growing import edge_quality, grow
from qsmbench.ops.phase.wrap import TURN, wrap


def connected_parts(mask: np.ndarray) -> Iterator[tuple[Box, np.ndarray]]:
    """Yield the face-connected parts of a mask: the bounding box of each, extended by one voxel, and the part in it.

    Args:
        mask: (nx, ny, nz) bool.
    """
    if not mask.any():
        return
    around = bounding_box(mask, margin=1)
    parts, n_parts = scipy.ndimage.label(np.ascontiguousarray(mask[around]))
    whole = tuple(slice(0, n) for n in parts.shape)
    for part, box in enumerate(scipy.ndimage.find_objects(parts, n_parts) if n_parts > 1 else [whole], start=1):
        roomy = tuple(slice(max(s.start - 1, 0), min(s.stop + 1, n)) for s, n in zip(box, parts.shape, strict=True))
        x, y, z = (slice(a.start + s.start, a.start + s.stop) for a, s in zip(around, roomy, strict=True))
        yield (x, y, z), parts[roomy] == part


def unwrap_part(
    phase: np.ndarray,
    magnitude: np.ndarray,
    mask: np.ndarray,
    second: np.ndarray | None = None,
    ratio: float = 1.0,
) -> np.ndarray:
    """Unwrap one volume over a connected mask with ROMEO; the median multiple of 2π is set to zero.

    Args:
        phase: (nx, ny, nz) rad, wrapped.
        magnitude: (nx, ny, nz) a.u.
        mask: (nx, ny, nz) bool, connected.
        second: (nx, ny, nz) rad, phase of another echo, whose gradient adds to the quality of the edges; or None.
        ratio: echo time of `phase` over that of `second`.

    Returns:
        (nx, ny, nz) float32, rad; meaningless outside the mask.

    Reference:
        Dymerska & Eckstein 2021, doi:10.1002/mrm.28563.
    """
    phase = wrap(np.ascontiguousarray(phase, dtype=np.float32))
    weight = np.ascontiguousarray(magnitude_or_ones(magnitude, mask), dtype=np.float32)
    other = None if second is None else np.ascontiguousarray(second, dtype=np.float32)
    turns = grow(phase, mask, edge_quality(phase, mask, weight, other, ratio))
    return compute(lambda _, p, n: p + TURN * n, phase, turns)


def magnitude_or_ones(magnitude: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the magnitude, or ones if it is zero throughout the mask, so that only the phase is used.

    Args:
        magnitude: (nx, ny, nz[, n_echoes]) a.u.
        mask: (nx, ny, nz) bool.
    """
    return magnitude if magnitude[mask].any() else np.ones_like(magnitude)


def common_turns(difference: np.ndarray, weight: np.ndarray, others: list[tuple[np.ndarray, float]]) -> int:
    """Find the multiple of 2π between two echoes, common to all voxels, from the differences between other echoes.

    Args:
        difference: (n_voxels,) unwrapped phase difference of the two echoes, rad.
        weight: (n_voxels,) ≥ 0.
        others: wrapped phase differences of other echoes, (n_voxels,) rad, each with the ratio of its time to that of
            `difference`; only ratios that `resolves_turns`.

    Returns:
        the factor of 2π, 0 without others; the smallest of equally good ones.
    """
    if not others:
        return 0
    candidates = sorted(range(-3, 4), key=abs)
    scores = np.zeros(len(candidates))
    total = max(float(weight.sum()), np.finfo(np.float32).tiny)
    for other, ratio in others:
        mean = np.vdot(weight, np.exp(1j * (other - np.float32(ratio) * difference))) / total
        scores += [(mean * np.exp(-2j * np.pi * ratio * n)).real for n in candidates]
    return candidates[int(np.argmax(scores > scores.max() - 0.01 * (len(others) + 2)))]


def resolves_turns(ratio: float) -> bool:
    """Return whether a wrapped phase at this ratio of times depends on the multiple of 2π; not if it is an integer."""
    return bool(abs(ratio - round(ratio)) > 1e-4)
