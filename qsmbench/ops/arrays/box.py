"""The bounding box of a mask."""

from __future__ import annotations

import numpy as np

from qsmbench.errors import NotApplicable

Box = tuple[slice, slice, slice]


def bounding_box(mask: np.ndarray, margin: int = 0) -> Box:
    """Return the bounding box of a mask, extended by `margin` voxels within the array.

    Args:
        mask: (nx, ny, nz) bool.
        margin: voxels on each side.

    Raises:
        NotApplicable: the mask is empty.
    """
    box = []
    for axis, n in enumerate(mask.shape):
        inside = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        if inside.size == 0:
            raise NotApplicable("the mask is empty")
        box.append(slice(max(int(inside[0]) - margin, 0), min(int(inside[-1]) + 1 + margin, n)))
    return box[0], box[1], box[2]
