"""A phantom made of layers of shapes, and its rendering."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid
from qsmbench.phantom import description as d
from qsmbench.phantom.canvas import Canvas, Shell
from qsmbench.phantom.maps import locate, read_map
from qsmbench.phantom.properties import PD, Properties
from qsmbench.phantom.shapes import Compiler, Maps, Program
from qsmbench.phantom.tissues import Tissue, split, table


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

    @property
    def files(self) -> list[Path]:
        """What the phantom is made from."""
        return [self.path, *(locate(m.file, self.path.parent) for m in self.description.maps.values())]

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
        maps, data = self._maps()
        canvas = Canvas.blank(grid, self._values(self.description.background, b0), data)
        index = {name: i for i, name, _ in self.regions}
        for layer in self.description.layers:
            canvas.lay(self._compiler(layer.shape, maps), self._shells(layer, index, b0))
        mask = self._mask(grid, maps, data)
        return Properties.of(grid, canvas.stack, canvas.labels, mask, self.regions, self.description.ambient_chi)

    def _compiler(self, shape: d.Shape, maps: Maps) -> Callable[[float], Program]:
        return lambda step: Compiler(self.description.shapes, maps, step, self.path).compile(shape)

    def _shells(self, layer: d.Layer, index: dict[str, int], b0: float) -> list[Shell]:
        labels = [index[name] for name, _ in _fillings(layer, self.tissues)]
        outer = Shell(0, layer.amount, self._filling(layer, b0), labels[0])
        inner = zip(layer.shells, labels[1:], strict=True)
        return [outer, *(Shell(s.depth, s.amount, self._values(s.tissue, b0), i) for s, i in inner)]

    def _mask(self, grid: Grid, maps: Maps, data: np.ndarray) -> np.ndarray:
        """Where the mask's shape fills at least half of the voxel, (nx, ny, nz) bool."""
        canvas = Canvas.blank(grid, np.zeros(1), data)
        canvas.lay(self._compiler(self.description.mask, maps), [Shell(0, 1, np.ones(1), 1)])
        return canvas.stack[0] >= 0.5

    def _maps(self) -> tuple[Maps, np.ndarray]:
        """The maps by name with where each starts in the joint array, and that array."""
        maps: Maps = {}
        pieces, start = [np.zeros(1, np.float32)], 1
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
        return _weighted(material_values(layer.material))

    def _values(self, tissue: str, b0: float) -> np.ndarray:
        return _weighted(find_tissue(self.tissues, tissue, self.path).values(b0, self.description.dr))


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
        new = change.model_dump(exclude_none=True)
        if "chi" in new:
            chi = new.pop("chi")
            dia = max(tissue.at("chi_dia", 0), -chi)
            new |= {"chi_para": chi + dia, "chi_dia": dia}
        result[name] = Tissue(name, tissue.group, {**tissue.curves, **{c: ((0.0, v),) for c, v in new.items()}})
    return result


def _fillings(layer: d.Layer, tissues: dict[str, Tissue]) -> list[tuple[str, str]]:
    """Region name and group of a layer and of its shells."""
    pairs = [(layer.region or layer.tissue or "", layer.tissue, layer.group)]
    pairs += [(s.region or s.tissue, s.tissue, None) for s in layer.shells]
    return [(name, group or (tissues[t].group if t in tissues else "")) for name, t, group in pairs]


def material_values(material: d.Material) -> np.ndarray:
    """The properties of a material given in place, (7,) in the order of `CHANNELS`."""
    r2 = material.r2star if material.r2 is None else material.r2
    para, dia = split(material.chi)
    return np.array([para, dia, material.pd, material.t1, r2, material.r2star, material.fat_fraction])


def _weighted(values: np.ndarray) -> np.ndarray:
    """Properties with those after proton density multiplied by it, as they mix."""
    values = values.copy()
    values[PD + 1 :] *= values[PD]
    return values
