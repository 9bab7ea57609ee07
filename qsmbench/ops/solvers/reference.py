"""The reference of a susceptibility map."""

from __future__ import annotations

from typing import Any

import numpy as np

from qsmbench.ops.arrays.algebra import mean_inside
from qsmbench.ops.arrays.array import is_numpy, masked


def subtract_mask_mean(chi: Any, mask: Any) -> Any:
    """Subtract the mean over the mask from χ, in place; zero outside.

    The field does not determine a uniform χ (D(0) is a convention), so every inversion is relative to the whole mask.

    Args:
        chi: (nx, ny, nz) ppm.
        mask: (nx, ny, nz) bool.

    Returns:
        (nx, ny, nz) float32, ppm, with zero mean over the mask.
    """
    if not is_numpy(chi):
        return masked(chi - mean_inside(chi, mask), mask)
    mean = np.sum(chi, where=mask, dtype=np.float64) / np.count_nonzero(mask)
    chi -= chi.dtype.type(mean)
    chi *= mask
    return chi.astype(np.float32, copy=False)
