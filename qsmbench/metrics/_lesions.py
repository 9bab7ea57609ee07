"""Lesions: the sources of a truth that a reader would look for, their voxels, and what is around them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from qsmbench.data.source_table import NEGLIGIBLE, PlacedSource
from qsmbench.errors import NotApplicable
from qsmbench.grid import Grid
from qsmbench.metrics._once import once
from qsmbench.ops.arrays.box import Box

LARGEST = 1e5
"""Largest volume of a lesion, mm³ (assumed); what is larger is a tissue, whose mean is compared between groups."""

RING = 3.0
"""Thickness of the ring around a lesion, mm (assumed); at least two voxels."""

FEWEST = 4
"""Fewest voxels of a mean."""


@dataclass(frozen=True)
class Lesion:
    """The surroundings of one lesion, as a box of the volume.

    Attributes:
        source: its row in the table.
        box: of the volume.
        own: its voxels, with those of its rim.
        near: its voxels and those within a voxel and a half of them, without those of other sources.
        ring: tissue around it, without other sources.
    """

    source: PlacedSource
    box: Box
    own: np.ndarray
    near: np.ndarray
    ring: np.ndarray

    def contrast(self, volume: np.ndarray) -> float:
        """Return the mean of the lesion minus the median of the ring; NaN if either has too few voxels."""
        part = volume[self.box]
        return float(part[self.own].mean()) - self.around(volume)

    def around(self, volume: np.ndarray) -> float:
        """Return the median of the ring."""
        return float(np.median(volume[self.box][self.ring]))


def rows_of(table: Sequence[PlacedSource]) -> list[PlacedSource]:
    """Return the sources that count as lesions: neither a rim, nor a finding of the person, nor a whole tissue."""
    return [row for row in table if not row.shell and not row.is_finding and 0 < row.volume <= LARGEST]


def scattered(table: Sequence[PlacedSource]) -> list[PlacedSource]:
    """Return the lesions that do not fill a region of the anatomy."""
    return [row for row in rows_of(table) if row.place != "region"]


def lesions(
    rows: Sequence[PlacedSource],
    sources: np.ndarray,
    table: Sequence[PlacedSource],
    study_mask: np.ndarray,
    support: np.ndarray,
    grid: Grid,
) -> Iterator[Lesion]:
    """Yield the lesions in the study mask of which at least half was reconstructed and that have a ring.

    Args:
        rows: of the lesions.
        sources: (nx, ny, nz) integer, index of the source in each voxel.
        table: all rows.
        study_mask: (nx, ny, nz) bool.
        support: (nx, ny, nz) bool, voxels that were reconstructed.
        grid: voxel size.
    """
    boxes = _boxes(sources)
    size = np.array(grid.voxel_size)
    near = 1.5 * size.max()
    far = near + max(RING, 2 * size.max())
    margin = np.ceil(far / size).astype(int) + 1
    for row in rows:
        indices = [row.index, *(r.index for r in table if r.part_of == row.index)]
        found = [boxes[i - 1] for i in indices if i <= len(boxes) and boxes[i - 1] is not None]
        if not found:
            continue
        low = np.maximum(np.min([[s.start for s in box] for box in found], 0) - margin, 0)
        high = np.minimum(np.max([[s.stop for s in box] for box in found], 0) + margin, sources.shape)
        x, y, z = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        box: Box = (x, y, z)
        here, inside = sources[box], support[box] & study_mask[box]
        own = np.isin(here, indices) & study_mask[box]
        if not own.any():
            continue
        others = (here > 0) & ~own
        distance = ndimage.distance_transform_edt(~own, sampling=grid.voxel_size)
        ring = (distance > near) & (distance <= far) & ~others & inside
        if 2 * np.count_nonzero(own & inside) < np.count_nonzero(own) or np.count_nonzero(ring) < FEWEST:
            continue
        yield Lesion(row, box, own & inside, (distance <= near) & ~others & inside, ring)


def require(rows: Sequence[Any], what: str = "lesion") -> None:
    """Refuse a truth without lesions.

    Raises:
        NotApplicable: there is none.
    """
    if not rows:
        raise NotApplicable(f"the truth has no {what}")


def signs(truth: np.ndarray, sources, table, study_mask, grid) -> dict[int, int]:
    """Return the sign of each lesion's true contrast, by index; lesions fainter than `NEGLIGIBLE` have none."""
    found = {}
    for lesion in lesions(rows_of(table), sources, table, study_mask, study_mask, grid):
        contrast = lesion.contrast(truth)
        if abs(contrast) >= NEGLIGIBLE:
            found[lesion.source.index] = 1 if contrast > 0 else -1
    return found


def auc(positive: Sequence[float], negative: Sequence[float]) -> float:
    """Compute the probability that one of the first values exceeds one of the second (ties count half)."""
    a, b = np.asarray(positive, float)[:, None], np.asarray(negative, float)
    return float(((a > b) + 0.5 * (a == b)).mean())


@once
def _boxes(sources: np.ndarray) -> list:
    return ndimage.find_objects(sources.astype(np.int32))
