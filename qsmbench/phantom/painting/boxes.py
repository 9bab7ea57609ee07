"""Boxes along the axes, as lower and upper corner: (2, 3)."""

from __future__ import annotations

from itertools import product

import numpy as np

from qsmbench.grid import Grid


def transform_box(box: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Return the box, (2, 3), that holds the image of `box`, (2, 3), under `affine`, (4, 4)."""
    corners = np.array([[*corner, 1.0] for corner in product(*box.T)])
    image = (corners @ affine.T)[:, :3]
    return np.stack([image.min(0), image.max(0)])


def grid_box(grid: Grid) -> np.ndarray:
    """Return the box, (2, 3) world mm, that the centres of a grid's first and last voxel span."""
    first = grid.affine[:3, 3]
    last = grid.affine[:3, :3] @ (np.array(grid.shape) - 1) + first
    return np.stack([np.minimum(first, last), np.maximum(first, last)])
