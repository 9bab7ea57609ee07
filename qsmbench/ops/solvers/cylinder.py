"""Fit of a straight cylinder to the voxels around a vein, which undoes their partial volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qsmbench.compiled import compiled, leaf
from qsmbench.grid import Grid
from qsmbench.threads import over_planes

LINES = 4
"""Lines through each voxel along two axes, whose share within the cylinder is exact."""

ROOM = 2.5
"""Width of the tissue around a vein that is fitted with it, voxels."""

PARAMETERS = 5
"""Number of parameters of a cylinder: radius, place across its direction, and tilts."""

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


# The loops below name each component: numba takes seconds to compile operations on whole arrays.


@leaf()
def _dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@leaf()
def _cross(a, b, out):
    out[0] = a[1] * b[2] - a[2] * b[1]
    out[1] = a[2] * b[0] - a[0] * b[2]
    out[2] = a[0] * b[1] - a[1] * b[0]


@leaf()
def _smallest(a):
    """Return the axis along which a vector has the smallest component."""
    k = 0
    for i in range(1, 3):
        if abs(a[i]) < abs(a[k]):
            k = i
    return k


@compiled()
def _fit_each(start, stop, out, chi, mask, vein, size, points, directions, radii, length):
    edge = (size[0] * size[1] * size[2]) ** (1 / 3)
    u, v, best = np.empty(3), np.empty(3), np.empty(PARAMETERS)
    for n in range(start, stop):
        axis = directions[n]
        # two vectors across the axis
        helper = np.zeros(3)
        helper[_smallest(axis)] = 1
        _cross(axis, helper, u)
        norm = np.sqrt(_dot(u, u))
        for a in range(3):
            u[a] /= norm
        _cross(axis, u, v)
        where, values = _neighbourhood(chi, mask, vein, size, points[n], axis, radii[n], length, edge)
        if len(values) < 20:
            continue
        for a in range(PARAMETERS):
            best[a] = 0.0
        best[0] = max(radii[n], _SMALLEST * edge)
        cost, contrast, around = _levenberg_marquardt(best, where, values, axis, u, v, size, edge)
        if np.isfinite(best[0]) and np.isfinite(contrast) and np.isfinite(around) and np.isfinite(cost):
            out[n, 0], out[n, 1], out[n, 2] = best[0], contrast, around
            out[n, 3] = np.sqrt(cost / len(values))


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


@leaf()
def _copy(a, out):
    for i in range(a.size):
        out[i] = a[i]


@compiled()
def _levenberg_marquardt(best, where, values, axis, u, v, size, edge):
    """Improve the parameters of a cylinder, (5,), in place; return the sum of squares, contrast and value around.

    The parameters are the radius, the place of the axis along `u` and `v` [mm], and its tilts to them [rad].
    """
    m = len(values)
    residual, other, jacobian = np.empty(m), np.empty(m), np.empty((PARAMETERS, m))
    normal, damped, slope = np.empty((PARAMETERS, PARAMETERS)), np.empty((PARAMETERS, PARAMETERS)), np.empty(PARAMETERS)
    trial, share = np.empty(PARAMETERS), np.empty(m)
    cost, contrast, around = _residual(best, where, values, axis, u, v, size, share, residual)
    damping = 1e-2
    for _ in range(_ROUNDS):
        for a in range(PARAMETERS):
            step = _STEP * (edge if a < 3 else 1.0)
            _copy(best, trial)
            trial[a] += step
            _residual(trial, where, values, axis, u, v, size, share, other)
            for i in range(m):
                jacobian[a, i] = (other[i] - residual[i]) / step
        _normal_equations(jacobian, residual, normal, slope)
        improved = False
        squared, new_contrast, new_around = cost, contrast, around
        for _ in range(6):
            for a in range(PARAMETERS):
                trial[a] = -slope[a]
                for b in range(PARAMETERS):
                    damped[a, b] = normal[a, b]
                damped[a, a] += damping * normal[a, a] + 1e-12
            _solve(damped, trial)
            for a in range(PARAMETERS):
                limit = _SHIFT * edge if a < 3 else _TILT
                trial[a] += best[a]
                trial[a] = max(trial[a], _SMALLEST * edge) if a == 0 else min(max(trial[a], -limit), limit)
            squared, new_contrast, new_around = _residual(trial, where, values, axis, u, v, size, share, other)
            if squared < cost:
                improved = True
                break
            damping *= 5
        if not improved:
            break
        gain = cost - squared
        cost, contrast, around = squared, new_contrast, new_around
        _copy(trial, best)
        _copy(other, residual)
        damping *= 0.3
        if gain < 1e-6 * cost + 1e-18:
            break
    return cost, contrast, around


@leaf()
def _normal_equations(jacobian, residual, normal, slope):
    """Compute JᵀJ and Jᵀr from the derivatives, (n, m), and the misfit, (m,)."""
    for a in range(jacobian.shape[0]):
        total = 0.0
        for i in range(residual.size):
            total += jacobian[a, i] * residual[i]
        slope[a] = total
        for b in range(a + 1):
            total = 0.0
            for i in range(residual.size):
                total += jacobian[a, i] * jacobian[b, i]
            normal[a, b] = normal[b, a] = total


@leaf()
def _solve(matrix, x):
    """Solve a symmetric positive definite system for the right-hand side `x`, in place, by elimination."""
    for a in range(x.size):
        for b in range(a + 1, x.size):
            factor = matrix[b, a] / matrix[a, a]
            for c in range(a, x.size):
                matrix[b, c] -= factor * matrix[a, c]
            x[b] -= factor * x[a]
    for a in range(x.size - 1, -1, -1):
        for b in range(a + 1, x.size):
            x[a] -= matrix[a, b] * x[b]
        x[a] /= matrix[a, a]


@compiled()
def _residual(p, where, values, axis, u, v, size, share, out):
    """Compute the misfit (m,) of the cylinder, into `out`; return the sum of its squares, contrast and value around.

    Contrast and value around are those of linear least squares; `share`, (m,), is workspace.
    """
    _shares(p, where, axis, u, v, size, share)
    m = len(values)
    mean_s, mean_v = 0.0, 0.0
    for i in range(m):
        mean_s += share[i] / m
        mean_v += values[i] / m
    above, below = 0.0, 0.0
    for i in range(m):
        above += (share[i] - mean_s) * (values[i] - mean_v)
        below += (share[i] - mean_s) ** 2
    contrast = above / below if below > 1e-9 else 0.0
    around, squares = mean_v - contrast * mean_s, 0.0
    for i in range(m):
        out[i] = values[i] - around - contrast * share[i]
        squares += out[i] ** 2
    return squares, contrast, around


@compiled()
def _shares(p, where, axis, u, v, size, share):
    """Compute the share of each voxel within the cylinder, (m,), from the exact chords of lines through it."""
    d, e, q = np.empty(3), np.empty(3), np.empty(3)
    for a in range(3):
        d[a] = axis[a] + p[3] * u[a] + p[4] * v[a]
    norm = np.sqrt(_dot(d, d))
    for a in range(3):
        d[a] /= norm
    k = _smallest(d)
    i, j = (k + 1) % 3, (k + 2) % 3
    for a in range(3):
        e[a] = -d[k] * d[a]  # part of the line's direction across the axis
    e[k] += 1
    ee = _dot(e, e)
    reach = p[0] + 0.5 * np.sqrt(_dot(size, size))
    for m in range(len(where)):
        share[m] = 0.0
        for a in range(3):
            q[a] = where[m, a] - (p[1] * u[a] + p[2] * v[a])
        if _dot(q, q) - _dot(q, d) ** 2 > reach**2:
            continue
        total, at_i, at_j = 0.0, q[i], q[j]
        for a in range(LINES):
            for b in range(LINES):
                q[i] = at_i + ((a + 0.5) / LINES - 0.5) * size[i]
                q[j] = at_j + ((b + 0.5) / LINES - 0.5) * size[j]
                t = _dot(q, d)
                x, y, z = q[0] - t * d[0], q[1] - t * d[1], q[2] - t * d[2]
                b1 = (x * e[0] + y * e[1] + z * e[2]) / ee
                c1 = (x * x + y * y + z * z - p[0] ** 2) / ee
                root = b1 * b1 - c1
                if root <= 0:
                    continue
                root = np.sqrt(root)
                low, high = max(-b1 - root, -size[k] / 2), min(-b1 + root, size[k] / 2)
                if high > low:
                    total += (high - low) / size[k]
        share[m] = total / (LINES * LINES)
