"""Signed distances of points from a shape, as a small program that is evaluated at every voxel.

A shape compiles to operations in postfix order (see `shapes.py`): primitives push a distance [mm], negative inside,
and combinators replace the distances on top of the stack. One function evaluates all programs, so that even complex
shapes need no temporary volumes and no compilation.
"""

from __future__ import annotations

import numpy as np

from qsmbench.compiled import leaf
from qsmbench.phantom.lookup import trilinear

ELLIPSOID, BOX, TUBE, HALF_SPACE, MAP, GYROID, LOFT = range(7)
UNION, INTERSECTION, DIFFERENCE, OFFSET, RIPPLE, ROUGH, LEAVE, SCALE = range(10, 18)
NO_SHEET = -1e9
"""In place of the ramp's width in a difference whose shapes have no surfaces that run along each other."""

HEADER = 13
"""Number of common parameters of primitives: whether x is folded, then the 3×4 matrix from world mm to its frame."""


@leaf()
def _ellipsoid(u, v, w, q):
    # first-order distance f/|∇f|, exact on the surface; the exponent makes the shape boxier than an ellipsoid
    a, b, c, e = abs(u) / q[0], abs(v) / q[1], abs(w) / q[2], q[3]
    shortest = min(q[0], q[1], q[2])
    if e == 2.0:
        k0 = np.sqrt(a * a + b * b + c * c)
        if q[0] == q[1] and q[1] == q[2]:
            return (k0 - 1.0) * q[0]
        k1 = np.sqrt((a / q[0]) ** 2 + (b / q[1]) ** 2 + (c / q[2]) ** 2)
        return max(k0 * (k0 - 1.0) / k1, -shortest) if k1 > 1e-6 else -shortest
    k0 = (a**e + b**e + c**e) ** (1.0 / e)
    if k0 < 1e-6:
        return -shortest
    f = k0 ** (1.0 - e)
    gradient = (a ** (e - 1) * f / q[0]) ** 2 + (b ** (e - 1) * f / q[1]) ** 2 + (c ** (e - 1) * f / q[2]) ** 2
    return max((k0 - 1.0) / np.sqrt(max(gradient, 1e-12)), -shortest)


@leaf()
def _box(u, v, w, q):
    a, b, c = abs(u) - q[0] + q[3], abs(v) - q[1] + q[3], abs(w) - q[2] + q[3]
    outside = np.sqrt(max(a, 0.0) ** 2 + max(b, 0.0) ** 2 + max(c, 0.0) ** 2)
    return outside + min(max(a, max(b, c)), 0.0) - q[3]


@leaf()
def _tube(u, v, w, q):
    # q: count, then x, y, z, radius of each point
    best = 1e9
    for i in range(int(q[0]) - 1):
        p, n = 1 + 4 * i, 5 + 4 * i
        dx, dy, dz = q[n] - q[p], q[n + 1] - q[p + 1], q[n + 2] - q[p + 2]
        ax, ay, az = u - q[p], v - q[p + 1], w - q[p + 2]
        t = (ax * dx + ay * dy + az * dz) / max(dx * dx + dy * dy + dz * dz, 1e-12)
        t = min(max(t, 0.0), 1.0)
        gap = np.sqrt((ax - t * dx) ** 2 + (ay - t * dy) ** 2 + (az - t * dz) ** 2)
        best = min(best, gap - q[p + 3] - t * (q[n + 3] - q[p + 3]))
    return best


@leaf()
def _map(u, v, w, q, data):
    # q: shape (3), start in data, level, mm per unit, limit [mm]; u, v, w are the map's voxel indices
    value = trilinear(data, int(q[3]), int(q[0]), int(q[1]), int(q[2]), u, v, w)
    d = (q[4] - value) * q[5]
    return min(max(d, -q[6]), q[6])


@leaf()
def _gyroid(u, v, w, q):
    # q: wavelength [mm], level −1…1, limit [mm]; a sponge of communicating cells
    k = 2 * np.pi / q[0]
    u, v, w = u * k, v * k, w * k
    sponge = np.sin(u) * np.cos(v) + np.sin(v) * np.cos(w) + np.sin(w) * np.cos(u)
    return min(max((sponge - q[1]) / (1.5 * k), -q[2]), q[2])


LOFT_HEADER, LOFT_INTERVAL = 8, 21
"""Number of parameters of a loft before its intervals, and of each interval."""


@leaf()
def loft_section(w, q):
    """Return the section of a loft at height `w` [mm]; constant beyond its ends.

    Args:
        w: mm.
        q: parameters: number of intervals, first and last height, largest slopes of the five quantities below, then of
            each interval its first height and the coefficients of their cubics, the highest power first.

    Returns:
        x and y of the centre, half width, half depth [mm], exponent, and the slopes of the first four.
    """
    count = int(q[0])
    w = min(max(w, q[1]), q[2])
    o = LOFT_HEADER
    for _ in range(count - 1):
        if w < q[o + LOFT_INTERVAL]:
            break
        o += LOFT_INTERVAL
    t = w - q[o]
    x = ((q[o + 1] * t + q[o + 2]) * t + q[o + 3]) * t + q[o + 4]
    y = ((q[o + 5] * t + q[o + 6]) * t + q[o + 7]) * t + q[o + 8]
    wide = ((q[o + 9] * t + q[o + 10]) * t + q[o + 11]) * t + q[o + 12]
    deep = ((q[o + 13] * t + q[o + 14]) * t + q[o + 15]) * t + q[o + 16]
    e = ((q[o + 17] * t + q[o + 18]) * t + q[o + 19]) * t + q[o + 20]
    dx = (3 * q[o + 1] * t + 2 * q[o + 2]) * t + q[o + 3]
    dy = (3 * q[o + 5] * t + 2 * q[o + 6]) * t + q[o + 7]
    dwide = (3 * q[o + 9] * t + 2 * q[o + 10]) * t + q[o + 11]
    ddeep = (3 * q[o + 13] * t + 2 * q[o + 14]) * t + q[o + 15]
    return x, y, wide, deep, e, dx, dy, dwide, ddeep


@leaf()
def _loft(u, v, w, q):
    # first-order distance (k − 1)/|∇k| of the section's norm k, and the distance beyond the ends
    x, y, wide, deep, e, dx, dy, dwide, ddeep = loft_section(w, q)
    a, b = (u - x) / wide, (v - y) / deep
    shortest = min(wide, deep)
    k = (abs(a) ** e + abs(b) ** e) ** (1.0 / e)
    d = -shortest
    if k > 1e-6:
        along_x = np.sign(a) * (abs(a) / k) ** (e - 1) / wide
        along_y = np.sign(b) * (abs(b) / k) ** (e - 1) / deep
        along_z = along_x * (dx + a * dwide) + along_y * (dy + b * ddeep)
        d = max((k - 1.0) / np.sqrt(along_x * along_x + along_y * along_y + along_z * along_z), -shortest)
    return max(d, max(q[1] - w, w - q[2]))


@leaf()
def _primitives(op, p, x, y, z, n, data, found):
    q, fold = p[HEADER:], p[0] > 0
    for m in range(n):
        s = abs(x[m]) if fold else x[m]
        u = p[1] * s + p[2] * y[m] + p[3] * z[m] + p[4]
        v = p[5] * s + p[6] * y[m] + p[7] * z[m] + p[8]
        w = p[9] * s + p[10] * y[m] + p[11] * z[m] + p[12]
        if op == ELLIPSOID:
            found[m] = _ellipsoid(u, v, w, q)
        elif op == BOX:
            found[m] = _box(u, v, w, q)
        elif op == TUBE:
            found[m] = _tube(u, v, w, q)
        elif op == HALF_SPACE:
            found[m] = w
        elif op == MAP:
            found[m] = _map(u, v, w, q, data)
        elif op == LOFT:
            found[m] = _loft(u, v, w, q)
        else:
            found[m] = _gyroid(u, v, w, q)


@leaf()
def _combine(op, k, ramp, a, b, n):
    # joins what `b` holds to `a`; k: blending distance [mm]; ramp: width of the partial-volume ramp [mm]
    for m in range(n):
        other = -b[m] if op == DIFFERENCE else b[m]
        blend = max(k - abs(a[m] - other), 0.0)
        more = blend * blend / (4 * k) if k > 0 else 0.0
        # where a ramp holds both surfaces, as in a thin sheet, the share is that of the one shape less that of both
        thin = a[m] + other + ramp / 2 if op == DIFFERENCE else -np.inf
        a[m] = min(a[m], other) - more if op == UNION else max(max(a[m], other) + more, thin)


@leaf()
def _ripple(p, x, y, z, n, found):
    # p: amplitude, wavelength, fold, then the 3×4 matrix from world mm to its frame
    k = 2 * np.pi / p[1]
    for m in range(n):
        s = abs(x[m]) if p[2] > 0 else x[m]
        u = p[3] * s + p[4] * y[m] + p[5] * z[m] + p[6]
        v = p[7] * s + p[8] * y[m] + p[9] * z[m] + p[10]
        w = p[11] * s + p[12] * y[m] + p[13] * z[m] + p[14]
        found[m] += p[0] * np.sin(k * u) * np.sin(k * v) * np.sin(k * w)


@leaf()
def _rough(p, x, y, z, n, found):
    # p: height, count, fold, then kx, ky, kz, phase of each wave
    for m in range(n):
        s = abs(x[m]) if p[2] > 0 else x[m]
        for o in range(3, 3 + 4 * int(p[1]), 4):
            found[m] += p[0] * np.sin(p[o] * s + p[o + 1] * y[m] + p[o + 2] * z[m] + p[o + 3])


@leaf()
def distances(points, n, code, parameters, data, stack, found):
    """Compute the signed distances [mm] of points from the shape that `code` describes.

    Each operation is carried out for all points before the next.

    Args:
        points: (3, p) float64, world mm; the first `n` are evaluated.
        n: number of points, at most p.
        code: (c, 2) int64, operation and start of its parameters.
        parameters: (m,) float64, of all operations in turn.
        data: (k,) float32, the maps that the shape samples, one after the other.
        stack: (c, p) float64, workspace.
        found: (p,) float64, the result.
    """
    x, y, z = points[0], points[1], points[2]
    top, leaving = -1, False
    for i in range(code.shape[0]):
        op, p = code[i, 0], parameters[code[i, 1] :]
        if op < UNION:
            top += 1
            _primitives(op, p, x, y, z, n, data, stack[top])
        elif op <= DIFFERENCE:
            top -= 1
            _combine(op, p[0], p[1] if op == DIFFERENCE else 0.0, stack[top], stack[top + 1], n)
        elif op == OFFSET:
            for m in range(n):
                stack[top, m] -= p[0]
        elif op == SCALE:
            for m in range(n):
                stack[top, m] *= p[0]
        elif op == RIPPLE:
            _ripple(p, x, y, z, n, stack[top])
        elif op == ROUGH:
            _rough(p, x, y, z, n, stack[top])
        else:  # LEAVE: what follows only cuts more away
            staying = 0
            for m in range(n):
                if not leaving:
                    found[m] = np.inf
                if found[m] == np.inf and stack[0, m] > p[0]:
                    found[m] = stack[0, m]
                staying += found[m] == np.inf
            leaving = True
            if staying == 0:
                break
    for m in range(n):
        if not leaving or found[m] == np.inf:
            found[m] = stack[0, m]
