"""A phantom made of layers of shapes, and its rendering."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path

import numpy as np

from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid
from qsmbench.phantom import description as d
from qsmbench.phantom.maps import locate, read_map
from qsmbench.phantom.paint import paint
from qsmbench.phantom.properties import CHANNELS, Properties, unweight
from qsmbench.phantom.shapes import Compiler, Program
from qsmbench.phantom.tissues import Tissue, table

MOST_PARTS = 8
"""A voxel is cut into at most this many parts along each axis."""

FINEST_PART = 0.3
"""Longest part as a share of the smallest feature of the shape, such as a radius."""


@dataclass(frozen=True)
class Phantom:
    """A description of layers, ready to render.

    Attributes:
        name: the file's name.
        path: the file.
        description: what it says.
    """

    name: str
    path: Path
    description: d.ShapesDescription

    @property
    def supersampling(self) -> tuple[int, int, int]:
        """Parts into which the scan's voxels are cut for the simulation."""
        return self.description.supersampling

    def grid(self) -> Grid:
        """The scan's grid: the field of view in voxels, axes along the world's, centred on the box."""
        fov, size = self.description.field_of_view, np.array(self.description.voxel_size)
        lower, upper = np.array(fov.lower), np.array(fov.upper)
        nx, ny, nz = (int(n) for n in np.maximum(np.round((upper - lower) / size), 1))
        affine = np.diag([*size, 1.0])
        affine[:3, 3] = (lower + upper) / 2 - size * (np.array([nx, ny, nz]) - 1) / 2
        return Grid.from_affine((nx, ny, nz), affine, self.description.b0_dir)

    @cached_property
    def regions(self) -> list[tuple[int, str, str]]:
        """Index, name and group of each region, in the order in which the layers are painted."""
        found: dict[str, str] = {}
        for layer in self.description.layers:
            for name, group in _fillings(layer, self.tissues):
                found.setdefault(name, group)
        return [(i, name, group) for i, (name, group) in enumerate(found.items(), start=1)]

    @cached_property
    def tissues(self) -> dict[str, Tissue]:
        """The tissues of the table, with the description's changes."""
        return changed(table(), self.description.tissues, self.path)

    def render(self, grid: Grid, b0: float) -> Properties:
        """The properties of the object on `grid` at `b0` [T].

        Raises:
            QsmbenchError: a layer names a tissue, a map or a shape that does not exist.
        """
        stack = np.empty((len(CHANNELS), *grid.shape), np.float32)
        for volume, value in zip(stack, self._values(self.description.background, b0), strict=True):
            volume[...] = value
        weight = np.ones(grid.shape, np.float32)
        labels = np.zeros(grid.shape, np.uint8)
        maps, data = self._maps()
        index = {name: i for i, name, _ in self.regions}
        for layer in self.description.layers:
            depths = [0.0, *(s.depth for s in layer.shells)]
            amounts = [layer.amount, *(s.amount for s in layer.shells)]
            values = [self._filling(layer, b0), *(self._values(s.tissue, b0) for s in layer.shells)]
            names = [index[name] for name, _ in _fillings(layer, self.tissues)]
            self._paint(layer.shape, grid, maps, data, depths, amounts, values, names, stack, weight, labels)
        unweight(stack)
        mask = self._mask(grid, maps, data, weight)
        chi, pd, t1, r2star, fat = stack
        ambient = self.description.ambient_chi
        return Properties(grid, chi, pd, t1, r2star, fat, labels, mask, self.regions, ambient)

    def _paint(self, shape, grid, maps, data, depths, amounts, values, names, stack, weight, labels) -> None:
        size = np.array(grid.voxel_size)
        program = Compiler(self.description.shapes, maps, float(size.min()), self.path).compile(shape)
        # enough parts to resolve the smallest feature, and none much longer than the shortest edge
        part = min(FINEST_PART * program.finest, 1.5 * size.min())
        fine = np.clip(np.ceil(size / part - 1e-6), 1, MOST_PARTS).astype(np.int64)
        step = float(np.prod(size / fine) ** (1 / 3))
        program = Compiler(self.description.shapes, maps, step, self.path).compile(shape)
        start, stop = _box(program, grid, size.max())
        if (start >= stop).any():
            return
        paint(
            np.array(program.code, np.int64), np.array(program.parameters), data, grid.affine, start, stop, fine,
            step, program.slack, np.array(depths), np.array(amounts, float), np.array(values, np.float32),
            np.array(names, np.uint8), stack, weight, labels,
        )  # fmt: skip

    def _mask(self, grid: Grid, maps, data, weight: np.ndarray) -> np.ndarray:
        share = np.zeros((1, *grid.shape), np.float32)
        labels = np.zeros(grid.shape, np.uint8)
        shape = self.description.mask
        self._paint(shape, grid, maps, data, [0.0], [1.0], [np.ones(1)], [1], share, weight, labels)
        return share[0] >= 0.5

    def _maps(self):
        """The maps by name with where each starts in the joint array, and that array."""
        maps, pieces, start = {}, [np.zeros(1, np.float32)], 1
        for name, source in self.description.maps.items():
            image = read_map(locate(source.file, self.path.parent), source)
            maps[name] = (image, start, source.distance is not None)
            pieces.append(image.values.ravel())
            start += image.values.size
        return maps, np.concatenate(pieces)

    def _filling(self, layer: d.Layer, b0: float) -> np.ndarray:
        if layer.material is None:
            assert layer.tissue is not None
            return self._values(layer.tissue, b0)
        return _weighted(np.array([getattr(layer.material, c) for c in CHANNELS]))

    def _values(self, tissue: str, b0: float) -> np.ndarray:
        return _weighted(find_tissue(self.tissues, tissue, self.path).values(b0))


def find_tissue(tissues: dict[str, Tissue], name: str, path: Path) -> Tissue:
    """The tissue called `name`.

    Raises:
        QsmbenchError: there is none.
    """
    if name not in tissues:
        raise QsmbenchError(f"{path}: tissue {name!r} is unknown; there are {', '.join(tissues)}")
    return tissues[name]


def changed(tissues: dict[str, Tissue], changes: dict[str, d.TissueChange], path: Path) -> dict[str, Tissue]:
    """The tissues with new values in place of some, at every field.

    Raises:
        QsmbenchError: a change names a tissue that does not exist.
    """
    result = dict(tissues)
    for name, change in changes.items():
        tissue = find_tissue(tissues, name, path)
        new = {c: ((0.0, v),) for c, v in change.model_dump(exclude_none=True).items()}
        result[name] = Tissue(name, tissue.group, {**tissue.curves, **new})
    return result


def _fillings(layer: d.Layer, tissues: dict[str, Tissue]) -> list[tuple[str, str]]:
    """Region name and group of a layer and of its shells."""
    pairs = [(layer.region or layer.tissue or "", layer.tissue, layer.group)]
    pairs += [(s.region or s.tissue, s.tissue, None) for s in layer.shells]
    return [(name, group or (tissues[t].group if t in tissues else "")) for name, t, group in pairs]


def _weighted(values: np.ndarray) -> np.ndarray:
    """Properties with the last three multiplied by proton density, as they mix."""
    values = values.copy()
    values[2:] *= values[1]
    return values


def _box(program: Program, grid: Grid, margin: float) -> tuple[np.ndarray, np.ndarray]:
    """First voxel and one past the last that the shape may touch."""
    bounds = np.clip(program.bounds + np.array([[-margin], [margin]]), -1e6, 1e6)
    corners = np.array([[*corner, 1.0] for corner in product(*bounds.T)])
    index = (corners @ np.linalg.inv(grid.affine).T)[:, :3]
    start = np.clip(np.floor(index.min(0)), 0, grid.shape)
    stop = np.clip(np.ceil(index.max(0)) + 1, 0, grid.shape)
    return start.astype(np.int64), stop.astype(np.int64)
