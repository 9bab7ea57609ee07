"""Signed distance of a point from a shape, as a small program that is evaluated at every voxel.

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
def _primitive(op, p, x, y, z, data):
    q = p[HEADER:]
    if p[0] > 0:
        x = abs(x)
    u = p[1] * x + p[2] * y + p[3] * z + p[4]
    v = p[5] * x + p[6] * y + p[7] * z + p[8]
    w = p[9] * x + p[10] * y + p[11] * z + p[12]
    if op == ELLIPSOID:
        return _ellipsoid(u, v, w, q)
    if op == BOX:
        return _box(u, v, w, q)
    if op == TUBE:
        return _tube(u, v, w, q)
    if op == HALF_SPACE:
        return w
    if op == MAP:
        return _map(u, v, w, q, data)
    if op == LOFT:
        return _loft(u, v, w, q)
    return _gyroid(u, v, w, q)


@leaf()
def distance(x, y, z, code, parameters, data, stack):
    """Return the signed distance [mm] of the world point x, y, z [mm] from the shape that `code` describes.

    Args:
        x: mm.
        y: mm.
        z: mm.
        code: (n, 2) int64, operation and start of its parameters.
        parameters: (m,) float64, of all operations in turn.
        data: (k,) float32, the maps that the shape samples, one after the other.
        stack: (n,) float64, workspace.
    """
    top = -1
    for i in range(code.shape[0]):
        op, p = code[i, 0], parameters[code[i, 1] :]
        if op < UNION:
            top += 1
            stack[top] = _primitive(op, p, x, y, z, data)
        elif op == UNION:
            a, b, k = stack[top - 1], stack[top], p[0]
            top -= 1
            blend = max(k - abs(a - b), 0.0)
            stack[top] = min(a, b) - (blend * blend / (4 * k) if k > 0 else 0.0)
        elif INTERSECTION <= op <= DIFFERENCE:
            top -= 1
            a, b, k = stack[top], stack[top + 1], p[0]
            if op == DIFFERENCE:
                b = -b
            blend = max(k - abs(a - b), 0.0)
            stack[top] = max(a, b) + (blend * blend / (4 * k) if k > 0 else 0.0)
        elif op == OFFSET:
            stack[top] -= p[0]
        elif op == SCALE:
            stack[top] *= p[0]
        elif op == RIPPLE:  # amplitude, wavelength, fold, then the 3×4 matrix from world mm to its frame
            k = 2 * np.pi / p[1]
            s = abs(x) if p[2] > 0 else x
            u = p[3] * s + p[4] * y + p[5] * z + p[6]
            v = p[7] * s + p[8] * y + p[9] * z + p[10]
            w = p[11] * s + p[12] * y + p[13] * z + p[14]
            stack[top] += p[0] * np.sin(k * u) * np.sin(k * v) * np.sin(k * w)
        elif op == LEAVE:  # what follows only cuts more away
            if stack[0] > p[0]:
                return stack[0]
        else:  # rough: height, count, fold, then kx, ky, kz, phase of each wave
            u = abs(x) if p[2] > 0 else x
            for m in range(3, 3 + 4 * int(p[1]), 4):
                stack[top] += p[0] * np.sin(p[m] * u + p[m + 1] * y + p[m + 2] * z + p[m + 3])
    return stack[0]
