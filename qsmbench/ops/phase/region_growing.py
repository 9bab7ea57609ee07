"""Unwrapping a phase along the most reliable edges between neighbours, the best first.

Edges join neighbouring voxels, each with a quality. From a seed, the region grows over the best edge at its border, and
the new voxel is set to within π of the old one. The edges that are crossed form a maximum spanning tree (Prim's
algorithm), so that the result does not depend on the seed.
"""

from __future__ import annotations

import numba
import numpy as np

from qsmbench.compiled import compiled
from qsmbench.threads import over_planes

_TURN = np.float32(2 * np.pi)
_HALF = np.float32(np.pi)
_VISITED = 1 << 60  # flag of a cell: edges to it are removed


def edge_quality(
    phase: np.ndarray, mask: np.ndarray, magnitude: np.ndarray, second: np.ndarray | None = None, ratio: float = 1.0
) -> np.ndarray:
    """Compute ROMEO's quality of the edges to the next voxel along each axis: 1 (worst) to 255, 0 where there is none.

    It is the product of: phase coherence, 1 − |Δφ|/π; phase gradient coherence, 1 − |Δφ − ratio·Δφ₂| for a second
    echo, Δ being the wrapped difference of the neighbours; and magnitude coherence, (smaller/larger)².

    Args:
        phase: (nx, ny, nz) float32, rad.
        mask: (nx, ny, nz) bool; an edge has both ends in it.
        magnitude: (nx, ny, nz) float32, ≥ 0.
        second: (nx, ny, nz) float32, rad, phase of another echo, or None.
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
    """Find the multiples of 2π that unwrap a phase over each connected part of a mask, with zero median in each part.

    Args:
        phase: (nx, ny, nz) float32, rad, within ±π.
        mask: (nx, ny, nz) bool.
        quality: (3, nx, ny, nz) uint8, see `edge_quality`.

    Returns:
        (nx, ny, nz) int16, to be multiplied by 2π and added; zero outside the mask.

    Reference:
        Dymerska & Eckstein 2021, doi:10.1002/mrm.28563; growing by quality: Jenkinson 2003, doi:10.1002/mrm.10354.
    """
    nx, ny, nz = phase.shape
    # With a plane before and after the volume each voxel has six neighbours, though some without an edge.
    cells, turns = np.zeros((nx + 2, ny, nz), np.int64), np.zeros((nx + 2, ny, nz), np.int16)
    counts = np.zeros((nx, 256), np.int64)
    over_planes(_pack, nx, cells[1:-1], counts, np.ascontiguousarray(phase), quality)
    inside = np.ascontiguousarray(mask).reshape(-1)
    room = np.concatenate([[0], np.cumsum(2 * counts.sum(axis=0))])  # a voxel may be queued for an edge from either end
    _grow(cells.reshape(-1), inside, np.count_nonzero(mask), turns.reshape(-1), room, ny * nz, nz)
    return turns[1:-1]


@numba.njit(inline="always")
def _wrapped(x):
    return x - _TURN * np.round(x / _TURN)


@compiled(error_model="numpy")
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


@compiled(error_model="numpy")
def _pack(start, stop, cells, counts, phase, quality):
    """Pack the qualities of the six edges of each voxel, 8 bits each, and the turns across them, 2 bits each.

    The order of the edges is +x, −x, +y, −y, +z, −z. Growing visits voxels all over the volume, so that the data of
    one should be small and in one place. `counts` receives how many edges of each quality begin in a plane.
    """
    nx, ny, nz = phase.shape
    for i in range(start, stop):
        for j in range(ny):
            for axis in range(3):
                dx, dy, dz = np.int64(axis == 0), np.int64(axis == 1), np.int64(axis == 2)
                ahead, back = 8 * 2 * axis, 8 * (2 * axis + 1)
                if i + dx < nx and j + dy < ny:
                    for k in range(nz - dz):
                        turn = _turn(phase[i, j, k], phase[i + dx, j + dy, k + dz])
                        good = np.int64(quality[axis, i, j, k])
                        cells[i, j, k] |= good << ahead | turn << (48 + ahead // 4)
                    for k in range(nz - dz):
                        counts[i, quality[axis, i, j, k]] += quality[axis, i, j, k] > 0
                if i >= dx and j >= dy:
                    for k in range(dz, nz):
                        turn = _turn(phase[i, j, k], phase[i - dx, j - dy, k - dz])
                        good = np.int64(quality[axis, i - dx, j - dy, k - dz])
                        cells[i, j, k] |= good << back | turn << (48 + back // 4)


@numba.njit(inline="always")
def _turn(here, there):
    """Return one more than the turns to add from one voxel to the next: 0, 1 or 2."""
    step = here - there
    return np.int64(1) + np.int64(step > _HALF) - np.int64(step < -_HALF)


@compiled()
def _grow(cells, mask, left, turns, room, step_x, step_y):
    # Each bucket is a stack of visited voxels with the same quality of their best edge to an unvisited one. Its end may
    # have been visited since: then the voxel moves to a lower bucket. Bucket b lies in `queue` from room[b] on.
    queue, top = np.empty(room[256], np.int32), room[:256].copy()
    steps = np.array([step_x, -step_x, step_y, -step_y, 1, -1])
    part = np.empty(left, np.int32)
    for seed in range(step_x, step_x + mask.size):
        if left == 0:
            break
        if not mask[seed - step_x] or cells[seed] & _VISITED:
            continue
        _visit(seed, cells, step_x, step_y)
        best = _enqueue(seed, cells, queue, top)
        part[0] = seed
        size = 1
        while best > 0 and size < left:
            last = top[best] - 1
            if last < room[best]:
                best -= 1
                continue
            top[best] = last
            here = np.int64(queue[last])
            cell = cells[here]
            edge = _best_edge(cell)
            if edge >> 3 == best:
                direction = 5 - (edge & 7)
                there = here + steps[direction]
                turns[there] = turns[here] + ((cell >> (48 + 2 * direction)) & 3) - 1
                part[size] = there
                size += 1
                _visit(there, cells, step_x, step_y)
                best = max(best, _enqueue(there, cells, queue, top))
            _enqueue(here, cells, queue, top)
        left -= size
        _centre(turns, part, size)


@numba.njit(inline="always")
def _best_edge(cell):
    """Return the best edge of a cell, as 8 · quality + 5 − direction; the first of those equally good."""
    best = ((cell & 255) << 3) | 5
    for direction in range(1, 6):
        best = max(best, (((cell >> (8 * direction)) & 255) << 3) | (5 - direction))
    return best


@numba.njit(inline="always")
def _visit(v, cells, step_x, step_y):
    """Remove the edges that lead to a voxel from the cells around it.

    Beyond the end of a row, this changes the cell in the next row, at the bits of an edge that it does not have.
    """
    cells[v] |= _VISITED
    cells[v + step_x] &= ~(255 << 8)
    cells[v - step_x] &= ~255
    cells[v + step_y] &= ~(255 << 24)
    cells[v - step_y] &= ~(255 << 16)
    cells[v + 1] &= ~(255 << 40)
    cells[v - 1] &= ~(255 << 32)


@numba.njit(inline="always")
def _enqueue(v, cells, queue, top):
    """Put a visited voxel into the bucket of its best edge to an unvisited one, and return which: 0 if it has none."""
    good = _best_edge(cells[v]) >> 3
    if good:
        queue[top[good]] = v
        top[good] += 1
    return good


@compiled()
def _centre(turns, part, size):
    """Subtract the (lower) median of the turns of a part."""
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
