"""High-frequency error norm."""

from __future__ import annotations

import numpy as np

from qsmbench.metrics._declaration import metric
from qsmbench.metrics._filters import box_mean, correlate
from qsmbench.metrics._once import once
from qsmbench.metrics._values import inside, norm, truth_norm
from qsmbench.ops.arrays.box import bounding_box

SIGMA = 1.5
"""Width of the Gaussian [voxels]."""

REACH = 7
"""The kernel has 2·7 + 1 = 15 voxels along each axis."""


@metric(
    unit="%",
    best=0.0,
    higher_is_better=False,
    reference="Langkammer 2018, doi:10.1002/mrm.26830",
    label="HFEN",
    centred=True,
    local=True,
)
def hfen(estimate, truth, mask):
    """Norm of the Laplacian of Gaussian of the error divided by that of the truth, within the mask.

    Both volumes are taken relative to their mean in the mask and masked before they are filtered (15³ voxels, σ = 1.5
    voxels, sum zero, zero-padded), since the kernel would otherwise include sources outside the mask, such as air. An
    error that ends at the border of the mask counts as an edge. An offset of the whole map does not, even if its zero
    is meaningful, since the border would outweigh all structure.

    Returns:
        float, %.

    Raises:
        NotApplicable: the truth is constant within the mask.
    """
    near = bounding_box(mask)
    truth_norm(inside(truth, mask))
    return 100 * (_structure(estimate[near] - truth[near], mask[near]) / _structure_of_truth(truth, mask))


@once
def _structure_of_truth(truth: np.ndarray, mask: np.ndarray) -> float:
    near = bounding_box(mask)  # everything outside the mask is zero, so the filter needs to see no more than this
    return _structure(truth[near], mask[near])


def _structure(volume: np.ndarray, mask: np.ndarray) -> float:
    """Compute the norm of the Laplacian of Gaussian in the mask."""
    return norm(laplacian_of_gaussian(volume)[mask])


def laplacian_of_gaussian(volume: np.ndarray) -> np.ndarray:
    """Convolve with the 15³ Laplacian of a Gaussian, made to sum to zero, with zeros around the volume.

    The kernel is Σ_axis (r²/σ⁴ − 1/σ²)·g·g·g minus its mean: three separable terms and a box.

    Args:
        volume: (nx, ny, nz) float64.

    Returns:
        (nx, ny, nz) float64, per voxel².
    """
    r = np.arange(-REACH, REACH + 1, dtype=np.float64)
    g = np.exp(-(r**2) / (2 * SIGMA**2))
    g /= g.sum()
    curve = (r**2 / SIGMA**4 - 1 / SIGMA**2) * g

    smooth, bent = correlate(volume, g, 0), correlate(volume, curve, 0)
    bent = correlate(bent, g, 1)
    bent += correlate(smooth, curve, 1)
    smooth = correlate(smooth, g, 1)
    result = correlate(bent, g, 2)
    result += correlate(smooth, curve, 2)
    # The kernel's mean over its 15³ voxels times the sum over a box is the kernel's sum times the box mean.
    result -= 3 * float(curve.sum()) * box_mean(volume, REACH)
    return result
