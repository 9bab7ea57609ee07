"""Edges of the magnitude, across which χ may jump."""

from __future__ import annotations

from typing import Any

import numpy as np

from qsmbench.grid import Triple
from qsmbench.ops.arrays.array import like, namespace, to_numpy
from qsmbench.ops.arrays.difference import gradient


def combine_echoes(magnitude: Any) -> Any:
    """Combine all echoes by the root of the sum of their squares: (nx, ny, nz, n_echoes) → (nx, ny, nz)."""
    squares = magnitude[..., 0] ** 2
    for echo in range(1, magnitude.shape[3]):  # one after the other, with the memory of one
        squares = squares + magnitude[..., echo] ** 2
    return namespace(magnitude).sqrt(squares)


def away_from_edges(image: Any, inside: Any, voxel_size: Triple, fraction: float) -> Any:
    """Find the voxels and axes without an edge of an image: all but the steepest `fraction` of slopes in a mask.

    Args:
        image: (nx, ny, nz) float32, any unit, zero outside the mask.
        inside: (nx, ny, nz) bool, the mask.
        voxel_size: mm.
        fraction: of the differences in the mask that count as edges.

    Returns:
        (3, nx, ny, nz) bool.

    Reference:
        Liu J 2012, doi:10.1016/j.neuroimage.2011.08.082.
    """
    slopes = np.abs(to_numpy(gradient(image, voxel_size)))
    values = slopes[:, to_numpy(inside)]
    n_smooth = round((1 - fraction) * values.size)
    if n_smooth == 0:
        return like(np.zeros(slopes.shape, bool), image)
    limit = np.partition(values, n_smooth - 1, axis=None)[n_smooth - 1]
    return like(slopes <= limit, image)
