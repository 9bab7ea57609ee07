"""Zero and range of the colour scale of a map, by the true map."""

from __future__ import annotations

import numpy as np

from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.errors import QsmbenchError

WIDEST = 64
"""Largest factor by which a colour scale is widened; assumed."""

SHARE = 0.25
"""Share of the voxels that may lie beyond the colour scale; assumed."""


def widening(truth: np.ndarray | None, mask: np.ndarray, artifact: str) -> int:
    """Return the factor by which the colour scales of a map are wider than usual: 1, 2, 4 …

    It is the least with which no more than a quarter of the true map is off the scale. χ of a head is within the usual
    one, but fat differs from organs by 0.6 ppm. All results on a scan have its factor, and so remain comparable;
    without a truth it is 1.

    Args:
        truth: (nx, ny, nz), in the unit of the artifact.
        mask: (nx, ny, nz) bool, voxels that are shown.
        artifact: its name.

    Raises:
        QsmbenchError: there is no colour scale for the artifact.
    """
    row = ARTIFACTS[artifact]
    if row.scale is None:
        raise QsmbenchError(f"no colour scale for {artifact!r}")
    if truth is None or row.is_mask or row.scale.relative or not mask.any():
        return 1
    values = truth[mask].astype(np.float64)
    if not row.own_zero:
        values -= values.mean()
    low, high = row.scale.values
    factor = 1
    while factor < WIDEST and np.mean((values < factor * low) | (values > factor * high)) > SHARE:
        factor *= 2
    return factor


def reference_mean(truth: np.ndarray | None, inside: np.ndarray, mask: np.ndarray, artifact: str) -> float:
    """Return the mean that a result has where it was reconstructed, if the mean of the true map in the mask is 0.

    A result that is known up to a constant has the mean of the truth in the same voxels, so that a part of the mask
    that was not reconstructed does not appear as an error of the rest. It is 0 without a truth, and for other maps.

    Args:
        truth: (nx, ny, nz), in the unit of the artifact.
        inside: (nx, ny, nz) bool, voxels that were reconstructed.
        mask: (nx, ny, nz) bool.
        artifact: its name.
    """
    if truth is None or ARTIFACTS[artifact].own_zero or not inside.any():
        return 0.0
    return float(truth[inside].mean(dtype=np.float64) - truth[mask].mean(dtype=np.float64))
