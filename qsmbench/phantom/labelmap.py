"""A phantom from any label image, such as a segmentation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from qsmbench.data.provenance import SourcedValue
from qsmbench.data.tables import read_table
from qsmbench.data.volumes import open_volume
from qsmbench.errors import QsmbenchError, shown
from qsmbench.grid import Grid
from qsmbench.phantom import origins
from qsmbench.phantom.base import Phantom, Region
from qsmbench.phantom.description import geometry as g
from qsmbench.phantom.description import models as d
from qsmbench.phantom.description.files import locate
from qsmbench.phantom.description.sources import Calcification, Fat, Haemorrhage, InPlace, Side
from qsmbench.phantom.description.tissues import Material, Origin, find_tissue, material_values, split, table
from qsmbench.phantom.painting.canvas import EVEN, Canvas, Compile, Part, Shell
from qsmbench.phantom.painting.overlap import TIE, division, extent, mix, share_of
from qsmbench.phantom.painting.placing import paint_source
from qsmbench.phantom.painting.shapes import Compiler
from qsmbench.phantom.species import CHANNELS, CHI_DIA, CHI_PARA, weight
from qsmbench.phantom.warp import NO_WARP
from qsmbench.threads import over_planes
from qsmbench.typed_yaml import check

NEEDED = ("chi", "pd", "t1", "r2star", "fat_fraction")
"""Columns of a table without tissues; the other keys of `Material` are optional."""

PaintPart = Callable[[Canvas, Any, np.ndarray], None]
"""Function that paints a source on a canvas of some voxels, (n, 1, 1), with a strength in each, float32."""

SIGNS: dict[Side | None, float] = {None: 0.0, "left": -1.0, "right": 1.0}
"""Sign of x on each side: in RAS, the patient's left has negative x."""


@dataclass(frozen=True)
class LabelPhantom(Phantom):
    """A label image with a table of labels."""

    description: d.LabelDescription

    @property
    def files(self) -> list[Path]:
        """Files that the phantom depends on."""
        return [
            *self.described_in,
            *(locate(f, self.path.parent) for f in (self.description.image, self.description.table)),
        ]

    @cached_property
    def _image(self) -> tuple[np.ndarray, np.ndarray]:
        path = locate(self.description.image, self.path.parent)
        values, affine = open_volume(path)
        if values.ndim != 3 or not np.array_equal(values, np.round(values)):
            raise QsmbenchError(f"{path}: a label image must have 3 axes and integer values")
        if values.min() < 0 or values.max() > 255:
            raise QsmbenchError(f"{path}: labels run from {values.min():g} to {values.max():g}; they must be 0…255")
        return values.astype(np.uint8), affine

    @cached_property
    def _rows(self) -> dict[int, dict[str, str]]:
        path = locate(self.description.table, self.path.parent)
        rows = read_table(path)
        if not rows or not {"index", "name"} <= rows[0].keys():
            raise QsmbenchError(
                f"{path}: the table must have the columns index, name, and tissue or {', '.join(NEEDED)}"
            )
        found: dict[int, dict[str, str]] = {}
        for row in rows:
            index = int(row["index"]) if row["index"].isdecimal() and len(row["index"]) < 10 else -1
            if not 0 <= index <= 255:
                raise QsmbenchError(f"{path}: index is {shown(row['index'])}; it must be a whole number from 0 to 255")
            if index in found:
                names = f"{found[index]['name']} and {row['name']}"
                raise QsmbenchError(f"{path}: index {index} has two rows, {names}; each index needs one")
            found[index] = row
        return found

    @cached_property
    def _region_of(self) -> np.ndarray:
        """The label of the region that each label belongs to, (256,) uint8: the first label of the same name."""
        first: dict[str, int] = {}
        region_of = np.arange(256, dtype=np.uint8)
        for index, row in sorted(self._rows.items()):
            if index > 0:
                region_of[index] = first.setdefault(row["name"], index)
        return region_of

    @cached_property
    def anatomy(self) -> list[Region]:
        """All labels except 0; labels of one name, such as those of both sides, are one region."""
        tissues = table()
        found: dict[str, Region] = {}
        for index, row in sorted(self._rows.items()):
            tissue = tissues.get(row.get("tissue") or "")
            group = row.get("group") or (tissue.group if tissue else "")
            if index > 0:
                found.setdefault(row["name"], (index, row["name"], group))
        return list(found.values())

    def grid(self) -> Grid:
        """Return the image's own grid, or the same box in voxels of `voxel_size`."""
        labels, affine = self._image
        own = Grid.from_affine(labels.shape, affine, self.description.b0_dir)
        if self.description.voxel_size is None:
            return own
        factor = np.array(self.description.voxel_size) / np.array(own.voxel_size)
        nx, ny, nz = (int(n) for n in np.maximum(np.round(np.array(own.shape) / factor), 1))
        scaled = affine.copy()
        scaled[:3, :3] = affine[:3, :3] * factor
        centre = affine @ [*((np.array(own.shape) - 1) / 2), 1]
        scaled[:3, 3] = centre[:3] - scaled[:3, :3] @ ((np.array([nx, ny, nz]) - 1) / 2)
        return Grid.from_affine((nx, ny, nz), scaled, self.description.b0_dir)

    def _tissue_of(self, region: str) -> str | None:
        return next((row.get("tissue") for row in self._rows.values() if row["name"] == region), None)

    def _content(self, region: str, b0: float) -> np.ndarray | None:
        index = next((index for index, name, _ in self.anatomy if name == region), None)
        return None if index is None else self._values(np.array([index]), b0)[index]

    def _region_provenance(self, region: str, b0: float) -> list[SourcedValue]:
        where = locate(self.description.table, self.path.parent)
        found: list[SourcedValue] = []
        for row in (row for row in self._rows.values() if row["name"] == region):
            if name := row.get("tissue"):
                found += origins.of_tissue(find_tissue(self.tissues, name, where), b0)
                continue
            stated = _material(row, f"{where}: {region}").model_dump(exclude_none=True)
            found += origins.of_material(stated, Origin(where.name, False, "phantom"))
        return found

    def _canvas(self, grid: Grid, b0: float) -> tuple[Canvas, np.ndarray]:
        """Paint the object, and return the canvas and its mask.

        A voxel has the mean of the labels in it, by volume: labels are never interpolated, and their volumes are
        preserved on any grid. A source in a region changes the region's part of each voxel, as it would change the
        region's tissue alone.

        Raises:
            QsmbenchError: a label is not in the table, or its tissue is unknown.
        """
        labels, _ = self._image
        values = self._values(labels, b0)
        canvas = Canvas.blank(grid, values[0], np.zeros(1, np.float32))
        inside = np.zeros(256, np.bool_)
        chosen = self.description.mask
        inside[list(chosen) if chosen is not None else slice(1, None)] = True
        share = np.zeros(grid.shape, np.float32)
        over_planes(
            mix, grid.shape[0], labels, *self._overlap(grid), values, self._region_of, inside,
            canvas.stack, canvas.labels, canvas.weight, share,
        )  # fmt: skip
        for index, name, _ in self.anatomy:
            sources = list(self._regional(name))
            self._change_region(canvas, index, values, sources, partial(self._paint_part, b0=b0))
            self._mark_sources(canvas, index, sources, b0)
        return canvas, share >= 0.5 - TIE

    def _overlap(self, grid: Grid) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return how the voxels of a grid lie in the image: the arguments of `mix` from `to_image` to `size`."""
        to_image = np.linalg.inv(self._image[1]) @ grid.affine
        parts = division(to_image)
        return to_image, parts, extent(to_image, parts), extent(to_image, np.ones(3))

    def _share_of(
        self, chosen: np.ndarray, grid: Grid, side: Side | None = None, ramp: np.ndarray = EVEN
    ) -> np.ndarray:
        """Return the share of each voxel that labels fill, (nx, ny, nz) float32.

        Args:
            chosen: (256,) bool, the labels.
            grid: of the voxels.
            side: of the world that counts; None: both.
            ramp: (4,) strength n·x + o at world x [mm], clipped to 0–1, that the share is multiplied by.
        """
        labels, affine = self._image
        share = np.zeros(grid.shape, np.float32)
        plane = SIGNS[side] * affine[0]
        over_planes(
            share_of, grid.shape[0], labels, *self._overlap(grid), plane, ramp @ affine, chosen, share
        )  # fmt: skip
        return share

    def region_in_view(self, source: InPlace, grid: Grid) -> tuple[np.ndarray, float]:
        """Return the centres of the image's voxels, since the region may fill less than half of any of the grid's."""
        assert source.region is not None
        points, _ = self.atlas.points((source.region,), source.side)
        place = np.linalg.solve(grid.affine[:3, :3], (points - grid.affine[:3, 3]).T).T
        seen = ((place > -0.5 - TIE) & (place < np.array(grid.shape) - 0.5 + TIE)).all(1)
        share = self._share_of(self._region_of == self.atlas.label(source.region), grid, source.side)
        return points[seen], float(share.sum(dtype=float)) * grid.voxel_volume

    def _part_of(self, chosen: np.ndarray, grid: Grid) -> Part:
        """Return the part of each voxel that labels fill; `chosen`, (256,) bool, says which."""
        share = self._share_of(chosen, grid).ravel()
        at = np.flatnonzero(share)
        return Part(at, share[at])

    def _fraction(
        self, part: Part, chosen: np.ndarray, grid: Grid, side: Side | None, ramp: np.ndarray = EVEN
    ) -> np.ndarray:
        """Return how much of the part of `chosen` labels is on a side, times the mean ramp there, (n,) float32, 0–1."""
        if side is None and ramp is EVEN:
            return np.ones_like(part.share)
        return np.minimum(self._share_of(chosen, grid, side, ramp).ravel()[part.at] / part.share, 1)

    def _change_region(
        self, canvas: Canvas, region: int, content: np.ndarray, sources: Sequence[Any], paint: PaintPart
    ) -> None:
        """Change the part of each voxel that a region fills.

        Args:
            canvas: in place.
            region: its index.
            content: (256, c), what the maps hold in each label.
            sources: in the order of painting.
            paint: paints a source on a canvas of the region alone.
        """
        for label in np.flatnonzero(self._region_of == region) if sources else ():
            chosen = np.arange(256) == label
            part = self._part_of(chosen, canvas.grid)
            if not part.at.size:
                continue
            alone = Canvas.blank(Grid((part.at.size, 1, 1), (1, 1, 1)), content[label], canvas.data)
            for source in sources:
                strength = self._fraction(part, chosen, canvas.grid, source.side, self._ramp_of(source))
                paint(alone, source, strength[:, None, None])
            canvas.change_part(part, content[label], alone.stack[:, :, 0, 0])

    def _mark_sources(self, canvas: Canvas, region: int, sources: Sequence[Any], b0: float) -> None:
        """Label the regions that sources in a region create."""
        named = [(source, label) for source in sources if (label := self._label_of(source))]
        chosen = self._region_of == region
        part = self._part_of(chosen, canvas.grid) if named else None
        for source, label in named:
            assert part is not None
            amount = source.filling(self.tissues, b0, self.description.dr)[0] if _replaces(source) else 1.0
            fraction = np.float32(amount) * self._fraction(part, chosen, canvas.grid, source.side)
            canvas.mark_part(part, fraction, [region, *(created for _, created in named)], label)

    def _ramp_of(self, source: Any) -> np.ndarray:
        if source.gradient is None or _replaces(source):
            return EVEN
        return self.atlas.ramp(source.region, source.side, np.array(source.gradient))

    def _paint_part(self, canvas: Canvas, source: Any, strength: np.ndarray, b0: float) -> None:
        dr = self.description.dr
        paint_source(canvas, source, strength, 0, NO_WARP, tissues=self.tissues, b0=b0, dr=dr)

    def _compiler(self, shape: g.Shape) -> Compile:
        return lambda step: Compiler({}, {}, step, self.path).compile(shape)

    def _densities(self, grid: Grid, sources: tuple[Calcification, ...]) -> Canvas:
        canvas = Canvas.blank(grid, np.zeros(1), np.zeros(1, np.float32))
        for index, name, _ in self.anatomy:
            own = [source for source in sources if source.region == name]
            self._change_region(canvas, index, np.zeros((256, 1), np.float32), own, _paint_density)
        return canvas

    @property
    def _map_data(self) -> np.ndarray:
        return np.zeros(1, np.float32)

    @property
    def _coarse_grid(self) -> Grid:
        labels, affine = self._image
        return Grid.from_affine(labels.shape, affine)

    def _labels(self) -> np.ndarray:
        return self._region_of[self._image[0]]

    def _values(self, labels: np.ndarray, b0: float) -> np.ndarray:
        """Return the properties of each label, (256, c), as they mix."""
        where = locate(self.description.table, self.path.parent)
        values = np.zeros((256, len(CHANNELS)), np.float32)
        values[0, CHI_PARA], values[0, CHI_DIA] = split(self.description.ambient_chi)
        for index in np.unique(labels):
            row = self._rows.get(int(index))
            if row is None and index == 0:
                continue
            if row is None:
                listed = ", ".join(str(i) for i in sorted(self._rows))
                raise QsmbenchError(
                    f"{where}: label {index} is in the image but not in the table, which lists {listed}"
                )
            if name := row.get("tissue"):
                values[index] = find_tissue(self.tissues, name, where).values(b0, self.description.dr)
                continue
            values[index] = material_values(_material(row, f"{where}: label {index}"), self.tissues, b0)
        return weight(values)


def _material(row: dict[str, str], where: str) -> Material:
    """Return the material given in numbers by a row of the table; empty fields are omitted."""
    stated = {c: row[c] for c in Material.model_fields if row.get(c)}
    for channel in NEEDED:
        if channel not in stated:
            raise QsmbenchError(
                f"{where}: {channel} is {row.get(channel)!r}; give a tissue, or a number in each of {', '.join(NEEDED)}"
            )
    return check(stated, Material, where)


def _paint_density(canvas: Canvas, source: Calcification, strength: np.ndarray) -> None:
    canvas.paint_share(strength, Shell(0, 1, np.array([source.mg_per_ml]), 0))


def _replaces(source: Any) -> bool:
    return isinstance(source, Haemorrhage | Fat)
