"""The shape of masks."""

from __future__ import annotations

from typing import Any

from qsmbench.ops.array import namespace


def without_boundary(mask: Any) -> Any:
    """The voxels of a mask whose six neighbours are in it.

    Args:
        mask: (nx, ny, nz) bool, on a cyclic grid: at least one voxel off its copies.

    Returns:
        (nx, ny, nz) bool.
    """
    xp = namespace(mask)
    inner = mask
    for axis in range(3):
        inner = inner & xp.roll(mask, 1, axis=axis) & xp.roll(mask, -1, axis=axis)
    return inner
