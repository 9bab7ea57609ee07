"""A phantom from any label image, such as a segmentation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from qsmbench.compiled import compiled, leaf
from qsmbench.data.provenance import SourcedValue
from qsmbench.data.tables import read_table
from qsmbench.data.volumes import open_volume
from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid, affine_voxel_size
from qsmbench.phantom import origins
from qsmbench.phantom.base import Phantom, Region
from qsmbench.phantom.description import geometry as g
from qsmbench.phantom.description import models as d
from qsmbench.phantom.description.files import locate
from qsmbench.phantom.description.sources import Calcification, Side
from qsmbench.phantom.description.tissues import Material, Origin, find_tissue, material_values, split, table
from qsmbench.phantom.painting.canvas import Canvas, Compile, Shell
from qsmbench.phantom.painting.shapes import Compiler
from qsmbench.phantom.species import CHANNELS, CHI_DIA, CHI_PARA, weight
from qsmbench.phantom.warp import NO_WARP
from qsmbench.threads import over_planes
from qsmbench.typed_yaml import check

NEEDED = ("chi", "pd", "t1", "r2star", "fat_fraction")
"""Columns of a table without tissues; the other keys of `Material` are optional."""


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
            try:
                index = int(row["index"])
            except ValueError as e:
                raise QsmbenchError(f"{path}: an index is not an integer ({e})") from e
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
            if 0 < index < 256:
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

        A voxel is divided into sub-voxels no larger than the image's voxels. Each takes the label at its position, and
        the voxel has their mean: labels are never interpolated, and their volume fractions are preserved. A source in a
        region changes the same share of each voxel as the region's labels fill.

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
            _sample, grid.shape[0], labels, *self._sampling(grid), values, self._region_of, inside, canvas.stack,
            canvas.labels, canvas.weight, share,
        )  # fmt: skip
        for index, name, _ in self.anatomy:
            for source in self._regional(name):
                self._paint_source(canvas, source, self._share_of(index, source.side, grid), NO_WARP, b0)
        return canvas, share >= 0.5

    def _sampling(self, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
        """Return the map from voxel index to that of the image, (4, 4), and the sub-voxels along each axis, (3,)."""
        _, affine = self._image
        size = np.array(grid.voxel_size) / min(affine_voxel_size(affine))
        parts = np.clip(np.ceil(2 * size - 1e-6), 1, 8).astype(np.int64)
        parts[np.isclose(size, 1)] = 1
        return np.linalg.inv(affine) @ grid.affine, parts

    def _share_of(self, region: int, side: Side | None, grid: Grid) -> np.ndarray:
        """Return the share of each voxel that a region, or its part on one side, fills, (nx, ny, nz) float32."""
        share = np.zeros(grid.shape, np.float32)
        chosen = self._region_of == region
        sign = {None: 0.0, "left": -1.0, "right": 1.0}[side]  # in RAS, the patient's left has negative x
        plane = sign * grid.affine[0]
        over_planes(
            _sample_share, grid.shape[0], self._image[0], *self._sampling(grid), chosen, plane, side is not None, share
        )
        return share

    def _compiler(self, shape: g.Shape) -> Compile:
        return lambda step: Compiler({}, {}, step, self.path).compile(shape)

    def _densities(self, grid: Grid, sources: tuple[Calcification, ...]) -> Canvas:
        canvas = Canvas.blank(grid, np.zeros(1), np.zeros(1, np.float32))
        for index, name, _ in self.anatomy:
            for source in sources:
                if source.region == name:
                    filling = Shell(0, 1, np.array([source.mg_per_ml]), index)
                    canvas.paint_share(self._share_of(index, source.side, grid), filling)
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


@leaf()
def _label_at(labels, affine, fine, i, j, k, part):
    # the label of the image's voxel in which the centre of a sub-voxel lies; 0 outside the image
    a = i + ((part % fine[0]) + 0.5) / fine[0] - 0.5
    b = j + ((part // fine[0] % fine[1]) + 0.5) / fine[1] - 0.5
    c = k + ((part // (fine[0] * fine[1])) + 0.5) / fine[2] - 0.5
    u = int(np.floor(affine[0, 0] * a + affine[0, 1] * b + affine[0, 2] * c + affine[0, 3] + 0.5))
    v = int(np.floor(affine[1, 0] * a + affine[1, 1] * b + affine[1, 2] * c + affine[1, 3] + 0.5))
    w = int(np.floor(affine[2, 0] * a + affine[2, 1] * b + affine[2, 2] * c + affine[2, 3] + 0.5))
    inside = 0 <= u < labels.shape[0] and 0 <= v < labels.shape[1] and 0 <= w < labels.shape[2]
    return labels[u, v, w] if inside else np.uint8(0)


@compiled(error_model="numpy")
def _sample(start, stop, labels, affine, fine, values, region_of, inside, stack, out, weight, share):
    parts = fine[0] * fine[1] * fine[2]
    for i in range(start, stop):
        count = np.zeros(256, np.int64)
        for j in range(out.shape[1]):
            for k in range(out.shape[2]):
                count[:] = 0
                total = np.zeros(stack.shape[0])
                covered = 0
                for part in range(parts):
                    label = _label_at(labels, affine, fine, i, j, k, part)
                    count[region_of[label]] += 1
                    covered += inside[label]
                    for s in range(stack.shape[0]):
                        total[s] += values[label, s]
                out[i, j, k] = np.argmax(count)
                weight[i, j, k] = count[out[i, j, k]] / parts
                share[i, j, k] = covered / parts
                for s in range(stack.shape[0]):
                    stack[s, i, j, k] = total[s] / parts


@compiled(error_model="numpy")
def _sample_share(start, stop, labels, affine, fine, chosen, plane, cut, share):
    # a sub-voxel that the plane x = 0 cuts counts as far as it is on the chosen side
    parts = fine[0] * fine[1] * fine[2]
    across = abs(plane[0]) / fine[0] + abs(plane[1]) / fine[1] + abs(plane[2]) / fine[2]
    for i in range(start, stop):
        for j in range(share.shape[1]):
            for k in range(share.shape[2]):
                total = 0.0
                for part in range(parts):
                    if not chosen[_label_at(labels, affine, fine, i, j, k, part)]:
                        continue
                    if not cut:
                        total += 1
                        continue
                    a = i + ((part % fine[0]) + 0.5) / fine[0] - 0.5
                    b = j + ((part // fine[0] % fine[1]) + 0.5) / fine[1] - 0.5
                    c = k + ((part // (fine[0] * fine[1])) + 0.5) / fine[2] - 0.5
                    depth = plane[0] * a + plane[1] * b + plane[2] * c + plane[3]
                    total += min(max(0.5 + depth / across, 0.0), 1.0)
                share[i, j, k] = total / parts
