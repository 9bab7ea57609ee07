"""Neighbours among scattered nodes, and the cheapest paths over them, as compiled loops.

Nodes are on a lattice, at most one per cell, each displaced by less than half a spacing. So a node's neighbours are
found in the surrounding cells, without a search tree.
"""

from __future__ import annotations

import numpy as np

from qsmbench.compiled import compiled, leaf
from qsmbench.threads import over_planes

JITTER = 0.45
"""Largest displacement of a node from its lattice point along an axis, in multiples of the spacing."""


@leaf()
def _distance2(a, i, b, j):
    # between rows of a and b: a row by itself would be an array that is made and counted
    x, y, z = a[i, 0] - b[j, 0], a[i, 1] - b[j, 1], a[i, 2] - b[j, 2]
    return x * x + y * y + z * z


@leaf()
def _later(node, number, cells, xyz, farthest, near):
    """Return the number of neighbours with a higher index; write them to `near`, (k,), unless it is empty."""
    i, j, k = cells[node, 0], cells[node, 1], cells[node, 2]
    r = int(farthest + 2 * JITTER)
    right, count = xyz[node, 0] > 0, 0
    for a in range(i, min(i + r + 1, number.shape[0])):
        for b in range(max(j - r, 0) if a > i else j, min(j + r + 1, number.shape[1])):
            for c in range(max(k - r, 0) if a > i or b > j else k + 1, min(k + r + 1, number.shape[2])):
                other = number[a, b, c]
                if other >= 0 and (xyz[other, 0] > 0) == right:
                    near[count] = other
                    count += 1
    return count


def pairs(
    number: np.ndarray, cells: np.ndarray, xyz: np.ndarray, spacing: float, farthest: float
) -> tuple[np.ndarray, np.ndarray]:
    """Find the pairs of close nodes on the same side of the midline.

    Args:
        number: (nx, ny, nz) int32, index of the node of each cell of the lattice; −1 for none.
        cells: (n, 3) int32, of each node, ascending.
        xyz: (n, 3) float64 mm.
        spacing: mm, of the lattice.
        farthest: largest distance, as a share of the spacing.

    Returns:
        the earlier and the later node of each pair, both (pairs,) int32, ascending.
    """
    starts = np.zeros(len(cells) + 1, np.int64)
    over_planes(_count_pairs, len(cells), number, cells, xyz, spacing, farthest, starts[1:])
    starts = np.cumsum(starts)
    first, second = np.empty(starts[-1], np.int32), np.empty(starts[-1], np.int32)
    over_planes(_find_pairs, len(cells), number, cells, xyz, spacing, farthest, starts, first, second)
    return first, second


@compiled()
def _count_pairs(begin, end, number, cells, xyz, spacing, farthest, counts):
    # of the nodes from `begin` up to `end`, each with later ones
    most = (farthest * spacing) * (farthest * spacing)
    near = np.empty((2 * int(farthest + 2 * JITTER) + 1) ** 3, np.int32)
    for node in range(begin, end):
        for n in range(_later(node, number, cells, xyz, farthest, near)):
            counts[node] += _distance2(xyz, node, xyz, near[n]) <= most


@compiled()
def _find_pairs(begin, end, number, cells, xyz, spacing, farthest, starts, first, second):
    # of the same nodes; those of each are written from its place in `starts`
    most = (farthest * spacing) * (farthest * spacing)
    near = np.empty((2 * int(farthest + 2 * JITTER) + 1) ** 3, np.int32)
    for node in range(begin, end):
        at = starts[node]
        for n in range(_later(node, number, cells, xyz, farthest, near)):
            if _distance2(xyz, node, xyz, near[n]) <= most:
                first[at], second[at] = node, near[n]
                at += 1


def nearest(
    number: np.ndarray,
    low: np.ndarray,
    spacing: float,
    xyz: np.ndarray,
    points: np.ndarray,
    reach: np.ndarray,
    most: int,
) -> np.ndarray:
    """Find the nearest nodes of points: for each at most `most`, closer than its `reach`, the nearest first.

    Args:
        number: (nx, ny, nz) int32, index of the node of each cell of the lattice; −1 for none.
        low: (3,) mm, the lattice's first place.
        spacing: mm, of the lattice.
        xyz: (n, 3) float64 mm, of the nodes.
        points: (m, 3) float64 mm.
        reach: (m,) mm.
        most: k.

    Returns:
        (m, k) int32, indices of the nodes; −1 if there are fewer.
    """
    near, gap = np.full((len(points), most), -1, np.int32), np.full((len(points), most), np.inf)
    over_planes(_find_nearest, len(points), number, low, spacing, xyz, points, reach, near, gap)
    return near


@compiled()
def _find_nearest(begin, end, number, low, spacing, xyz, points, reach, near, gap):
    # for the points from `begin` up to `end`
    start, stop, most = np.empty(3, np.int64), np.empty(3, np.int64), near.shape[1]
    for p in range(begin, end):
        for axis in range(3):
            at, width = (points[p, axis] - low[axis]) / spacing, reach[p] / spacing + JITTER + 1e-6
            start[axis] = max(int(np.ceil(at - width)), 0)
            stop[axis] = min(int(np.floor(at + width)) + 1, number.shape[axis])
        for i in range(start[0], stop[0]):
            for j in range(start[1], stop[1]):
                for k in range(start[2], stop[2]):
                    node = number[i, j, k]
                    if node < 0:
                        continue
                    d = np.sqrt(_distance2(points, p, xyz, node))
                    if d >= reach[p] or d >= gap[p, most - 1]:
                        continue
                    rank = most - 1
                    while rank > 0 and gap[p, rank - 1] > d:
                        near[p, rank], gap[p, rank] = near[p, rank - 1], gap[p, rank - 1]
                        rank -= 1
                    near[p, rank], gap[p, rank] = node, d


@leaf()
def _cost(a, i, b, j, more, lean):
    """Return the cost [mm] of a step from row i of a to row j of b, (n, 3) mm; `more` and `lean` are as for `steps`."""
    x, y, z = a[i, 0] - b[j, 0], a[i, 1] - b[j, 1], a[i, 2] - b[j, 2]
    length = np.sqrt(x * x + y * y + z * z)
    return max(length * (1 + more) - (x * lean[0] + y * lean[1] + z * lean[2]), 1e-3)


@compiled()
def costs(sources, start, xyz, stop, more, lean):
    """Return the costs [mm] of steps from sources to nodes, (s,).

    Args:
        sources: (m, 3) float64 mm.
        start: (s,) int64, index of a source.
        xyz: (n, 3) float64 mm, of the nodes.
        stop: (s,) int32, index of a node.
        more: (s,) float64, increase of the cost of a step, relative to its length.
        lean: (3,) float64, preferred direction of flow; steps go against it.
    """
    found = np.empty(len(start))
    for s in range(len(start)):
        found[s] = _cost(sources, start[s], xyz, stop[s], more[s], lean)
    return found


@compiled()
def steps(xyz, first, second, more, lean):
    """Return the steps along pairs of nodes in both directions, by start node.

    Args:
        xyz: (n, 3) float64 mm.
        first: (pairs,) int32, the one node.
        second: (pairs,) int32, the other node.
        more: (2·pairs,) float64, increase of the cost of a step, relative to its length: all forward, then all
            backward; empty for 0.
        lean: (3,) float64, preferred direction of flow; steps go against it.

    Returns:
        offsets of each node's steps, (n + 1,) int64; their target nodes, (2·pairs,) int32; their costs, (2·pairs,) mm.
    """
    begins = np.zeros(len(xyz) + 1, np.int64)
    for p in range(len(first)):
        begins[first[p] + 1] += 1
        begins[second[p] + 1] += 1
    for node in range(len(xyz)):
        begins[node + 1] += begins[node]
    at = begins[:-1].copy()
    stops, paid = np.empty(2 * len(first), np.int32), np.empty(2 * len(first))
    for p in range(len(first)):
        a, b = first[p], second[p]
        there, back = (more[p], more[len(first) + p]) if more.size else (0.0, 0.0)
        stops[at[a]], paid[at[a]] = b, _cost(xyz, a, xyz, b, there, lean)
        stops[at[b]], paid[at[b]] = a, _cost(xyz, b, xyz, a, back, lean)
        at[a] += 1
        at[b] += 1
    return begins, stops, paid


@leaf()
def _rise(heap, place, way, at):
    node = heap[at]
    while at > 0 and way[heap[(at - 1) // 2]] > way[node]:
        heap[at] = heap[(at - 1) // 2]
        place[heap[at]] = at
        at = (at - 1) // 2
    heap[at], place[node] = node, at


@leaf()
def _sink(heap, place, way, size):
    node, at = heap[0], 0
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and way[heap[child + 1]] < way[heap[child]]:
            child += 1
        if way[heap[child]] >= way[node]:
            break
        heap[at] = heap[child]
        place[heap[at]] = at
        at = child
    heap[at], place[node] = node, at


@compiled()
def spread(way, before, begins, stops, paid, longest, shift):
    """Extend the known paths to neighbouring nodes, the cheapest first (Dijkstra 1959); in place.

    Args:
        way: (n,) float64, cost of the path to each node; infinite if none is known.
        before: (n,) int32, predecessor of each node on its path.
        begins: (n + 1,) int64, from `steps`, like the next two.
        stops: (s,) int32.
        paid: (s,) float64.
        longest: largest cost of a path.
        shift: offset added to a node's index in `before`.
    """
    heap, place, size = np.empty(len(way), np.int32), np.full(len(way), -1, np.int32), 0
    for node in range(len(way)):
        if way[node] < np.inf:
            heap[size] = node
            _rise(heap, place, way, size)
            size += 1
    while size > 0:
        node = heap[0]
        size -= 1
        if size > 0:
            heap[0] = heap[size]
            _sink(heap, place, way, size)
        for s in range(begins[node], begins[node + 1]):
            other, total = stops[s], way[node] + paid[s]
            if total < way[other] and total <= longest:
                if place[other] < 0:
                    heap[size], place[other] = other, size
                    size += 1
                way[other], before[other] = total, node + shift
                _rise(heap, place, way, place[other])
