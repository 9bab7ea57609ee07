"""Painting of thousands of tubes, most of them thinner than a voxel, in one pass."""

from __future__ import annotations

import numpy as np

from qsmbench.compiled import compiled, leaf
from qsmbench.grid import Grid
from qsmbench.phantom.painting.bounds import SAFETY
from qsmbench.phantom.painting.paint import blend, diagonal, places_in_voxel, world
from qsmbench.threads import over_planes

BRICK = 4
"""Edge length of the bricks into which tubes are sorted [voxels]."""

FINEST_PART = 0.17
"""Parts into which voxels are cut are at most this long [mm], ..."""

MOST_PARTS = 6
"""... but a voxel is cut into at most this many along each axis."""


def paint_tubes(
    grid: Grid,
    tubes: list[np.ndarray],
    values: np.ndarray,
    names: np.ndarray,
    stack: np.ndarray,
    weight: np.ndarray,
    labels: np.ndarray,
) -> None:
    """Paint tubes over maps, in place. Where tubes overlap, each sub-voxel belongs to the tube that it is deepest in.

    A tube's cross-section is preserved even if it is much thinner than a voxel. Each voxel is written by a single
    thread, with its tubes in order, so the result does not depend on the number of threads.

    Args:
        grid: voxel grid.
        tubes: (n, 4) float64 each, points x, y, z, radius [mm].
        values: (tubes, c) float32, values of the maps in each tube.
        names: (tubes,) uint8, labels.
        stack: (c, nx, ny, nz) float32, the maps.
        weight: (nx, ny, nz) float32, fraction of the voxel that its label fills.
        labels: (nx, ny, nz) uint8.
    """
    if not tubes:
        return
    size = np.array(grid.voxel_size)
    fine = np.clip(np.ceil(size / FINEST_PART - 1e-6), 1, MOST_PARTS).astype(np.int64)
    step = float(np.prod(size / fine) ** (1 / 3))
    points, owner = np.concatenate(tubes), np.repeat(np.arange(len(tubes)), [len(t) for t in tubes])
    joined = owner[1:] == owner[:-1]
    segments, owner = np.hstack([points[:-1], points[1:]])[joined], owner[1:][joined]
    segments[:, 3], segments[:, 7] = tube_radius(segments[:, 3], step), tube_radius(segments[:, 7], step)
    bricks, starts, lists = _sort_into_bricks(grid, segments, step)
    balls = _balls(segments, (float(np.linalg.norm(size)) + step) / 2)
    over_planes(
        _paint, len(bricks), grid.affine, bricks, starts, lists, segments, balls, owner, fine, step,
        values.astype(np.float32), names, stack, weight, labels,
    )  # fmt: skip


def tube_radius(radius: np.ndarray, step: float) -> np.ndarray:
    """Return the radii [mm] at which a partial-volume ramp of width `step` [mm] preserves the cross-section π·radius².

    The ramp holds π/(3h)·[(a + h/2)³ − max(a − h/2, 0)³]; below a = h/2 the second term is none.
    """
    thin = np.cbrt(3 * step * radius**2)
    thick = np.sqrt(np.maximum(radius**2 - step**2 / 12, 0))
    return np.where(thin < step, thin - step / 2, thick)


def _sort_into_bricks(grid: Grid, segments: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return bricks (n, 3) that segments touch, where the list of each starts (n + 1,), and the lists, ascending."""
    inverse = np.linalg.inv(grid.affine)
    a = segments[:, :3] @ inverse[:3, :3].T + inverse[:3, 3]
    b = segments[:, 4:7] @ inverse[:3, :3].T + inverse[:3, 3]
    reach = (np.maximum(segments[:, 3], segments[:, 7])[:, None] + step / 2) / np.array(grid.voxel_size) + 0.5
    low, high = np.minimum(a, b) - reach, np.maximum(a, b) + reach
    last = np.array(grid.shape) - 1
    inside = ((high >= 0) & (low <= last)).all(1)
    low = (np.clip(np.ceil(low), 0, last) // BRICK).astype(np.int64)
    high = (np.clip(np.floor(high), 0, last) // BRICK).astype(np.int64)
    count = (last // BRICK) + 1
    spans = np.where(inside[:, None], np.maximum(high - low + 1, 0), 0)
    amount = spans.prod(1)
    which = np.repeat(np.arange(len(segments)), amount)
    turn = np.arange(len(which)) - np.repeat(np.cumsum(amount) - amount, amount)
    x, rest = np.divmod(turn, (spans[:, 1] * spans[:, 2])[which])
    y, z = np.divmod(rest, spans[which, 2])
    index = np.ravel_multi_index(tuple((low[which] + np.stack([x, y, z], 1)).T), tuple(count))
    order = np.argsort(index, kind="stable")
    found, starts = np.unique(index[order], return_index=True)
    bricks = np.stack(np.unravel_index(found, tuple(count)), 1)
    return bricks.astype(np.int64), np.append(starts, len(order)), which[order]


def _balls(segments: np.ndarray, reach: float) -> np.ndarray:
    """Return the balls outside of which points are farther from segments than `reach` [mm]: (n, 4) centre, radius²."""
    start, stop, radius = segments[:, :3], segments[:, 4:7], np.maximum(segments[:, 3], segments[:, 7])
    farthest = np.linalg.norm(stop - start, axis=1) / 2 + radius + reach + SAFETY
    return np.column_stack([(start + stop) / 2, farthest**2])


@leaf()
def _depth(x, y, z, s):
    """Return the distance [mm] of a point from the surface of segment `s`, (8,), negative inside."""
    dx, dy, dz = s[4] - s[0], s[5] - s[1], s[6] - s[2]
    ax, ay, az = x - s[0], y - s[1], z - s[2]
    t = (ax * dx + ay * dy + az * dz) / max(dx * dx + dy * dy + dz * dz, 1e-12)
    t = min(max(t, 0.0), 1.0)
    gap = np.sqrt((ax - t * dx) ** 2 + (ay - t * dy) ** 2 + (az - t * dz) ** 2)
    return gap - s[3] - t * (s[7] - s[3])


@leaf(error_model="numpy")
def _place_parts(x, y, z, affine, places, parts):
    """Compute the centres of the parts of a voxel at x, y, z [mm], into `parts`, (3, n) mm.

    `places`, (n, 3) 0–1, are theirs in the voxel.
    """
    for part in range(parts.shape[1]):
        a, b, c = places[part, 0] - 0.5, places[part, 1] - 0.5, places[part, 2] - 0.5
        parts[0, part] = x + affine[0, 0] * a + affine[0, 1] * b + affine[0, 2] * c
        parts[1, part] = y + affine[1, 0] * a + affine[1, 1] * b + affine[1, 2] * c
        parts[2, part] = z + affine[2, 0] * a + affine[2, 1] * b + affine[2, 2] * c


@leaf(error_model="numpy")
def _own(parts, s, m, least, owners):
    """Give those of `parts` to segment `m`, whose numbers are `s`, (8,), that lie deeper in it than their `least`.

    The distance is that of `_depth`. There are no branches, so that the compiler takes several parts at once.
    """
    dx, dy, dz = s[4] - s[0], s[5] - s[1], s[6] - s[2]
    square, wider = max(dx * dx + dy * dy + dz * dz, 1e-12), s[7] - s[3]
    for p in range(parts.shape[1]):
        ax, ay, az = parts[0, p] - s[0], parts[1, p] - s[1], parts[2, p] - s[2]
        t = min(max((ax * dx + ay * dy + az * dz) / square, 0.0), 1.0)
        gap = np.sqrt((ax - t * dx) ** 2 + (ay - t * dy) ** 2 + (az - t * dz) ** 2)
        d = gap - s[3] - t * wider
        closer = d < least[p]
        owners[p] = m if closer else owners[p]
        least[p] = d if closer else least[p]


@leaf(error_model="numpy")
def _shares(segments, near, parts, step, least, owners, share):
    """Compute the share of a voxel of each segment of `near`, into `share`; each of its `parts` has one owner."""
    share[: near.size] = 0.0
    least[:], owners[:] = step / 2, -1
    for m in range(near.size):
        _own(parts, segments[near[m]], m, least, owners)
    for p in range(least.size):
        if owners[p] >= 0:
            share[owners[p]] += min(0.5 - least[p] / step, 1.0) / least.size


@leaf()
def _find(x, y, z, nearby, segments, balls, half, step, near, share):
    """Find, into `near`, the `nearby` segments that may touch a voxel; return how many, −1 if the first fills it."""
    n = 0
    for at in range(nearby.size):
        s = nearby[at]
        a, b, c = x - balls[s, 0], y - balls[s, 1], z - balls[s, 2]
        if a * a + b * b + c * c > balls[s, 3]:
            continue
        d = _depth(x, y, z, segments[s])
        if d < -half - step / 2:
            near[0], share[0] = s, 1.0
            return -1
        if d < half + step / 2:
            near[n] = s
            n += 1
    return n


@compiled()
def _paint(
    first, stop, affine, bricks, starts, lists, segments, balls, owner, fine, step, values, names, stack, weight, labels
):  # fmt: skip
    half, places = diagonal(affine) / 2, places_in_voxel(fine)
    count = places.shape[0]
    parts, least, owners = np.empty((3, count)), np.empty(count), np.empty(count, np.int64)
    mixed = np.empty(stack.shape[0])
    for brick in range(first, stop):
        nearby = lists[starts[brick] : starts[brick + 1]]
        near, share = np.empty(nearby.size, np.int64), np.empty(nearby.size)
        for i in range(bricks[brick, 0] * BRICK, min((bricks[brick, 0] + 1) * BRICK, stack.shape[1])):
            for j in range(bricks[brick, 1] * BRICK, min((bricks[brick, 1] + 1) * BRICK, stack.shape[2])):
                for k in range(bricks[brick, 2] * BRICK, min((bricks[brick, 2] + 1) * BRICK, stack.shape[3])):
                    x, y, z = world(float(i), float(j), float(k), affine)
                    n = _find(x, y, z, nearby, segments, balls, half, step, near, share)
                    if n > 0:
                        _place_parts(x, y, z, affine, places, parts)
                        _shares(segments, near[:n], parts, step, least, owners, share)
                    n = abs(n)
                    filled = share[:n].sum()
                    if filled == 0:
                        continue
                    mixed[:] = 0
                    for m in range(n):
                        for c in range(mixed.size):
                            mixed[c] += share[m] / filled * values[owner[near[m]], c]
                    name = names[owner[near[np.argmax(share[:n])]]]
                    blend(filled, mixed, name, stack, weight, labels, i, j, k)
