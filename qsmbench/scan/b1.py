"""B1: effect of the transmit and receive fields on flip angle and signal."""

from __future__ import annotations

import numpy as np
from pydantic import Field, PositiveFloat

from qsmbench.grid import Grid
from qsmbench.scan.geometry import Point
from qsmbench.scan.harmonics import SCALE_MM
from qsmbench.typed_yaml import Model


class Dome(Model):
    """A Gaussian about the isocentre, given by two of its values."""

    center: PositiveFloat = Field(1, description="value at the isocentre")
    edge: PositiveFloat = Field(description="value 100 mm from the isocentre")


class B1(Model):
    """Profiles of the radio-frequency fields, relative to the nominal value."""

    transmit: Dome | None = Field(None, description="transmit profile, which multiplies the flip angle")
    receive: Dome | None = Field(None, description="receive profile, which multiplies the signal but not the noise")


def squared_distance(grid: Grid, point: Point) -> np.ndarray:
    """Return the squared distance of the voxel centres from a point of the world, (nx, ny, nz) float32, mm²."""
    at = np.linalg.solve(grid.affine, [*point, 1])[:3]  # the point, in voxels
    total = np.zeros((1, 1, 1))
    for axis, (n, d) in enumerate(zip(grid.shape, grid.voxel_size, strict=True)):
        size = [1, 1, 1]
        size[axis] = -1
        total = total + (((np.arange(n) - at[axis]) * d) ** 2).reshape(size)
    return total.astype(np.float32)


def evaluate(dome: Dome, grid: Grid, isocentre: Point) -> np.ndarray:
    """Evaluate a profile, (nx, ny, nz) float32.

    Args:
        dome: the profile.
        grid: voxels to evaluate it at.
        isocentre: mm, in world coordinates.
    """
    r2 = squared_distance(grid, isocentre) / np.float32(SCALE_MM**2)
    return np.float32(dome.center) * np.exp(r2 * np.float32(np.log(dome.edge / dome.center)))
