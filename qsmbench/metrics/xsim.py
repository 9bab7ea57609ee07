"""Structural similarity for susceptibility maps."""

from __future__ import annotations

import numpy as np

from qsmbench.metrics._declaration import metric
from qsmbench.metrics._filters import correlate
from qsmbench.metrics._once import once
from qsmbench.ops.arrays.box import bounding_box

C1 = 0.01**2
"""(K1·L)² with K1 = 0.01 and L = 1 ppm [ppm²]."""

C2 = 0.001**2
"""(K2·L)² with K2 = 0.001 and L = 1 ppm [ppm²]."""

SIGMA = 1.5
"""Width of the Gaussian window [voxels]."""

REACH = 3
"""The window has 2·3 + 1 = 7 voxels along each axis."""


@metric(
    unit="",
    best=1.0,
    higher_is_better=True,
    reference="Milovic 2025, doi:10.1002/mrm.30271",
    label="XSIM",
    artifacts=("chi",),
    local=True,
)
def xsim(estimate, truth, mask):
    """Structural similarity in ppm (luminance × contrast × structure in a 7³ window), mean over the mask.

    K1 = 0.01, K2 = 0.001, L = 1 ppm; Gaussian window of σ = 1.5 voxels; edges of the volume are replicated.
    Both maps are taken relative to their mean in the mask, since χ has no absolute zero, and set to 0 outside.

    Returns:
        float, at most 1.

    Raises:
        NotApplicable: the mask is empty.
    """
    near = bounding_box(mask, REACH)  # beyond the window's reach of the mask nothing matters
    x, t, here = estimate[near], truth[near], mask[near]
    means = (window(x)[here], _means_of_truth(truth, mask))
    return float(_similarity(*means, *(window(v)[here] for v in _squares(x, t))).mean())


@once
def _means_of_truth(truth: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Compute the local means of the truth in the mask, (n,)."""
    near = bounding_box(mask, REACH)
    return window(truth[near])[mask[near]]


def similarity(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Compute the map of the structural similarity of two volumes in ppm, (nx, ny, nz) float64 each."""
    return _similarity(window(x), window(t), *map(window, _squares(x, t)))


def _squares(x: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x * t, x**2 + t**2


def _similarity(mean_x: np.ndarray, mean_t: np.ndarray, mean_xt: np.ndarray, mean_power: np.ndarray) -> np.ndarray:
    """Compute the structural similarity from the local means of x, t, x·t and x² + t²."""
    product, power = mean_x * mean_t, mean_x**2 + mean_t**2
    covariance = mean_xt - product
    variances = mean_power - power
    return (2 * product + C1) * (2 * covariance + C2) / ((power + C1) * (variances + C2))


def window(volume: np.ndarray) -> np.ndarray:
    """Compute the Gaussian-weighted local mean over 7³ voxels, with replicated edges."""
    g = np.exp(-(np.arange(-REACH, REACH + 1) ** 2) / (2 * SIGMA**2))
    g /= g.sum()
    for axis in range(3):
        volume = correlate(volume, g, axis, replicated=True)
    return volume
