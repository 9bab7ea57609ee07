"""Blooming: how much larger than it is a source appears in an image of any contrast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid

LEVEL = 0.5
"""Share of the largest contrast at the border of what is seen: half maximum."""

RING = 4.0
"""Width of the tissue around a source that it is compared with, mm; assumed."""


@dataclass(frozen=True)
class Apparent:
    """What is seen of a source.

    Attributes:
        volume: mm³.
        contrast: largest difference from the tissue around, in the unit of the image; negative if dark.
        noise: standard deviation of the tissue around.
    """

    volume: float
    contrast: float
    noise: float


def apparent(image: np.ndarray, place: np.ndarray, mask: np.ndarray, grid: Grid, *, reach: float = 6.0) -> Apparent:
    """Measure the apparent volume of a source at half of its largest contrast.

    The tissue around is a ring of 4 mm, from `reach` beyond the source on. The contrast is the largest absolute
    difference from its median, within the source and one voxel around. What is seen are the voxels of the same sign
    above half of it that are connected, by faces, to the voxel of the largest contrast, within `reach` of the source.

    Args:
        image: (nx, ny, nz), any contrast.
        place: (nx, ny, nz) bool, the true voxels of the source.
        mask: (nx, ny, nz) bool, voxels of the image.
        grid: voxel size.
        reach: mm.

    Raises:
        QsmbenchError: no voxel of the source, or none of the tissue around it, is in the mask.
    """
    away = ndimage.distance_transform_edt(~place, sampling=grid.voxel_size) if place.any() else np.inf
    ring = mask & (away > reach) & (away <= reach + RING)
    centre = mask & (away <= max(grid.voxel_size) * 1.01)
    if not centre.any() or not ring.any():
        raise QsmbenchError("apparent volume: no voxel of the source, or none of the tissue around it, is in the mask")
    level, noise = float(np.median(image[ring])), float(image[ring].std())
    difference = np.where(mask, image - level, 0.0)
    peak = np.flatnonzero(centre)[np.abs(difference[centre]).argmax()]
    contrast = float(difference.flat[peak])
    if contrast == 0:
        return Apparent(0.0, 0.0, noise)
    seen = (difference / contrast >= LEVEL) & (away <= reach)
    labels, _ = ndimage.label(seen)
    volume = np.count_nonzero(labels == labels.flat[peak]) * grid.voxel_volume
    return Apparent(float(volume), contrast, noise)


def blooming(seen: Apparent, true_volume: float) -> float:
    """Return the apparent over the true volume; `true_volume` in mm³."""
    return seen.volume / true_volume


def growth(volumes: Sequence[float], te: Sequence[float], first: float = 0.020, last: float = 0.040) -> float:
    """Return the ratio of the apparent volumes at two echo times, by a line through the logarithm of the volume.

    Args:
        volumes: mm³, at each echo time.
        te: s, two or more.
        first, last: s.

    Raises:
        QsmbenchError: there are fewer than two echo times, or a volume is not positive.
    """
    if len(te) < 2 or len(te) != len(volumes) or min(volumes) <= 0:
        raise QsmbenchError("growth: it needs the positive volumes at two or more echo times")
    slope = np.polyfit(np.asarray(te, float), np.log(np.asarray(volumes, float)), 1)[0]
    return float(np.exp(slope * (last - first)))


def total_chi(chi: np.ndarray, place: np.ndarray, mask: np.ndarray, grid: Grid, *, reach: float = 6.0) -> float:
    """Compute the total χ of a source above the tissue around, within `reach` of it, ppm·mm³.

    Args:
        chi: (nx, ny, nz) ppm.
        place, mask, grid, reach: as in `apparent`.

    Raises:
        QsmbenchError: there is no tissue around it in the mask.
    """
    away = ndimage.distance_transform_edt(~place, sampling=grid.voxel_size)
    ring, within = mask & (away > reach) & (away <= reach + RING), mask & (away <= reach)
    if not ring.any():
        raise QsmbenchError("total χ: there is no tissue around the source in the mask")
    return float((chi[within] - np.median(chi[ring])).sum()) * grid.voxel_volume
