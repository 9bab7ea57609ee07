"""Regional means, and a linear fit to those of the deep grey nuclei."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qsmbench.errors import NotApplicable
from qsmbench.metrics._once import once
from qsmbench.metrics._values import inside

Regions = Sequence[tuple[int, str, str]]


def region_means(volume: np.ndarray, mask: np.ndarray, labels: np.ndarray, regions: Regions) -> dict[str, float]:
    """Compute the mean of each region; regions without a voxel in the mask are omitted.

    Args:
        volume: (nx, ny, nz), any unit.
        mask: (nx, ny, nz) bool.
        labels: (nx, ny, nz) integer.
        regions: (index, name, group) each.
    """
    count, total = _counts(labels, mask), _totals(volume, labels, mask)
    present = [(index, name) for index, name, _ in regions if index < count.size and count[index]]
    return {name: float(total[index] / count[index]) for index, name in present}


@once
def _indices(labels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return labels[mask].astype(np.intp)


@once
def _counts(labels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the number of voxels in the mask for each index."""
    return np.bincount(_indices(labels, mask))


@once
def _totals(volume: np.ndarray, labels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the sum of the values in the mask for each index."""
    return np.bincount(_indices(labels, mask), weights=inside(volume, mask))


def dgm_line(
    estimate: np.ndarray, truth: np.ndarray, mask: np.ndarray, labels: np.ndarray, regions: Regions
) -> tuple[float, float, float]:
    """Fit a line to reconstructed against true means of the group `dgm`; return slope, intercept and R².

    Raises:
        NotApplicable: fewer than three such regions, or their true means are equal.
    """
    nuclei = [r for r in regions if r[2] == "dgm"]
    reconstructed = region_means(estimate, mask, labels, nuclei)
    true = region_means(truth, mask, labels, nuclei)
    if len(true) < 3:
        raise NotApplicable(f"{len(true)} regions of the group dgm are in the mask; a linear fit needs three")
    x, y = (np.array(list(means.values())) for means in (true, reconstructed))
    dx, dy = x - x.mean(), y - y.mean()
    spread = float(dx @ dx)
    if spread == 0:
        raise NotApplicable("the true means of the regions of the group dgm are equal")
    slope = float(dx @ dy) / spread
    total = float(dy @ dy)
    # The square of the correlation; a reconstruction without any spread explains nothing.
    r2 = float(dx @ dy) ** 2 / (spread * total) if total > 0 else 0.0
    return slope, float(y.mean() - slope * x.mean()), r2
