"""Planes of a phantom or of a volume, as images in radiological convention."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qsmbench.grid import Grid
from qsmbench.phantom.base import Phantom
from qsmbench.phantom.properties import Properties

NORMAL = {"sagittal": 0, "coronal": 1, "axial": 2}
SIDES = {"axial": ("R", "L"), "coronal": ("R", "L"), "sagittal": ("A", "P")}
BRAIN = ((-74, 74), (-110, 76), (-54, 84))
"""A box [mm] about the brain of the head, along x, y, z."""
HEAD = ((-90, 90), (-124, 102), (-76, 98))
"""A box [mm] about the head."""

Box = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]


@dataclass(frozen=True)
class Plane:
    """A plane through the head.

    Attributes:
        name: sagittal, coronal or axial.
        at: mm, where it cuts the axis that it is normal to.
        box: mm, what is shown of it; the limits along its own normal do not matter.
    """

    name: str
    at: float
    box: Box = BRAIN

    @property
    def normal(self) -> int:
        """The axis that it is normal to."""
        return NORMAL[self.name]

    @property
    def title(self) -> str:
        """Its name and place."""
        return f"{self.name}, {'xyz'[self.normal]} = {self.at:g} mm".replace("-", "−")

    def grid(self, pixel: float, thickness: float | None = None, count: int = 1) -> Grid:
        """`count` slices of the plane's box about `at`, of `pixel` mm and of `thickness` mm, by default as large."""
        size = np.full(3, float(pixel))
        size[self.normal] = thickness or pixel
        lower, upper = (np.array(ends, float) for ends in zip(*self.box, strict=True))
        half = count * size[self.normal] / 2
        lower[self.normal], upper[self.normal] = self.at - half, self.at + half
        nx, ny, nz = (int(n) for n in np.maximum(np.round((upper - lower) / size), 1))
        affine = np.diag([*size, 1.0])
        affine[:3, 3] = lower + size / 2
        return Grid.from_affine((nx, ny, nz), affine)

    def render(self, phantom: Phantom, pixel: float, thickness: float | None = None, b0: float = 3.0) -> Properties:
        """What is true of a phantom in the plane."""
        return phantom.render(self.grid(pixel, thickness), b0)

    def image(self, slab: np.ndarray) -> np.ndarray:
        """The middle slice of a slab that was rendered on the plane's grid, rows from top to bottom."""
        return radiological(np.take(slab, slab.shape[self.normal] // 2, self.normal))

    def cut(self, volume: np.ndarray, grid: Grid) -> np.ndarray:
        """The plane out of a volume whose axes are the world's, without interpolation."""
        picks: list[slice | int] = []
        for axis in range(3):
            places = grid.affine[axis, 3] + grid.affine[axis, axis] * np.arange(grid.shape[axis])
            if axis == self.normal:
                picks.append(int(np.abs(places - self.at).argmin()))
            else:
                inside = np.flatnonzero((places > self.box[axis][0]) & (places < self.box[axis][1]))
                picks.append(slice(inside[0], inside[-1] + 1))
        return radiological(volume[tuple(picks)])

    def pixel_of(self, point: tuple[float, float, float], image: np.ndarray) -> tuple[float, float]:
        """Column and row of a point [mm] in an image of the plane."""
        across, up = (a for a in range(3) if a != self.normal)
        (left, right), (low, high) = self.box[across], self.box[up]
        column = (right - point[across]) / (right - left) * image.shape[1] - 0.5
        return column, (high - point[up]) / (high - low) * image.shape[0] - 0.5


def radiological(plane: np.ndarray) -> np.ndarray:
    """Columns run from the patient's right (or front) to left (or back), rows from top to bottom."""
    return plane.T[::-1, ::-1]
