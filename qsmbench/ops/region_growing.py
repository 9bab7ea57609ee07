"""Unwrapping a phase along the most reliable edges between neighbours, the best first.

Neighbouring voxels are joined by edges, each with a quality. From a seed, the region grows over the best edge at its
border, and the voxel beyond is set to within π of the one before.
The edges crossed are a maximum spanning tree (Prim's algorithm), so that the choice of the seed does not matter.
"""

from __future__ import annotations

import numba
import numpy as np

from qsmbench.ops.threads import over_planes

_TURN = np.float32(2 * np.pi)
_UNSEEN = np.int16(-32768)


def edge_quality(
    phase: np.ndarray, mask: np.ndarray, magnitude: np.ndarray, second: np.ndarray | None = None, ratio: float = 1.0
) -> np.ndarray:
    """ROMEO's quality of the edges to the next voxel along each axis, from 1 (worst) to 255; 0 where there is none.

    It is the product of: phase coherence, 1 − |Δφ|/π; phase gradient coherence, 1 − |Δφ − ratio·Δφ₂| for a second
    echo, Δ being the wrapped difference of the neighbours; and magnitude coherence, (smaller/larger)².

    Args:
        phase: (nx, ny, nz) float32, rad.
        mask: (nx, ny, nz) bool; an edge has both ends in it.
        magnitude: (nx, ny, nz) float32, ≥ 0.
        second: phase of another echo, rad, or None.
        ratio: echo time of `phase` over that of `second`.

    Returns:
        (3, nx, ny, nz) uint8.

    Reference:
        Dymerska & Eckstein 2021, doi:10.1002/mrm.28563.
    """
    quality = np.zeros((3, *phase.shape), np.uint8)
    other = phase if second is None else second
    over_planes(
        _edge_quality, phase.shape[0], quality, phase, mask, magnitude, other, np.float32(ratio), second is not None
    )
    return quality


def grow(phase: np.ndarray, mask: np.ndarray, quality: np.ndarray) -> np.ndarray:
    """Whole turns that unwrap a phase over each connected part of a mask; the median turn of a part is zero.

    Args:
        phase: (nx, ny, nz) float32, rad, within ±π.
        mask: (nx, ny, nz) bool.
        quality: (3, nx, ny, nz) uint8, see `edge_quality`.

    Returns:
        (nx, ny, nz) int16, to be multiplied by 2π and added; zero outside the mask.

    Reference:
        Dymerska & Eckstein 2021, doi:10.1002/mrm.28563; growing by quality: Jenkinson 2003, doi:10.1002/mrm.10354.
    """
    cells = np.empty(phase.shape, np.uint32)
    over_planes(_pack, phase.shape[0], cells, np.ascontiguousarray(phase), quality)
    inside = np.ascontiguousarray(mask).reshape(-1)
    turns, following = np.full(phase.size, _UNSEEN, np.int16), np.empty(phase.size, np.int32)
    _grow(cells.reshape(-1), inside, turns, following, phase.shape[1] * phase.shape[2], phase.shape[2])
    turns *= inside
    return turns.reshape(phase.shape)


@numba.njit(inline="always")
def _wrapped(x):
    return x - _TURN * np.round(x / _TURN)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _edge_quality(start, stop, quality, phase, mask, magnitude, second, ratio, has_second):
    nx, ny, nz = phase.shape
    one, zero = np.float32(1), np.float32(0)
    for axis in range(3):
        dx, dy, dz = axis == 0, axis == 1, axis == 2
        for i in range(start, min(stop, nx - dx)):
            for j in range(ny - dy):
                for k in range(nz - dz):
                    if not (mask[i, j, k] and mask[i + dx, j + dy, k + dz]):
                        continue
                    step = _wrapped(phase[i + dx, j + dy, k + dz] - phase[i, j, k])
                    good = one - abs(step) / np.float32(np.pi)
                    if has_second:
                        other = _wrapped(second[i + dx, j + dy, k + dz] - second[i, j, k])
                        good *= max(zero, one - abs(step - ratio * other))
                    a, b = magnitude[i, j, k], magnitude[i + dx, j + dy, k + dz]
                    larger = max(a, b)
                    if larger > zero:
                        good *= (min(a, b) / larger) ** 2
                    else:
                        good = zero
                    quality[axis, i, j, k] = 1 + int(np.float32(254) * good)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _pack(start, stop, cells, phase, quality):
    """Into one number for each voxel: the qualities of its three edges, 8 bits each, and the turns across them, 2 each.

    Growing visits voxels all over the volume; what it needs of one should lie in one place, and be small.
    """
    _, _, ny, nz = quality.shape
    for i in range(start, stop):
        for j in range(ny):
            for k in range(nz):
                cell = np.int64(0)
                for axis in range(3):
                    good = np.int64(quality[axis, i, j, k])
                    if good:
                        beyond = phase[i + (axis == 0), j + (axis == 1), k + (axis == 2)]
                        turn = np.int64(np.round((phase[i, j, k] - beyond) / _TURN))
                        cell |= good << (8 * axis) | (turn + 1) << (24 + 2 * axis)
                cells[i, j, k] = cell


@numba.njit(nogil=True, cache=True)
def _grow(cells, mask, turns, following, step_x, step_y):
    # Each bucket is a stack of seen voxels, linked through `following`, by the best edge that leads from them to an
    # unseen one. What was the best may have been seen since: then the voxel moves down.
    newest = np.full(256, -1, np.int32)
    left = 0
    for v in range(mask.size):
        left += mask[v]
    part = np.empty(left, np.int32)
    for seed in range(mask.size):
        if left == 0:
            break
        if not mask[seed] or turns[seed] != _UNSEEN:
            continue
        turns[seed] = 0
        left -= 1
        size = 1
        part[0] = seed
        best = _wait(seed, cells, turns, newest, following, step_x, step_y)
        while best > 0 and left > 0:
            here = np.int64(newest[best])
            if here < 0:
                best -= 1
                continue
            newest[best] = following[here]
            good, way = _best_edge(here, cells, turns, step_x, step_y)
            if good == best:
                axis = way % 3
                step = step_x if axis == 0 else step_y if axis == 1 else 1
                there = here + step if way < 3 else here - step
                across = ((np.int64(cells[here if way < 3 else there]) >> (24 + 2 * axis)) & 3) - 1
                turns[there] = turns[here] + (across if way < 3 else -across)
                left -= 1
                part[size] = there
                size += 1
                best = max(best, _wait(there, cells, turns, newest, following, step_x, step_y))
            _wait(here, cells, turns, newest, following, step_x, step_y)
        _centre(turns, part, size)


@numba.njit(inline="always")
def _best_edge(v, cells, turns, step_x, step_y):
    """The best quality of the edges from a voxel to unseen ones, 0 without any, and the way: +x, +y, +z, −x, …"""
    own = np.int64(cells[v])
    best, way = np.int64(0), 0
    for axis in range(3):
        step = step_x if axis == 0 else step_y if axis == 1 else 1
        good = (own >> (8 * axis)) & 255
        if good > best and turns[v + step] == _UNSEEN:
            best, way = good, axis
        if v >= step:
            good = (np.int64(cells[v - step]) >> (8 * axis)) & 255
            if good > best and turns[v - step] == _UNSEEN:
                best, way = good, axis + 3
    return best, way


@numba.njit(inline="always")
def _wait(v, cells, turns, newest, following, step_x, step_y):
    """Put a seen voxel into the bucket of its best edge to an unseen one, and say which: 0 if it has none."""
    good, _ = _best_edge(v, cells, turns, step_x, step_y)
    if good:
        following[v] = newest[good]
        newest[good] = v
    return good


@numba.njit(nogil=True, cache=True)
def _centre(turns, part, size):
    """Take the (lower) median turn of a part off it."""
    lowest, highest = 32767, -32768
    for i in range(size):
        lowest, highest = min(lowest, turns[part[i]]), max(highest, turns[part[i]])
    count = np.zeros(highest - lowest + 1, np.int64)
    for i in range(size):
        count[turns[part[i]] - lowest] += 1
    median, below = lowest, count[0]
    while 2 * below < size:
        median += 1
        below += count[median - lowest]
    if median:
        for i in range(size):
            turns[part[i]] -= median
