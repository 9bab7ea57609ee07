"""Fit of a straight cylinder to the voxels around a vein, which undoes their partial volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qsmbench.compiled import compiled
from qsmbench.grid import Grid
from qsmbench.threads import over_planes

LINES = 4
"""Lines through each voxel along two axes, whose share within the cylinder is exact."""

ROOM = 2.5
"""Width of the tissue around a vein that is fitted with it, voxels."""

_ROUNDS = 25
_STEP = 1e-3  # of the parameters in voxels and rad, for derivatives
_SMALLEST = 0.25  # radius, voxels
_SHIFT, _TILT = 1.5, 0.5  # largest change of the axis, voxels and rad


@dataclass(frozen=True)
class Cylinders:
    """A cylinder for each point of a centre line.

    Attributes:
        radius: (n,) mm; NaN where nothing could be fitted.
        contrast: (n,) χ of the cylinder minus that around it, ppm.
        around: (n,) χ of the tissue around it, ppm.
        residual: (n,) root mean square misfit, ppm.
    """

    radius: np.ndarray
    contrast: np.ndarray
    around: np.ndarray
    residual: np.ndarray


def fit_cylinders(
    chi: np.ndarray,
    mask: np.ndarray,
    vein: np.ndarray,
    grid: Grid,
    points: np.ndarray,
    directions: np.ndarray,
    radii: np.ndarray,
    length: float,
) -> Cylinders:
    """Fit a cylinder to the voxels around each point of a centre line.

    A voxel's value is `around` + `contrast` times the share of its volume within the cylinder. Radius, place and
    direction of the axis are found by Levenberg–Marquardt, the two values by linear least squares in each step. Voxels
    of other veins are left out. Below a radius of 0.75 voxels, radius and contrast cannot be told apart: only
    contrast · radius² is determined.

    Args:
        chi: (nx, ny, nz) ppm.
        mask: (nx, ny, nz) bool, voxels with a value.
        vein: (nx, ny, nz) bool, voxels of veins.
        grid: voxel size.
        points: (n, 3) voxel indices.
        directions: (n, 3) unit vectors in array axes.
        radii: (n,) initial radii, mm.
        length: of the cylinders, mm.

    Reference:
        Partial volume as the main error of oximetry in veins, and its correction by a model of the vein: Ward 2017,
        PMC5326785 (abstract). The fit is this package's own.
    """
    n = len(points)
    out = np.full((n, 4), np.nan)
    size = np.array(grid.voxel_size)
    over_planes(
        _fit_each,
        n,
        out,
        np.ascontiguousarray(chi, np.float32),
        np.ascontiguousarray(mask),
        np.ascontiguousarray(vein),
        size,
        np.ascontiguousarray(points, np.float64),
        np.ascontiguousarray(directions, np.float64),
        np.ascontiguousarray(radii, np.float64),
        float(length),
    )
    return Cylinders(*out.T)


@compiled()
def _fit_each(start, stop, out, chi, mask, vein, size, points, directions, radii, length):
    edge = (size[0] * size[1] * size[2]) ** (1 / 3)
    for n in range(start, stop):
        axis = directions[n]
        # two unit vectors across the axis
        k = 0
        for a in range(1, 3):
            if abs(axis[a]) < abs(axis[k]):
                k = a
        helper = np.zeros(3)
        helper[k] = 1
        u = np.cross(axis, helper)
        u /= np.sqrt((u**2).sum())
        v = np.cross(axis, u)
        where, values = _neighbourhood(chi, mask, vein, size, points[n], axis, radii[n], length, edge)
        if len(values) < 20:
            continue
        p = np.array([max(radii[n], _SMALLEST * edge), 0.0, 0.0, 0.0, 0.0])
        found = _levenberg_marquardt(p, where, values, axis, u, v, size, edge)
        if np.isfinite(found).all():
            out[n] = found


@compiled()
def _neighbourhood(chi, mask, vein, size, point, axis, radius, length, edge):
    """Return the places (m, 3) mm relative to the point, and the values (m,), of the voxels to fit."""
    reach = radius + ROOM * edge
    half = np.empty(3, np.int64)
    for a in range(3):
        half[a] = int(np.ceil((abs(axis[a]) * length / 2 + np.sqrt(max(1 - axis[a] ** 2, 0.0)) * reach) / size[a]))
    base = np.empty(3, np.int64)
    for a in range(3):
        base[a] = round(point[a])
    most = (2 * half[0] + 1) * (2 * half[1] + 1) * (2 * half[2] + 1)
    where, values = np.empty((most, 3)), np.empty(most)
    m = 0
    for i in range(max(base[0] - half[0], 0), min(base[0] + half[0] + 1, chi.shape[0])):
        for j in range(max(base[1] - half[1], 0), min(base[1] + half[1] + 1, chi.shape[1])):
            for k in range(max(base[2] - half[2], 0), min(base[2] + half[2] + 1, chi.shape[2])):
                if not mask[i, j, k]:
                    continue
                x, y, z = (i - point[0]) * size[0], (j - point[1]) * size[1], (k - point[2]) * size[2]
                along = x * axis[0] + y * axis[1] + z * axis[2]
                across = np.sqrt(max(x * x + y * y + z * z - along * along, 0.0))
                if abs(along) > length / 2 or across > reach:
                    continue
                if across > radius + edge and _near_vein(vein, i, j, k, radius, point, axis, size, edge):
                    continue
                where[m, 0], where[m, 1], where[m, 2] = x, y, z
                values[m] = chi[i, j, k]
                m += 1
    return where[:m], values[:m]


@compiled()
def _near_vein(vein, i, j, k, radius, point, axis, size, edge):
    """Return whether a voxel or a neighbour of it by a face belongs to another vein."""
    for step in range(7):
        a, b, c = i, j, k
        if step == 1:
            a += 1
        elif step == 2:
            a -= 1
        elif step == 3:
            b += 1
        elif step == 4:
            b -= 1
        elif step == 5:
            c += 1
        elif step == 6:
            c -= 1
        if a < 0 or b < 0 or c < 0 or a >= vein.shape[0] or b >= vein.shape[1] or c >= vein.shape[2]:
            continue
        if not vein[a, b, c]:
            continue
        x, y, z = (a - point[0]) * size[0], (b - point[1]) * size[1], (c - point[2]) * size[2]
        along = x * axis[0] + y * axis[1] + z * axis[2]
        if np.sqrt(max(x * x + y * y + z * z - along * along, 0.0)) > radius + edge:
            return True
    return False


@compiled()
def _levenberg_marquardt(p, where, values, axis, u, v, size, edge):
    """Return radius, contrast, value around and misfit of the best cylinder."""
    best = p.copy()
    residual, linear = _residual(best, where, values, axis, u, v, size)
    cost = (residual**2).sum()
    damping = 1e-2
    jacobian = np.empty((len(values), 5))
    for _ in range(_ROUNDS):
        for a in range(5):
            step = _STEP * (edge if a < 3 else 1.0)
            moved = best.copy()
            moved[a] += step
            jacobian[:, a] = (_residual(moved, where, values, axis, u, v, size)[0] - residual) / step
        normal, slope = jacobian.T @ jacobian, jacobian.T @ residual
        improved = False
        for _ in range(6):
            damped = normal.copy()
            for a in range(5):
                damped[a, a] += damping * normal[a, a] + 1e-12
            change = np.linalg.solve(damped, -slope)
            trial = best + change
            trial[0] = max(trial[0], _SMALLEST * edge)
            for a in range(1, 3):
                trial[a] = min(max(trial[a], -_SHIFT * edge), _SHIFT * edge)
            for a in range(3, 5):
                trial[a] = min(max(trial[a], -_TILT), _TILT)
            other, found = _residual(trial, where, values, axis, u, v, size)
            squared = (other**2).sum()
            if squared < cost:
                improved = True
                break
            damping *= 5
        if not improved:
            break
        gain = cost - squared
        best, residual, linear, cost = trial, other, found, squared
        damping *= 0.3
        if gain < 1e-6 * cost + 1e-18:
            break
    return np.array([best[0], linear[0], linear[1], np.sqrt(cost / len(values))])


@compiled()
def _residual(p, where, values, axis, u, v, size):
    """Return the misfit (m,) of the cylinder, and contrast and value around by linear least squares."""
    share = _shares(p, where, axis, u, v, size)
    m = len(values)
    mean_s, mean_v = share.mean(), values.mean()
    above, below = 0.0, 0.0
    for i in range(m):
        above += (share[i] - mean_s) * (values[i] - mean_v)
        below += (share[i] - mean_s) ** 2
    contrast = above / below if below > 1e-9 else 0.0
    around = mean_v - contrast * mean_s
    return values - around - contrast * share, np.array([contrast, around])


@compiled()
def _shares(p, where, axis, u, v, size):
    """Return the share (m,) of each voxel within the cylinder, from the exact chords of lines through it."""
    direction = axis + p[3] * u + p[4] * v
    direction = direction / np.sqrt((direction**2).sum())
    k = 0
    for a in range(1, 3):
        if abs(direction[a]) < abs(direction[k]):
            k = a
    i, j = (k + 1) % 3, (k + 2) % 3
    centre = p[1] * u + p[2] * v
    e = -direction[k] * direction  # part of the line's direction across the axis
    e[k] += 1
    ee = (e**2).sum()
    share = np.zeros(len(where))
    reach = p[0] + 0.5 * np.sqrt((size**2).sum())
    q = np.empty(3)
    for m in range(len(where)):
        rel = where[m] - centre
        along = (rel * direction).sum()
        if (rel**2).sum() - along**2 > reach**2:
            continue
        total = 0.0
        for a in range(LINES):
            for b in range(LINES):
                q[:] = rel
                q[i] += ((a + 0.5) / LINES - 0.5) * size[i]
                q[j] += ((b + 0.5) / LINES - 0.5) * size[j]
                t = (q * direction).sum()
                across = q - t * direction
                b1 = (across * e).sum() / ee
                c1 = ((across**2).sum() - p[0] ** 2) / ee
                root = b1 * b1 - c1
                if root <= 0:
                    continue
                root = np.sqrt(root)
                low, high = max(-b1 - root, -size[k] / 2), min(-b1 + root, size[k] / 2)
                if high > low:
                    total += (high - low) / size[k]
        share[m] = total / (LINES * LINES)
    return share
