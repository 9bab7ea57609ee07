"""A subject's anatomy: a smooth invertible map between their head and the template."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage

from qsmbench.compiled import leaf
from qsmbench.phantom.lookup import between, cell


@leaf()
def to_template(x, y, z, warp, to_warp):
    """Return the template point [mm] of a world point x, y, z [mm]; the displacement is constant beyond the map's edge.

    Args:
        x: mm.
        y: mm.
        z: mm.
        warp: (3·nx·ny·nz,) float32, map from world to template [mm], x, y, z in turn; empty for none.
        to_warp: (3, 5) float64, world mm → index into `warp`, and the number of its points along each axis.
    """
    if warp.size == 0:
        return x, y, z
    nx, ny, nz = int(to_warp[0, 4]), int(to_warp[1, 4]), int(to_warp[2, 4])
    u = to_warp[0, 0] * x + to_warp[0, 3]
    v = to_warp[1, 1] * y + to_warp[1, 3]
    w = to_warp[2, 2] * z + to_warp[2, 3]
    points = nx * ny * nz
    s, a, b, c = cell(nx, ny, nz, u, v, w)
    return (
        x + between(warp, s, ny * nz, nz, a, b, c),
        y + between(warp, points + s, ny * nz, nz, a, b, c),
        z + between(warp, 2 * points + s, ny * nz, nz, a, b, c),
    )


@leaf()
def slopes(x, y, z, hx, hy, hz, warp, to_warp, found):
    """Find the largest change of each component of the displacement [mm] over a mm along each axis, in a box.

    Args:
        x: mm, of the box's centre; so are y and z.
        y: mm.
        z: mm.
        hx: mm, half the box's width along x; so are hy and hz along y and z.
        hy: mm.
        hz: mm.
        warp: as for `to_template`.
        to_warp: as for `to_template`.
        found: (3, 3) float64, component and axis, which is written.

    Returns:
        How much longer a distance in the template may be than in the box.
    """
    for c in range(3):
        for axis in range(3):
            found[c, axis] = 0.0
    if warp.size == 0:
        return 1.0
    ny, nz = int(to_warp[1, 4]), int(to_warp[2, 4])
    i0, i1 = _cells(to_warp[0, 0] * (x - hx) + to_warp[0, 3], to_warp[0, 0] * (x + hx) + to_warp[0, 3], to_warp[0, 4])
    j0, j1 = _cells(to_warp[1, 1] * (y - hy) + to_warp[1, 3], to_warp[1, 1] * (y + hy) + to_warp[1, 3], to_warp[1, 4])
    k0, k1 = _cells(to_warp[2, 2] * (z - hz) + to_warp[2, 3], to_warp[2, 2] * (z + hz) + to_warp[2, 3], to_warp[2, 4])
    points = int(to_warp[0, 4]) * ny * nz
    for c in range(3):
        for i in range(i0, i1 + 1):
            for j in range(j0, j1 + 1):
                for k in range(k0, k1 + 1):
                    s = c * points + (i * ny + j) * nz + k
                    if i < i1:
                        found[c, 0] = max(found[c, 0], abs(warp[s + ny * nz] - warp[s]))
                    if j < j1:
                        found[c, 1] = max(found[c, 1], abs(warp[s + nz] - warp[s]))
                    if k < k1:
                        found[c, 2] = max(found[c, 2], abs(warp[s + 1] - warp[s]))
    longest = 0.0
    for axis in range(3):
        total = 0.0
        for c in range(3):
            found[c, axis] *= to_warp[axis, axis]
            total += found[c, axis]
        longest = max(longest, total)
    return 1.0 + longest


@leaf()
def _cells(low, high, points):
    # the first and the last point of the cells that a range of places, in spacings, may touch
    first = min(max(int(np.floor(low)), 0), int(points) - 2)
    return first, max(min(int(np.floor(high)) + 1, int(points) - 1), first + 1)


@dataclass(frozen=True)
class Warp:
    """Displacements on a coarse grid, linear between its points.

    Attributes:
        displacement: (3, nx, ny, nz) float32, mm: template = world + displacement(world).
        origin: (3,) world mm of the first point.
        spacing: mm between points.
    """

    displacement: np.ndarray
    origin: np.ndarray
    spacing: float

    @property
    def to_index(self) -> np.ndarray:
        """(3, 5) float64, world mm → index into `displacement`, and the number of its points along each axis."""
        place = np.eye(3) / self.spacing, -np.asarray(self.origin) / self.spacing
        return np.column_stack([*place, self.displacement.shape[1:]])

    @cached_property
    def farthest(self) -> float:
        """Largest displacement along an axis, mm."""
        return float(np.abs(self.displacement).max()) if self.displacement.size else 0.0

    def times(self, factor: float) -> Warp:
        """Return the map whose displacements are `factor` times as large."""
        return Warp(self.displacement * np.float32(factor), self.origin, self.spacing)

    def template(self, points: np.ndarray) -> np.ndarray:
        """Return the template's points, (n, 3) mm, at world `points`, (n, 3) mm."""
        points = np.asarray(points, float)
        if not self.displacement.size:
            return points
        index = (points - self.origin).T / self.spacing
        moved = [ndimage.map_coordinates(d, index, order=1, mode="nearest") for d in self.displacement]
        return points + np.stack(moved, axis=1)

    def world(self, points: np.ndarray) -> np.ndarray:
        """Return the world's points, (n, 3) mm, of the template's `points`, (n, 3) mm: the inverse of `template`.

        By fixed-point iteration, which suffices where the displacement's slope is small; then by Newton's method, with
        steps that are halved until the error falls.
        """
        points = np.asarray(points, float)
        found = points.copy()
        for _ in range(20):
            error = self.template(found) - points
            if np.abs(error).max(initial=0) < EXACT:
                return found
            found -= error
        left = np.flatnonzero(np.abs(self.template(found) - points).max(1) >= EXACT)
        found[left] = self._newton(points[left])
        return found

    def _newton(self, points: np.ndarray) -> np.ndarray:
        """Return what `world` does, (n, 3) mm, where the displacement is steep."""
        found = points.copy()
        error = self.template(found) - points
        share = np.ones(len(points))
        step = np.zeros_like(points)
        better = np.ones(len(points), bool)
        nudges = self.spacing / 8 * np.eye(3)
        for _ in range(200):
            if np.abs(error).max(initial=0) < EXACT:
                break
            here = found[better]
            slopes = [(self.template(here + n) - self.template(here - n)) / (self.spacing / 4) for n in nudges]
            step[better] = np.linalg.solve(np.stack(slopes, axis=-1), error[better][..., None])[..., 0]
            length = np.linalg.norm(step, axis=1)
            share[better] = np.minimum(1, self.spacing / np.maximum(length[better], 1e-12))
            tried = found - share[:, None] * step
            after = self.template(tried) - points
            better = np.linalg.norm(after, axis=1) < np.linalg.norm(error, axis=1)
            found[better], error[better] = tried[better], after[better]
            share[~better] /= 2
        return found


EXACT = 1e-6
"""Largest error of an inverted map [mm]."""

NO_WARP = Warp(np.empty((3, 0, 0, 0), np.float32), np.zeros(3), 1.0)
"""The template itself."""
