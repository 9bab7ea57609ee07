"""The phase at TE = 0, estimated from two echoes, and the spatial unwrapping that it rests on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.ndimage

from qsmbench.grid import Grid
from qsmbench.ops.arrays.array import compute
from qsmbench.ops.arrays.smooth import smooth_phase
from qsmbench.ops.phase.region_growing import edge_quality, grow


def wrap(phase: np.ndarray) -> np.ndarray:
    """`phase` [rad] without its whole turns, within ±π, in its own precision."""
    turn = phase.dtype.type(2 * np.pi)
    return compute(lambda xp, p: p - turn * xp.round(p / turn), phase)


def connected_parts(mask: np.ndarray) -> Iterator[tuple[tuple[slice, slice, slice], np.ndarray]]:
    """The parts of `mask` whose voxels share faces: each one's box, with a voxel of room, and the part in that box."""
    if not mask.any():
        return
    ends = [np.flatnonzero(mask.any(axis=others))[[0, -1]] for others in ((1, 2), (0, 2), (0, 1))]
    around = [slice(max(int(first) - 1, 0), int(last) + 2) for first, last in ends]
    parts, n_parts = scipy.ndimage.label(np.ascontiguousarray(mask[tuple(around)]))
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
    """Unwrap one volume over a connected mask with ROMEO, its median turn set to zero.

    Args:
        phase: (nx, ny, nz) rad, wrapped.
        magnitude: (nx, ny, nz) a.u.
        mask: (nx, ny, nz) bool, connected.
        second: (nx, ny, nz) rad, phase of another echo, whose gradient tells which edges to trust; or None.
        ratio: echo time of `phase` over that of `second`.

    Returns:
        (nx, ny, nz) float32, rad; meaningless outside the mask.

    Reference:
        Dymerska & Eckstein 2021, doi:10.1002/mrm.28563.
    """
    phase = wrap(np.ascontiguousarray(phase, dtype=np.float32))
    seen = np.ascontiguousarray(magnitude_or_ones(magnitude, mask), dtype=np.float32)
    other = None if second is None else np.ascontiguousarray(second, dtype=np.float32)
    turns = grow(phase, mask, edge_quality(phase, mask, seen, other, ratio))
    return compute(lambda _, p, n: p + np.float32(2 * np.pi) * n, phase, turns)


def _tells(ratio: float) -> bool:
    """Whether an echo at this ratio of echo times tells of whole turns: at a whole one, they change nothing."""
    return bool(abs(ratio - round(ratio)) > 1e-4)


def magnitude_or_ones(magnitude: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The magnitude, or ones in its place if there is none in the mask: so that the phase alone decides.

    Args:
        magnitude: (nx, ny, nz[, n_echoes]) a.u.
        mask: (nx, ny, nz) bool.
    """
    return magnitude if magnitude[mask].any() else np.ones_like(magnitude)


def estimate_offset(
    phase: np.ndarray, magnitude: np.ndarray, mask: np.ndarray, grid: Grid, te: np.ndarray, sigma: float
) -> np.ndarray:
    """The phase at TE = 0 over a connected mask, from the first two echoes, smoothed (MCPC-3D-S).

    Args:
        phase: (nx, ny, nz, n_echoes) rad, wrapped; two echoes at least.
        magnitude: (nx, ny, nz, n_echoes) a.u.
        mask: (nx, ny, nz) bool, connected.
        grid: gives the voxel size.
        te: (n_echoes,) s.
        sigma: standard deviation of the Gaussian that smooths, mm; 0 does not smooth.

    Returns:
        (nx, ny, nz) float32, rad, zero outside the mask.

    Reference:
        Eckstein 2018, doi:10.1002/mrm.26963.
    """
    return extrapolate_offset(
        phase, magnitude, unwrap_echo_difference(phase, magnitude, mask, te), mask, grid, te, sigma
    )


def unwrap_echo_difference(phase: np.ndarray, magnitude: np.ndarray, mask: np.ndarray, te: np.ndarray) -> np.ndarray:
    """The phase that a connected part gathers from the first echo to the second, unwrapped in space.

    Whole turns between the two that are the same everywhere are found with the later echoes, if there are any.

    Args:
        phase, magnitude, mask, te: as for `estimate_offset`.

    Returns:
        (nx, ny, nz) float32, rad; meaningless outside the mask.
    """
    weight = magnitude[..., 0] * magnitude[..., 1]
    turn = unwrap_part(wrap(phase[..., 1] - phase[..., 0]), weight, mask)
    ratios = {e: (te[e] - te[0]) / (te[1] - te[0]) for e in range(2, te.size)}
    later = [((phase[..., e] - phase[..., 0])[mask], r) for e, r in ratios.items() if _tells(r)]
    return turn + np.float32(2 * np.pi * common_turns(turn[mask], weight[mask], later))


def extrapolate_offset(
    phase: np.ndarray,
    magnitude: np.ndarray,
    turn: np.ndarray,
    mask: np.ndarray,
    grid: Grid,
    te: np.ndarray,
    sigma: float,
) -> np.ndarray:
    """The first echo's phase, extrapolated to TE = 0 by `turn` and smoothed."""
    offset = phase[..., 0] - np.float32(te[0] / (te[1] - te[0])) * turn
    return smooth_phase(offset, magnitude_or_ones(magnitude[..., 0] * magnitude[..., 1], mask), mask, grid, sigma)


def common_turns(turn: np.ndarray, weight: np.ndarray, others: list[tuple[np.ndarray, float]]) -> int:
    """Whole turns between two echoes, the same everywhere, with which the differences of other echoes agree best.

    Args:
        turn: (n_voxels,) unwrapped phase difference of the two echoes, rad.
        weight: (n_voxels,) ≥ 0.
        others: wrapped phase differences of other echoes, (n_voxels,) rad, each with the ratio of its time to that of
            `turn`. Where all ratios are whole, nothing can be told.

    Returns:
        the number; of those that fit equally well, the smallest.
    """
    others = [(difference, ratio) for difference, ratio in others if _tells(ratio)]
    if not others:
        return 0
    candidates = sorted(range(-3, 4), key=abs)
    scores = np.zeros(len(candidates))
    total = max(float(weight.sum()), np.finfo(np.float32).tiny)
    for difference, ratio in others:
        mean = np.vdot(weight, np.exp(1j * (difference - np.float32(ratio) * turn))) / total
        scores += [(mean * np.exp(-2j * np.pi * ratio * n)).real for n in candidates]
    return candidates[int(np.argmax(scores > scores.max() - 0.01 * (len(others) + 2)))]
