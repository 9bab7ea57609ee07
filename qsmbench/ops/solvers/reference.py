"""The reference of a susceptibility map."""

from __future__ import annotations

from typing import Any

import numpy as np

from qsmbench.ops.arrays.array import is_numpy, masked, namespace


def subtract_mask_mean(chi: Any, mask: Any) -> Any:
    """χ minus its mean over the mask, in place; zero outside.

    The field does not say what a uniform χ is (D(0) is a convention), so every inversion refers to the whole mask.

    Args:
        chi: (nx, ny, nz) ppm.
        mask: (nx, ny, nz) bool.

    Returns:
        (nx, ny, nz) float32, ppm, with zero mean over the mask.
    """
    if not is_numpy(chi):
        xp = namespace(chi)
        inside = masked(chi, mask)
        mean = float(xp.sum(inside, dtype=xp.float64)) / float(xp.sum(xp.astype(mask, xp.float64)))
        return masked(chi - mean, mask)
    mean = np.sum(chi, where=mask, dtype=np.float64) / np.count_nonzero(mask)
    chi -= chi.dtype.type(mean)
    chi *= mask
    return chi.astype(np.float32, copy=False)
