"""One person's anatomy: a smooth invertible map between their head and the template."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from qsmbench.compiled import compiled
from qsmbench.phantom.lookup import trilinear


@compiled(inline="never")
def to_template(x, y, z, warp, to_warp):
    """Return the template's point [mm] that lies at the world point x, y, z [mm]; held constant beyond the map's edge.

    Args:
        x: mm.
        y: mm.
        z: mm.
        warp: (3, nx, ny, nz) float32, displacement [mm] that leads from world to template; empty for none.
        to_warp: (3, 4) float64, world mm → index into `warp`.
    """
    if warp.size == 0:
        return x, y, z
    nx, ny, nz = warp.shape[1], warp.shape[2], warp.shape[3]
    u = to_warp[0, 0] * x + to_warp[0, 3]
    v = to_warp[1, 1] * y + to_warp[1, 3]
    w = to_warp[2, 2] * z + to_warp[2, 3]
    data, points = warp.ravel(), nx * ny * nz
    return (
        x + trilinear(data, 0, nx, ny, nz, u, v, w),
        y + trilinear(data, points, nx, ny, nz, u, v, w),
        z + trilinear(data, 2 * points, nx, ny, nz, u, v, w),
    )


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
        """(3, 4) float64, world mm → index into `displacement`."""
        return np.column_stack([np.eye(3) / self.spacing, -np.asarray(self.origin) / self.spacing])

    @property
    def farthest(self) -> float:
        """Largest displacement along an axis, mm."""
        return float(np.abs(self.displacement).max()) if self.displacement.size else 0.0

    @property
    def stretch(self) -> float:
        """How much longer a distance in the template may be than in the world: 1 + the largest slope."""
        if not self.displacement.size:
            return 1.0
        slopes = [np.abs(np.diff(self.displacement, axis=a)).sum(0).max() / self.spacing for a in (1, 2, 3)]
        return 1.0 + float(max(slopes))

    @property
    def slopes(self) -> np.ndarray:
        """(3, 3) float64, largest change of each component of the displacement [mm] over a mm along each axis."""
        if not self.displacement.size:
            return np.zeros((3, 3))
        steps = (np.diff(self.displacement.astype(float), axis=a) for a in (1, 2, 3))
        return np.stack([np.abs(s).max((1, 2, 3), initial=0) / self.spacing for s in steps], axis=1)

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

        By fixed-point iteration, which converges since the displacement's slope is below 1.
        """
        points = np.asarray(points, float)
        found = points.copy()
        for _ in range(100):
            error = self.template(found) - points
            found -= error
            if np.abs(error).max(initial=0) < 1e-6:
                break
        return found


NO_WARP = Warp(np.empty((3, 0, 0, 0), np.float32), np.zeros(3), 1.0)
"""The template itself."""
