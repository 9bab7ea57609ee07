"""The two sides of the median plane."""

from __future__ import annotations

import numpy as np

from qsmbench.grid import Grid


def right_half(grid: Grid) -> np.ndarray:
    """Return the voxels on the right, x > 0 in the space of the scan, (nx, ny, nz) bool.

    Args:
        grid: its affine says where x = 0 is.
    """
    steps = (grid.affine[0, a] * np.arange(n) for a, n in enumerate(grid.shape))
    i, j, k = np.meshgrid(*steps, indexing="ij", sparse=True)
    return i + j + k + grid.affine[0, 3] > 0
