"""Regional means, and the straight line through those of the deep grey nuclei."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qsmbench.errors import NotApplicable

Regions = Sequence[tuple[int, str, str]]


def region_means(volume: np.ndarray, mask: np.ndarray, labels: np.ndarray, regions: Regions) -> dict[str, float]:
    """Compute the mean of each region; regions without a voxel in the mask are left out.

    Args:
        volume: (nx, ny, nz), any unit.
        mask: (nx, ny, nz) bool.
        labels: (nx, ny, nz) integer.
        regions: (index, name, group) each.
    """
    values, inside = volume[mask], labels[mask].astype(np.intp)
    count = np.bincount(inside)
    total = np.bincount(inside, weights=values)
    present = [(index, name) for index, name, _ in regions if index < count.size and count[index]]
    return {name: float(total[index] / count[index]) for index, name in present}


def dgm_line(
    estimate: np.ndarray, truth: np.ndarray, mask: np.ndarray, labels: np.ndarray, regions: Regions
) -> tuple[float, float, float]:
    """Fit a line to reconstructed over true means of the group `dgm`: its slope, intercept and R².

    Raises:
        NotApplicable: fewer than three such regions, or their true means are equal.
    """
    nuclei = [r for r in regions if r[2] == "dgm"]
    reconstructed = region_means(estimate, mask, labels, nuclei)
    true = region_means(truth, mask, labels, nuclei)
    if len(true) < 3:
        raise NotApplicable(f"{len(true)} regions of the group dgm lie in the mask; a line needs three")
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
