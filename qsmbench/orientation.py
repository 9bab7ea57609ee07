"""One scan of several that show the same head under different directions of B0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from qsmbench.grid import Grid


@dataclass(frozen=True)
class Orientation:
    """A local field that was measured with the head turned, brought to the voxels of the reference.

    Attributes:
        local_field: (nx, ny, nz) ppm.
        mask: (nx, ny, nz) bool, where the field is known.
        grid: shape and voxel size of the reference, and the direction of B0 in its voxel axes.
        weight: (nx, ny, nz) relative precision of the field, 1/σ (see `ops.weight.field_weight`); None: the same
            in all of the mask.
    """

    local_field: Any
    mask: Any
    grid: Grid
    weight: Any = None
