"""The rim of the study mask, where background removal fails first."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from qsmbench.errors import NotApplicable
from qsmbench.grid import Grid, Triple
from qsmbench.metrics._once import frozen, once
from qsmbench.metrics._values import norm
from qsmbench.ops.masks.morphology import depth

RIM = 12.0
"""Thickness of the rim, mm (assumed): the radius of the largest ball of many implementations of V-SHARP."""


def rim_of(study_mask: np.ndarray, grid: Grid) -> np.ndarray:
    """Find the voxels of the study mask whose centres are at most `RIM` from that of a voxel outside.

    Args:
        study_mask: (nx, ny, nz) bool.
        grid: voxel size.

    Returns:
        (nx, ny, nz) bool.
    """
    return _rim(study_mask, _array(grid.voxel_size))


@once
def _rim(study_mask: np.ndarray, voxel_size: np.ndarray) -> np.ndarray:
    x, y, z = voxel_size.tolist()
    return study_mask & (depth(study_mask, Grid(study_mask.shape, (x, y, z))) <= RIM)


@lru_cache(maxsize=16)
def _array(voxel_size: Triple) -> np.ndarray:
    """Return one and the same read-only array for a voxel size, as `once` needs."""
    return frozen(np.array(voxel_size))


def nrmse_within(estimate: np.ndarray, truth: np.ndarray, zone: np.ndarray) -> float:
    """Compute the norm of the error divided by the norm of the truth, in a part of the mask [%].

    Raises:
        NotApplicable: the part has no voxel, or the truth is zero there.
    """
    t = truth[zone]
    size = norm(t)
    if size == 0:
        raise NotApplicable("the truth is zero in this part of the mask" if t.size else "the mask has no such voxel")
    return 100 * (norm(estimate[zone] - t) / size)
