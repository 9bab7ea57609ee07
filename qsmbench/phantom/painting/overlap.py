"""Labels of an image to the voxels of any grid, by the volume of each label in each voxel."""

from __future__ import annotations

import numpy as np

from qsmbench.compiled import compiled, leaf
from qsmbench.phantom.painting.paint import world

PARTS = 4
"""Boxes per voxel of the image along an axis that is turned against its axes: enough for 1 % of a single voxel."""

TURNED = 1e-3
"""Voxels of the image by which an axis may leave that of the image within a voxel, and still count as parallel."""

NEAR = 1e-4
"""Voxels of the image within which an edge counts as on one of its: affines are stored in single precision."""

FLAT = 1e-4
"""Change of the distance from a plane along an edge of a box, of that across the box, that is too small to matter."""

TIE = 1e-6
"""Difference of volume fractions that is due to rounding."""


def division(to_image: np.ndarray) -> np.ndarray:
    """Return the number of boxes that a voxel is divided into along each axis, (3,) int64.

    Each box counts as one with edges along the image's axes, as wide as it extends along each. Such boxes overlap with
    the image's voxels as those of the grid do if the axes are parallel, so that one box is exact; otherwise the volume
    of a label is right on average over the grid, and small boxes make it so within each of the label's voxels.

    Args:
        to_image: (4, 4), voxel index → index in the image.
    """
    steps = np.abs(to_image[:3, :3])
    parallel = steps.sum(0) - steps.max(0) < TURNED
    return np.where(parallel, 1, np.ceil(PARTS * np.linalg.norm(steps, axis=0) - TIE)).astype(np.int64)


def extent(to_image: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """Return how far a voxel divided into `parts`, (3,), extends along the image's axes, (3,) voxels of the image."""
    return np.abs(to_image[:3, :3]) @ (1 / parts)


@leaf()
def _edges(centre, width):
    # where a box of the image begins and ends, in voxels from the image's edge
    low, high = centre + 0.5 - width / 2, centre + 0.5 + width / 2
    near = NEAR * min(width, 1.0)
    if abs(low - np.rint(low)) < near:
        low = np.rint(low)
    if abs(high - np.rint(high)) < near:
        high = np.rint(high)
    return low, high, int(np.floor(low)), int(np.ceil(high))


@leaf()
def _label(labels, u, v, w):
    # 0 outside the image
    inside = 0 <= u < labels.shape[0] and 0 <= v < labels.shape[1] and 0 <= w < labels.shape[2]
    return np.int64(labels[u, v, w]) if inside else np.int64(0)


@leaf()
def _only_label(labels, to_image, size, i, j, k):
    # the label of all voxels of the image that a voxel touches; −1 if they have several
    a, b, c = world(float(i), float(j), float(k), to_image)
    _, _, u0, u1 = _edges(a, size[0])
    _, _, v0, v1 = _edges(b, size[1])
    _, _, w0, w1 = _edges(c, size[2])
    first = _label(labels, u0, v0, w0)
    for u in range(u0, u1):
        for v in range(v0, v1):
            for w in range(w0, w1):
                if _label(labels, u, v, w) != first:
                    return np.int64(-1)
    return first


@leaf()
def _beyond(depth, dx, dy, dz):
    # the share of a box on the positive side of a plane, whose distance is `depth` at its centre, and changes by the
    # other arguments along its edges
    across = dx + dy + dz
    if across == 0 or depth >= across / 2:
        return 1.0
    if depth <= -across / 2:
        return 0.0
    if across - max(dx, dy, dz) < FLAT * across:
        return min(max(0.5 + depth / across, 0.0), 1.0)
    # the cube of positive parts is three times the integral of its square, and so on, along each edge
    least = FLAT * across
    dx, dy, dz = max(dx, least), max(dy, least), max(dz, least)
    total = 0.0
    for corner in range(8):
        x, y, z = corner % 2 - 0.5, corner // 2 % 2 - 0.5, corner // 4 - 0.5
        sign = 1 if x * y * z > 0 else -1
        total += sign * max(depth + x * dx + y * dy + z * dz, 0.0) ** 3
    return min(max(total / (6 * dx * dy * dz), 0.0), 1.0)


@leaf()
def _in_box(labels, a, b, c, width, plane, ramp, even, found):
    # add the share of a box that each label fills; the arguments are in voxels of the image
    a0, a1, u0, u1 = _edges(a, width[0])
    b0, b1, v0, v1 = _edges(b, width[1])
    c0, c1, w0, w1 = _edges(c, width[2])
    volume = (a1 - a0) * (b1 - b0) * (c1 - c0)
    nu, nv, nw = labels.shape
    for u in range(u0, u1):
        low_a, high_a = max(a0, float(u)), min(a1, u + 1.0)
        dx = high_a - low_a
        for v in range(v0, v1):
            low_b, high_b = max(b0, float(v)), min(b1, v + 1.0)
            dy = high_b - low_b
            for w in range(w0, w1):
                low_c, high_c = max(c0, float(w)), min(c1, w + 1.0)
                dz = high_c - low_c
                share = dx * dy * dz / volume
                if not even:
                    x, y, z = (low_a + high_a - 1) / 2, (low_b + high_b - 1) / 2, (low_c + high_c - 1) / 2
                    share *= min(max(ramp[0] * x + ramp[1] * y + ramp[2] * z + ramp[3], 0.0), 1.0)
                    depth = plane[0] * x + plane[1] * y + plane[2] * z + plane[3]
                    share *= _beyond(depth, abs(plane[0]) * dx, abs(plane[1]) * dy, abs(plane[2]) * dz)
                if 0 <= u < nu and 0 <= v < nv and 0 <= w < nw:
                    found[labels[u, v, w]] += share
                else:
                    found[0] += share


@leaf()
def _shares(labels, to_image, parts, width, plane, ramp, even, i, j, k, found):
    # the share of a voxel that each label fills on the chosen side of the plane, times the ramp
    found[:] = 0
    count = parts[0] * parts[1] * parts[2]
    for part in range(count):
        a = i + ((part % parts[0]) + 0.5) / parts[0] - 0.5
        b = j + ((part // parts[0] % parts[1]) + 0.5) / parts[1] - 0.5
        c = k + ((part // (parts[0] * parts[1])) + 0.5) / parts[2] - 0.5
        u, v, w = world(a, b, c, to_image)
        _in_box(labels, u, v, w, width, plane, ramp, even, found)
    for label in range(found.size):
        found[label] /= count


@compiled(error_model="numpy")
def mix(start, stop, labels, to_image, parts, width, size, values, region_of, inside, stack, out, weight, share):
    """Give each voxel the mean of the labels in it, by volume; over some planes, in place.

    Args:
        start: first plane.
        stop: one past the last.
        labels: (mx, my, mz) uint8.
        to_image: (4, 4) float64, voxel index → index in the image.
        parts: (3,) int64, of a voxel, see `division`.
        width: (3,) float64, of each part, see `extent`.
        size: (3,) float64, of the voxel.
        values: (256, c) float32, of each label.
        region_of: (256,) uint8, the region that each label belongs to.
        inside: (256,) bool, the labels of the mask.
        stack: (c, nx, ny, nz) float32, the maps.
        out: (nx, ny, nz) uint8, the region that fills most of the voxel.
        weight: (nx, ny, nz) float32, the share that it fills.
        share: (nx, ny, nz) float32, the share of the mask.
    """
    found, filled, total, nowhere = np.zeros(256), np.zeros(256), np.zeros(stack.shape[0]), np.zeros(4)
    for i in range(start, stop):
        for j in range(out.shape[1]):
            for k in range(out.shape[2]):
                only = _only_label(labels, to_image, size, i, j, k)
                if only >= 0:
                    out[i, j, k], weight[i, j, k], share[i, j, k] = region_of[only], 1, inside[only]
                    for s in range(stack.shape[0]):
                        if stack[s, i, j, k] != values[only, s]:  # a map that stays zero takes no memory
                            stack[s, i, j, k] = values[only, s]
                    continue
                _shares(labels, to_image, parts, width, nowhere, nowhere, True, i, j, k, found)
                a, b, c = world(float(i), float(j), float(k), to_image)
                # of regions that fill as much, the one at the centre: none grows at the cost of the others
                middle = _label(labels, int(np.floor(a + 0.5)), int(np.floor(b + 0.5)), int(np.floor(c + 0.5)))
                covered, most = 0.0, np.int64(region_of[middle])
                filled[:], total[:] = 0, 0
                for label in range(256):
                    if found[label] > 0:
                        filled[region_of[label]] += found[label]
                        covered += found[label] * inside[label]
                        for s in range(total.size):
                            total[s] += found[label] * values[label, s]
                for region in range(256):
                    if filled[region] > filled[most] + TIE:
                        most = np.int64(region)
                out[i, j, k], weight[i, j, k], share[i, j, k] = most, filled[most], covered
                for s in range(total.size):
                    if stack[s, i, j, k] != total[s]:
                        stack[s, i, j, k] = total[s]


@compiled(error_model="numpy")
def share_of(start, stop, labels, to_image, parts, width, size, plane, ramp, chosen, share):
    """Compute the share of each voxel that labels fill, in place; arguments in common with `mix` have the same meaning.

    Args:
        plane: (4,) float64, p·u + q is positive at the places u of the image that count; if p is 0, all do.
        ramp: (4,) float64, p·u + q, clipped to 0–1, is how much a place of the image counts.
        chosen: (256,) bool, the labels.
        share: (nx, ny, nz) float32.
    """
    found, even = np.zeros(256), not (np.any(plane[:3] != 0) or np.any(ramp[:3] != 0))
    for i in range(start, stop):
        for j in range(share.shape[1]):
            for k in range(share.shape[2]):
                only = _only_label(labels, to_image, size, i, j, k)
                if only >= 0 and (even or not chosen[only]):
                    share[i, j, k] = chosen[only]
                    continue
                _shares(labels, to_image, parts, width, plane, ramp, even, i, j, k, found)
                total = 0.0
                for label in range(256):
                    if chosen[label]:
                        total += found[label]
                share[i, j, k] = total
