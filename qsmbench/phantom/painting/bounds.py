"""Bounds of a shape's signed distance in a box, by interval arithmetic, to classify many points at once.

The bounds are exact for the rounded results of `distances`: if they show that a box is entirely outside or inside a
shape, no point in it needs to be evaluated.
"""

from __future__ import annotations

import numpy as np

from qsmbench.compiled import compiled, leaf
from qsmbench.phantom.painting import distance as op
from qsmbench.phantom.painting.distance import distances
from qsmbench.threads import over_planes

SAFETY = 1e-6
"""mm, far more than what rounding may add to a distance."""

MOST_POINTS = 1000
"""Points of a map that are looked at for its bounds; in a larger box they are left open."""

RUN = 8
"""Points in a row that `inside` looks at together."""


@leaf()
def _map(u, v, w, hu, hv, hw, q, o, data):
    # the values at the corners of all cells that the box touches enclose those between them
    nx, ny, nz = int(q[o]), int(q[o + 1]), int(q[o + 2])
    i0, i1 = int(min(max(u - hu, 0.0), nx - 1.001)), int(min(max(u + hu, 0.0), nx - 1.001)) + 2
    j0, j1 = int(min(max(v - hv, 0.0), ny - 1.001)), int(min(max(v + hv, 0.0), ny - 1.001)) + 2
    k0, k1 = int(min(max(w - hw, 0.0), nz - 1.001)), int(min(max(w + hw, 0.0), nz - 1.001)) + 2
    limit = q[o + 6]
    if (i1 - i0) * (j1 - j0) * (k1 - k0) > MOST_POINTS:
        return -limit, limit
    least, most = np.inf, -np.inf
    for i in range(i0, i1):
        for j in range(j0, j1):
            row = int(q[o + 3]) + (i * ny + j) * nz
            for k in range(row + k0, row + k1):
                least, most = min(least, data[k]), max(most, data[k])
    a, b = (q[o + 4] - least) * q[o + 5], (q[o + 4] - most) * q[o + 5]
    return min(max(min(a, b) - SAFETY, -limit), limit), min(max(max(a, b) + SAFETY, -limit), limit)


@leaf()
def _ellipsoid(u, v, w, hu, hv, hw, q, o):
    e, shortest, longest = q[o + 3], min(q[o], q[o + 1], q[o + 2]), max(q[o], q[o + 1], q[o + 2])
    if e < 1:
        return -np.inf, np.inf
    a, b, c = max(abs(u) - hu, 0.0) / q[o], max(abs(v) - hv, 0.0) / q[o + 1], max(abs(w) - hw, 0.0) / q[o + 2]
    near = (a**e + b**e + c**e) ** (1 / e) - 1
    a, b, c = (abs(u) + hu) / q[o], (abs(v) + hv) / q[o + 1], (abs(w) + hw) / q[o + 2]
    far = (a**e + b**e + c**e) ** (1 / e) - 1
    # 1/|∇f| lies between the shortest and the longest radius, but for a factor √3 where the exponent is not 2
    rounder = 1.0 if e == 2 else np.sqrt(3.0)
    shorter, longer = shortest / rounder, longest * rounder
    low = max(near * (shorter if near > 0 else longer), -shortest)
    high = max(far * (longer if far > 0 else shorter), -shortest)
    return low - SAFETY, high + SAFETY


@leaf()
def _tube(u, v, w, radius, q, o):
    low, high = 1e9, 1e9
    for i in range(int(q[o]) - 1):
        p, n = o + 1 + 4 * i, o + 5 + 4 * i
        dx, dy, dz = q[n] - q[p], q[n + 1] - q[p + 1], q[n + 2] - q[p + 2]
        ax, ay, az = u - q[p], v - q[p + 1], w - q[p + 2]
        square = max(dx * dx + dy * dy + dz * dz, 1e-12)
        t = min(max((ax * dx + ay * dy + az * dz) / square, 0.0), 1.0)
        gap = np.sqrt((ax - t * dx) ** 2 + (ay - t * dy) ** 2 + (az - t * dz) ** 2)
        wider = q[n + 3] - q[p + 3]
        middle, slope = gap - q[p + 3] - t * wider, 1 + abs(wider) / np.sqrt(square)
        low, high = min(low, middle - slope * radius), min(high, middle + slope * radius)
    return low - SAFETY, high + SAFETY


@leaf()
def _loft(u, v, w, hu, hv, hw, q, o):
    # the section's centre, size and exponent change by no more than their largest slopes times hw
    p = q[o:]
    x, y, wide, deep, e, _, _, _, _ = op.loft_section(w, p)
    beyond = max(max(p[1] - w, w - p[2]), 0.0)  # there the section is constant
    reach = max(hw - beyond, 0.0)
    bx, by, bw, bd, be = p[3] * reach, p[4] * reach, p[5] * reach, p[6] * reach, p[7] * reach
    least_wide, most_wide = max(wide - bw, 1e-3), wide + bw
    least_deep, most_deep = max(deep - bd, 1e-3), deep + bd
    low_e, high_e = max(e - be, 2.0), e + be
    a, b = max(abs(u - x) - hu - bx, 0.0) / most_wide, max(abs(v - y) - hv - by, 0.0) / most_deep
    near = (a**high_e + b**high_e) ** (1 / high_e) - 1
    a, b = (abs(u - x) + hu + bx) / least_wide, (abs(v - y) + hv + by) / least_deep
    far = (a**low_e + b**low_e) ** (1 / low_e) - 1
    # |∇k| is between 1/(√2·longest) and 1/shortest in the plane, and more by the slopes
    steep = 1 + p[3] + p[4] + a * p[5] + b * p[6]
    shorter = min(least_wide, least_deep) / steep
    longer = np.sqrt(2.0) * max(most_wide, most_deep)
    low = max(near * (shorter if near > 0 else longer), -min(most_wide, most_deep))
    high = max(far * (longer if far > 0 else shorter), -min(least_wide, least_deep))
    low = max(low, max(p[1] - w, w - p[2]) - hw)
    high = max(high, max(p[1] - w, w - p[2]) + hw)
    return low - SAFETY, high + SAFETY


@leaf()
def _primitive(kind, p, o, x, y, z, hx, hy, hz, data):
    if p[o] > 0:
        x = abs(x)
    u = p[o + 1] * x + p[o + 2] * y + p[o + 3] * z + p[o + 4]
    v = p[o + 5] * x + p[o + 6] * y + p[o + 7] * z + p[o + 8]
    w = p[o + 9] * x + p[o + 10] * y + p[o + 11] * z + p[o + 12]
    hu = abs(p[o + 1]) * hx + abs(p[o + 2]) * hy + abs(p[o + 3]) * hz + SAFETY
    hv = abs(p[o + 5]) * hx + abs(p[o + 6]) * hy + abs(p[o + 7]) * hz + SAFETY
    hw = abs(p[o + 9]) * hx + abs(p[o + 10]) * hy + abs(p[o + 11]) * hz + SAFETY
    o += op.HEADER
    if kind == op.MAP:
        return _map(u, v, w, hu, hv, hw, p, o, data)
    if kind == op.HALF_SPACE:
        return w - hw, w + hw
    if kind == op.ELLIPSOID:
        return _ellipsoid(u, v, w, hu, hv, hw, p, o)
    if kind == op.LOFT:
        return _loft(u, v, w, hu, hv, hw, p, o)
    radius = np.sqrt(hu * hu + hv * hv + hw * hw)
    if kind == op.TUBE:
        return _tube(u, v, w, radius, p, o)
    if kind == op.BOX:
        a, b, c = abs(u) - p[o] + p[o + 3], abs(v) - p[o + 1] + p[o + 3], abs(w) - p[o + 2] + p[o + 3]
        outside = np.sqrt(max(a, 0.0) ** 2 + max(b, 0.0) ** 2 + max(c, 0.0) ** 2)
        d = outside + min(max(a, max(b, c)), 0.0) - p[o + 3]
        return d - radius, d + radius
    return -p[o + 2], p[o + 2]  # a gyroid


@leaf()
def bounds(x, y, z, hx, hy, hz, code, parameters, data, low, high, begin, short):
    """Return the lowest and the highest signed distance [mm] of points in a box, and the length of a shorter program.

    The shorter program gives the same distance to the last bit at each of these points: it leaves out the parts of the
    shape that are too far from the box to count.

    Args:
        x: mm, of the box's centre; so are y and z.
        y: mm.
        z: mm.
        hx: mm, half the box's width along x; so are hy and hz along y and z.
        hy: mm.
        hz: mm.
        code: (n, 2) int64, as for `distances`; so are the next two.
        parameters: (m,) float64.
        data: (k,) float32.
        low: (n,) float64, workspace.
        high: (n,) float64, the same.
        begin: (n,) int64, the same.
        short: (n, 2) int64, the shorter program, which is written there; it may be `code` itself.
    """
    top, length, least, left = -1, 0, np.inf, False
    for i in range(code.shape[0]):
        kind, o = code[i, 0], code[i, 1]
        if op.UNION <= kind <= op.DIFFERENCE:
            top -= 1
            a, b = top, top + 1
            first, second = _counting(kind, parameters, o, low[a], high[a], low[b], high[b])
            if not first and not (left and a == 0):  # what may leave is needed for that
                size = begin[b] - begin[a]
                for m in range(begin[b], length):
                    short[m - size, 0], short[m - size, 1] = short[m, 0], short[m, 1]
                low[a], high[a], length = low[b], high[b], length - size
                continue
            if not second:
                length = begin[b]
                continue
        if kind < op.UNION:
            top += 1
            begin[top] = length
            low[top], high[top] = _primitive(kind, parameters, o, x, y, z, hx, hy, hz, data)
        elif kind == op.UNION:
            low[top] = min(low[top], low[top + 1]) - parameters[o] / 4 - SAFETY
            high[top] = min(high[top], high[top + 1])
        elif kind == op.INTERSECTION:
            low[top] = max(low[top], low[top + 1])
            high[top] = max(high[top], high[top + 1]) + parameters[o] / 4 + SAFETY
        elif kind == op.DIFFERENCE:
            thin = parameters[o + 1] / 2
            least_thin, most_thin = low[top] - high[top + 1] + thin - SAFETY, high[top] - low[top + 1] + thin + SAFETY
            low[top] = max(max(low[top], -high[top + 1]), least_thin)
            high[top] = max(max(high[top], -low[top + 1]) + parameters[o] / 4 + SAFETY, most_thin)
        elif kind == op.SCALE:
            low[top], high[top] = low[top] * parameters[o], high[top] * parameters[o]
        elif kind == op.OFFSET:
            low[top], high[top] = low[top] - parameters[o] - SAFETY, high[top] - parameters[o] + SAFETY
        elif kind == op.LEAVE:
            if low[0] > parameters[o]:
                return min(low[0], least), np.inf if left else high[0], length
            if high[0] <= parameters[o]:
                continue
            least, left = min(least, parameters[o]), True  # some points may leave, with what they have here
        else:
            height = abs(parameters[o]) * (parameters[o + 1] if kind == op.ROUGH else 1.0) + SAFETY
            low[top], high[top] = low[top] - height, high[top] + height
        short[length, 0], short[length, 1] = kind, o
        length += 1
    return min(low[0], least), np.inf if left else high[0], length


@leaf()
def _counting(kind, p, o, low_a, high_a, low_b, high_b):
    # whether the first and the second of two shapes may count where they are joined
    if kind == op.UNION:
        return low_a - high_b <= p[o] + SAFETY, low_b - high_a <= p[o] + SAFETY
    if kind == op.INTERSECTION:
        return high_a + p[o] + SAFETY >= low_b, high_b + p[o] + SAFETY >= low_a
    return True, -low_b + p[o] + SAFETY >= low_a or low_b <= p[o + 1] / 2 + SAFETY


def inside(points: np.ndarray, code: np.ndarray, parameters: np.ndarray, data: np.ndarray) -> np.ndarray:
    """Return which points lie in a shape, (n,) bool; those that follow each other should lie near each other.

    Args:
        points: (n, 3) float64, world mm.
        code: (n, 2) int64, as for `distances`; so are the others.
        parameters: (m,) float64.
        data: (k,) float32.
    """
    found = np.zeros(len(points), np.bool_)
    over_planes(_find_inside, -(-len(points) // RUN), points, code, parameters, data, found)
    return found


@compiled()
def _find_inside(first, end, points, code, parameters, data, found):
    # for the runs of points from `first` up to `end`
    room, begin, short = np.empty((2, len(code) + 1)), np.empty(len(code), np.int64), np.empty_like(code)
    centre, half = np.empty(3), np.empty(3)
    near, work, depths = np.empty((3, RUN)), np.empty((len(code), RUN)), np.empty(RUN)
    for run in range(first, end):
        start, stop = run * RUN, min((run + 1) * RUN, len(points))
        for axis in range(3):
            least, most = np.inf, -np.inf
            for i in range(start, stop):
                least, most = min(least, points[i, axis]), max(most, points[i, axis])
            centre[axis], half[axis] = (least + most) / 2, (most - least) / 2
        low, high, length = bounds(
            centre[0], centre[1], centre[2], half[0], half[1], half[2], code, parameters, data, room[0], room[1],
            begin, short,
        )  # fmt: skip
        if low > 0:
            continue
        if high < 0:
            for i in range(start, stop):
                found[i] = True
            continue
        n = stop - start
        for m in range(n):
            near[0, m], near[1, m], near[2, m] = points[start + m, 0], points[start + m, 1], points[start + m, 2]
        distances(near, n, short[:length], parameters, data, work, depths)
        for m in range(n):
            found[start + m] = depths[m] < 0
