"""Locations of the regions of an object, for placing sources in anatomical terms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid
from qsmbench.phantom.warp import Warp

SPACING = 2.0
"""Voxel size of an atlas, mm."""

ATTEMPTS = 100
"""Number of times that the balls of a source are placed anew, all of them, if there is no space for one."""

LEAST_INSIDE = 0.5
"""Smallest share of a scattered ball that must lie in its regions."""

_AXIS = (np.arange(15) + 0.5) / 7.5 - 1
_CUBE = np.stack(np.meshgrid(_AXIS, _AXIS, _AXIS), -1).reshape(-1, 3)
BALL = _CUBE[(_CUBE**2).sum(1) <= 1]
"""Points that fill a ball of radius 1, (n, 3)."""


@dataclass(frozen=True)
class Atlas:
    """The labels of an object on a coarse grid.

    Attributes:
        labels: (nx, ny, nz) uint8; 0 is outside.
        grid: of the labels.
        index: label of each region by name.
        warp: map from the object to the template, in which left and right are distinguished.
        where: file of the description, for messages.
    """

    labels: np.ndarray
    grid: Grid
    index: dict[str, int]
    warp: Warp
    where: str

    def points(self, names: tuple[str, ...], side: str | None) -> tuple[np.ndarray, np.ndarray]:
        """Return the centres of the voxels in any of the regions, (n, 3) world mm, and their depths in it, (n,) mm.

        Raises:
            QsmbenchError: a region is unknown, or has no voxel on that side.
        """
        inside = np.isin(self.labels, [self.label(n) for n in names])
        # from a voxel's centre to the next one outside; the surface is half-way
        depth = ndimage.distance_transform_edt(inside, sampling=self.grid.voxel_size)[inside]
        depth -= min(self.grid.voxel_size) / 2
        affine = self.grid.affine
        world = np.argwhere(inside) @ affine[:3, :3].T + affine[:3, 3]
        if side is not None:
            # RAS: the patient's left is where x is negative
            kept = (self.warp.template(world)[:, 0] < 0) == (side == "left")
            world, depth = world[kept], depth[kept]
        if not len(world):
            raise QsmbenchError(f"{self.where}: there is no {', '.join(names)} {f'on the {side}' if side else ''}")
        return world, depth

    def label(self, name: str) -> int:
        """Return the label of a region.

        Raises:
            QsmbenchError: there is none of that name.
        """
        if name not in self.index:
            raise QsmbenchError(f"{self.where}: region {name!r} is unknown; choose from {', '.join(self.index)}")
        return self.index[name]

    def scatter(
        self,
        names: tuple[str, ...],
        side: str | None,
        radii: np.ndarray,
        rng: np.random.Generator,
        *,
        fewer: bool = False,
    ) -> list[np.ndarray | None]:
        """Draw centres for non-overlapping balls in regions.

        Args:
            names: of the regions.
            side: `left` or `right` of the template; None: both.
            radii: (n,) mm, of the balls.
            rng: random generator.
            fewer: leave out the balls that find no space; the first one always does.

        Returns:
            (3,) world mm of each ball; None: left out.

        Raises:
            QsmbenchError: a region is unknown, there is not enough space, or less than half of a ball would be inside.
        """
        points, depth = self.points(names, side)
        for _ in range(ATTEMPTS):
            found = self._place(points, depth, radii, names, rng, fewer)
            if fewer or found[-1] is not None:
                return found
        raise QsmbenchError(
            f"{self.where}: not enough space for {len(radii)} balls of up to {2 * radii.max():g} mm in "
            f"{', '.join(names)}"
        )

    def _place(
        self,
        points: np.ndarray,
        depth: np.ndarray,
        radii: np.ndarray,
        names: tuple[str, ...],
        rng: np.random.Generator,
        fewer: bool,
    ) -> list[np.ndarray | None]:
        """Place balls one after another where there is space, or until there is none for one; see `scatter`."""
        room = np.full(len(points), np.inf)  # mm to the nearest ball so far
        found: list[np.ndarray | None] = []
        for radius in radii:
            fits = (depth >= min(radius, depth.max())) & (room > radius)
            if not fits.any():
                found.append(None)
                if fewer:
                    continue
                break
            centre = points[rng.choice(np.flatnonzero(fits))] + rng.uniform(-SPACING / 4, SPACING / 4, 3)
            if (share := self.share_inside(centre, radius, names)) < LEAST_INSIDE:
                raise QsmbenchError(
                    f"{self.where}: diameter is {2 * radius:g} mm, but only {100 * share:.0f} % of such a ball lies in "
                    f"{', '.join(names)}; at least {100 * LEAST_INSIDE:.0f} % must"
                )
            room = np.minimum(room, np.linalg.norm(points - centre, axis=1) - radius)
            found.append(centre)
        return found

    def share_inside(self, centre: np.ndarray, radius: float, names: tuple[str, ...]) -> float:
        """Return the share of a ball, 0–1, that lies in any of the regions; `centre` in world mm, `radius` in mm."""
        index = self._index(centre + radius * BALL)
        within = ((index >= 0) & (index < self.grid.shape)).all(1)
        found = self.labels[tuple(index[within].T)]
        return float(np.isin(found, [self.label(n) for n in names]).sum() / len(BALL))

    def _index(self, points: np.ndarray) -> np.ndarray:
        """Return the index of the voxel of each world point, (…, 3)."""
        inverse = np.linalg.inv(self.grid.affine)
        return np.floor(points @ inverse[:3, :3].T + inverse[:3, 3] + 0.5).astype(int)

    def region_at(self, point: np.ndarray) -> str:
        """Return the name of the region at a world point [mm]; empty outside the object."""
        index = self._index(np.asarray(point))
        if (index < 0).any() or (index >= self.grid.shape).any():
            return ""
        label = self.labels[tuple(index)]
        return next((name for name, i in self.index.items() if i == label), "")

    def require_inside(self, point: np.ndarray) -> None:
        """Check that a world point [mm] is in the object.

        Raises:
            QsmbenchError: it is outside.
        """
        index = self._index(np.asarray(point))
        within = (index >= 0).all() and (index < self.grid.shape).all()
        if not within or self.labels[tuple(index)] == 0:
            place = ", ".join(f"{c:g}" for c in np.round(point, 1))
            raise QsmbenchError(f"{self.where}: the point {place} mm is outside the object")

    def ramp(self, name: str, side: str | None, direction: np.ndarray) -> np.ndarray:
        """Return the ramp n·x + o that increases from 0 to 1 across a region, with x in world mm.

        Args:
            name: of the region.
            side: `left` or `right` of the template; None: both.
            direction: (3,) direction of increase, of any length.

        Returns:
            (4,) n [1/mm] and o.
        """
        points, _ = self.points((name,), side)
        unit = np.asarray(direction, float) / np.linalg.norm(direction)
        low, high = (points @ unit).min(), (points @ unit).max()
        length = max(high - low, SPACING)
        return np.array([*(unit / length), -low / length])
