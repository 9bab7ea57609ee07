"""Axial slices and slabs of a volume: the array axis that they lie across, and projections over them."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy import ndimage

from qsmbench.grid import Grid


def slice_axis(grid: Grid) -> int:
    """Return the array axis nearest to B0, which axial slices lie across."""
    return int(np.argmax(np.abs(grid.b0_dir)))


def in_plane(grid: Grid) -> tuple[int, int]:
    """Return the two array axes within axial slices."""
    first, second = (a for a in range(3) if a != slice_axis(grid))
    return first, second


def project(
    image: np.ndarray, inside: np.ndarray, grid: Grid, thickness: float, kind: Literal["minimum", "maximum"]
) -> np.ndarray:
    """Project an image over the axial slab around each of its slices.

    Args:
        image: (nx, ny, nz), any unit.
        inside: (nx, ny, nz) bool; voxels outside are ignored.
        grid: voxel size and B0 direction.
        thickness: of the slab, mm; rounded to an odd number of slices.
        kind: the minimum or the maximum over the slab.

    Returns:
        (nx, ny, nz) float32, unit of the image, zero outside.
    """
    axis = slice_axis(grid)
    half = max(round((thickness / grid.voxel_size[axis] - 1) / 2), 0)
    none, over = (np.inf, ndimage.minimum_filter1d) if kind == "minimum" else (-np.inf, ndimage.maximum_filter1d)
    values = np.where(inside, image, np.float32(none)).astype(np.float32, copy=False)
    found = over(values, 2 * half + 1, axis=axis, mode="constant", cval=none)
    return np.where(inside, found, np.float32(0))
