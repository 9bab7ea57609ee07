"""Lesions: the sources of a truth that a reader would look for, their voxels, and what is around them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
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


@dataclass(frozen=True)
class Scene:
    """What the metrics of lesions take beside the maps; see `CONSUMABLE`."""

    study_mask: np.ndarray
    support: np.ndarray
    sources: np.ndarray
    source_table: Sequence[PlacedSource]
    labels: np.ndarray
    regions: Sequence[tuple[int, str, str]]
    grid: Grid

    @property
    def whole(self) -> Scene:
        """The same with all of the study mask reconstructed."""
        return replace(self, support=self.study_mask)

    def parts(self, row: PlacedSource) -> list[int]:
        """Return the indices of a lesion and of its rim."""
        return [row.index, *(r.index for r in self.source_table if r.part_of == row.index)]

    def lesions(self, rows: Sequence[PlacedSource]) -> Iterator[Lesion]:
        """Yield those lesions in the study mask of which at least half was reconstructed and that have a ring.

        What is near a lesion and in its ring is tissue in which it may lie, without the voxels at its borders: other
        tissues, and mixtures with them, differ in χ by more than faint lesions do. Where the ring would be empty, as in
        thin tissue, borders and then other tissues are in it.
        """
        boxes, size = _boxes(self.sources), np.array(self.grid.voxel_size)
        near = 1.5 * size.max()
        far = near + max(RING, 2 * size.max())
        margin = np.ceil(far / size).astype(int) + 1
        for row in rows:
            indices = self.parts(row)
            found = [boxes[i - 1] for i in indices if i <= len(boxes) and boxes[i - 1] is not None]
            if not found:
                continue
            low = np.maximum(np.min([[s.start for s in box] for box in found], 0) - margin, 0)
            high = np.minimum(np.max([[s.stop for s in box] for box in found], 0) + margin, self.sources.shape)
            x, y, z = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
            box: Box = (x, y, z)
            here, inside = self.sources[box], self.support[box] & self.study_mask[box]
            own = np.isin(here, indices) & self.study_mask[box]
            if not own.any():
                continue
            others = (here > 0) & ~own
            distance = ndimage.distance_transform_edt(~own, sampling=self.grid.voxel_size)
            for tissue in self._tissues(row, box):
                around = tissue & ~others & inside
                ring = (distance > near) & (distance <= far) & around
                if np.count_nonzero(ring) >= FEWEST:
                    break
            if 2 * np.count_nonzero(own & inside) < np.count_nonzero(own) or np.count_nonzero(ring) < FEWEST:
                continue
            yield Lesion(row, box, own & inside, (own & inside) | ((distance <= near) & around), ring)

    def _tissues(self, row: PlacedSource, box: Box) -> Iterator[np.ndarray]:
        """Yield the tissues in which a lesion may lie without their borders, then with them, then all voxels.

        A lesion that fills a region has only the last.
        """
        ids = tissues([row], self.regions)
        if row.place != "region" and ids:
            tissue = np.isin(self.labels[box], ids) | (self.sources[box] > 0)
            yield inner(tissue)
            yield tissue
        yield np.ones(self.sources[box].shape, bool)

    def signs(self, truth: np.ndarray) -> dict[int, int]:
        """Return the sign of each lesion's true contrast, by index; fainter ones than `NEGLIGIBLE` have none."""
        found = {}
        for lesion in self.whole.lesions(rows_of(self.source_table)):
            contrast = lesion.contrast(truth)
            if abs(contrast) >= NEGLIGIBLE:
                found[lesion.source.index] = 1 if contrast > 0 else -1
        return found


def tissues(rows: Sequence[PlacedSource], regions: Sequence[tuple[int, str, str]]) -> list[int]:
    """Return the labels of the regions in which lesions lie, and of those that they create."""
    names = {name.strip() for row in rows for name in row.region.split(",")} | {row.name for row in rows}
    return [index for index, name, _ in regions if name in names]


def inner(tissue: np.ndarray) -> np.ndarray:
    """Return the voxels of a tissue whose 26 neighbours are of the same tissue, (nx, ny, nz) bool."""
    return ndimage.binary_erosion(tissue, np.ones((3, 3, 3), bool))


def require(rows: Sequence[Any], what: str = "lesion") -> None:
    """Refuse a truth without lesions.

    Raises:
        NotApplicable: there is none.
    """
    if not rows:
        raise NotApplicable(f"the truth has no {what}")


def total(lesion: Lesion, volume: np.ndarray, grid: Grid) -> float:
    """Return the total χ of a lesion in a map: of it and what is near, against the ring; ppm·mm³."""
    values = volume[lesion.box][lesion.near].astype(np.float64)
    return float((values - lesion.around(volume)).sum()) * grid.voxel_volume


def auc(positive: Sequence[float], negative: Sequence[float]) -> float:
    """Compute the probability that one of the first values exceeds one of the second (ties count half)."""
    a, b = np.asarray(positive, float)[:, None], np.asarray(negative, float)
    return float(((a > b) + 0.5 * (a == b)).mean())


@once
def _boxes(sources: np.ndarray) -> list:
    return ndimage.find_objects(sources.astype(np.int32))
