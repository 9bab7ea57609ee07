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
from qsmbench.phantom import veins, vessels
from qsmbench.phantom.cache import digest
from qsmbench.phantom.canvas import Canvas, Shell
from qsmbench.phantom.growth import Branch
from qsmbench.phantom.maps import locate, read_map
from qsmbench.phantom.properties import CHANNELS, Properties, unweight
from qsmbench.phantom.shapes import Compiler, Maps, Program
from qsmbench.phantom.tissues import Tissue, table
from qsmbench.phantom.tubes import paint_tubes


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
        vessels = [self._veins_file] if self.description.vessels else []
        return [self.path, *vessels, *(locate(m.file, self.path.parent) for m in self.description.maps.values())]

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
        if self.description.vessels:
            group = find_tissue(self.tissues, d.VENOUS, self.path).group
            for name in self._veins.regions.values():
                found.setdefault(name, group)
        return [(i, name, group) for i, (name, group) in enumerate(found.items(), start=1)]

    @cached_property
    def tissues(self) -> dict[str, Tissue]:
        """The tissues of the table, with the description's changes."""
        return changed(table(), self.description.tissues, self.path)

    @cached_property
    def vessels(self) -> list[Branch]:
        """The veins, where they lie in the template; none if the description has none.

        Raises:
            QsmbenchError: their description is missing or illegal.
        """
        if self.description.vessels is None:
            return []
        made_from = [*self.description.maps.values(), *self.description.shapes.values()]
        key = [*(m.model_dump_json() for m in made_from), *map(digest, self.files[2:])]
        seed = self.description.vessels.seed

        def atlas() -> vessels.Atlas:
            return vessels.Atlas(self.description.shapes, *self._maps())

        return vessels.tree(self._veins_file, self._veins, atlas, seed, tuple(key))

    @property
    def _veins_file(self) -> Path:
        assert self.description.vessels is not None
        return locate(self.description.vessels.file, self.path.parent)

    @cached_property
    def _veins(self) -> veins.Veins:
        assert self.description.vessels is not None
        return veins.read_veins(self._veins_file, self.description.vessels)

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
        self._paint_vessels(canvas, self.vessels, index, b0)
        unweight(canvas.stack)
        chi, pd, t1, r2star, fat = canvas.stack
        mask = self._mask(grid, maps, data)
        ambient = self.description.ambient_chi
        return Properties(grid, chi, pd, t1, r2star, fat, canvas.labels, mask, self.regions, ambient)

    def _paint_vessels(self, canvas: Canvas, branches: list[Branch], index: dict[str, int], b0: float) -> None:
        """Paint veins, whose points may have been moved, filled with blood as saturated as the description says."""
        stated = self.description.vessels
        if stated is None:
            return
        tissue = find_tissue(self.tissues, d.VENOUS, self.path)
        own = dict(zip(CHANNELS, tissue.values(b0), strict=True))
        regions = [self._veins.regions[b.name] for b in branches]
        known = {}  # there are few saturations
        for y in {veins.saturation(b, r, stated) for b, r in zip(branches, regions, strict=True)}:
            blood = {**own, **veins.blood(tissue, b0, stated.hct, y)}
            known[y] = _weighted(np.array([blood[c] for c in CHANNELS]))
        values = [known[veins.saturation(b, r, stated)] for b, r in zip(branches, regions, strict=True)]
        names = np.array([index[r] for r in regions], np.uint8)
        points = [b.points for b in branches]
        paint_tubes(canvas.grid, points, np.array(values), names, canvas.stack, canvas.weight, canvas.labels)

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
