"""Helpers of the metrics: values in a mask, with or without their mean, norms, and masked volumes."""

from __future__ import annotations

import numpy as np

from qsmbench.errors import NotApplicable
from qsmbench.metrics._once import once


@once
def inside(volume: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the values in the mask, (n,), in C order."""
    return volume[mask]


def centred_values(volume: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the values in the mask minus their mean.

    QSM determines χ up to a constant, so that comparisons are made relative to the mean of the mask
    (Bilgic 2024, doi:10.1002/mrm.30006). A constant volume gives exact zeros.

    Args:
        volume: (nx, ny, nz), any unit.
        mask: (nx, ny, nz) bool.

    Returns:
        (n,) float64, in the order of `volume[mask]`.

    Raises:
        NotApplicable: the mask is empty.
    """
    values = volume[mask].astype(np.float64)
    if values.size == 0:
        raise NotApplicable("the mask is empty")
    values -= values[0]  # without it, rounding of the mean would leave a residue in a constant volume
    values -= values.mean()
    return values


def cut_to_mask(volume: np.ndarray, mask: np.ndarray, *, centred: bool) -> np.ndarray:
    """Return a float64 volume with the values in the mask, minus their mean if `centred`, and 0 elsewhere.

    Raises:
        NotApplicable: the mask is empty.
    """
    if not mask.any():
        raise NotApplicable("the mask is empty")
    return scatter(centred_values(volume, mask) if centred else volume[mask], mask)


def norm(values: np.ndarray) -> float:
    """Compute the Euclidean norm, summed in a fixed order, so that equal values give bit-identical norms."""
    return float(np.sqrt(np.square(values).sum()))


def truth_norm(truth: np.ndarray) -> float:
    """Compute the norm of the true values, by which an error is divided.

    Raises:
        NotApplicable: it is zero.
    """
    size = norm(truth)
    if size == 0:
        raise NotApplicable("the truth is constant within the mask")
    return size


def scatter(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return a float64 volume with `values` in the mask and 0 elsewhere."""
    volume = np.zeros(mask.shape)
    volume[mask] = values
    return volume
