"""A phantom made of layers of shapes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import cast

import numpy as np

from qsmbench.data.provenance import SourcedValue
from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid
from qsmbench.phantom import origins
from qsmbench.phantom.atlas import SPACING
from qsmbench.phantom.base import Phantom, Region
from qsmbench.phantom.breath import breathing
from qsmbench.phantom.cache import keep
from qsmbench.phantom.description import geometry as g
from qsmbench.phantom.description import models as d
from qsmbench.phantom.description.files import locate
from qsmbench.phantom.description.population import Population, read_population
from qsmbench.phantom.description.sources import Calcification, Oxygenation, Source, constants
from qsmbench.phantom.description.subject import Change, Person, Template, draw, shape_of
from qsmbench.phantom.description.tissues import (
    Origin,
    Tissue,
    find_tissue,
    material_values,
    table,
    with_changes,
    with_factor,
)
from qsmbench.phantom.description.veins import Veins, read_veins
from qsmbench.phantom.painting.canvas import Canvas, Compile, Shell
from qsmbench.phantom.painting.fibres import Course, courses
from qsmbench.phantom.painting.maps import read_map
from qsmbench.phantom.painting.placing import half_of
from qsmbench.phantom.painting.shapes import Compiler, Maps
from qsmbench.phantom.painting.tubes import paint_tubes
from qsmbench.phantom.species import weight
from qsmbench.phantom.veins import blood as venous
from qsmbench.phantom.veins import tree as vein_tree
from qsmbench.phantom.veins.growth import Branch
from qsmbench.phantom.veins.lines import vein_maps as draw_veins
from qsmbench.phantom.warp import NO_WARP, Warp
from qsmbench.seeds import is_wide
from qsmbench.threads import in_background

NOT_GEOMETRY = {
    "tissues", "sources", "texture", "vessels", "voxel_size", "supersampling", "dr", "ambient_chi", "mask", "assumed",
    "parameters", "breath",
}  # fmt: skip
"""Keys of a description that do not affect the locations of its regions; parameters do so where they are used."""

PERSONAL = {"population", "subject", "age", "sex"}
"""Keys that choose a person, and with it the map to the template."""

MASK_PARTS = 2
"""Sub-voxels along each axis for a mask, which is binary and needs no more."""

SEEDS = 1000
"""Number of vein seeds per subject."""


@dataclass(frozen=True)
class ShapePhantom(Phantom):
    """A phantom of layers of shapes, painted one over the other."""

    description: d.ShapesDescription

    @property
    def files(self) -> list[Path]:
        """Files that the phantom depends on."""
        veins = getattr(self.description.vessels, "file", None)
        return [*self.described_in, *self._shape_files, *([locate(veins, self.path.parent)] if veins else [])]

    @property
    def _shape_files(self) -> list[Path]:
        """Files that the locations of the regions depend on, beside the description."""
        named = [m.file for m in self.description.maps.values()]
        if self._population is not None:
            named.append(str(self.description.population))
            if self._population.volumes is not None:
                named.append(self._population.volumes.norms)
        return [locate(name, self.path.parent) for name in named]

    @cached_property
    def person(self) -> Person | None:
        """The person of the description's subject and age, if it names a population."""
        if self._population is None:
            return None
        return draw(self._population, self.description.subject, self.description.age, self.description.sex)

    @property
    def _population(self) -> Population | None:
        name = self.description.population
        return read_population(locate(name, self.path.parent)) if name else None

    @cached_property
    def tissues(self) -> dict[str, Tissue]:
        """The tissues of the table for this subject, with the description's changes."""
        tissues = table()
        if self._population is not None and self.person is not None:
            for content, law in self._population.tissues.items():
                for name, factor in self.person.factors[content].items():
                    if factor != 1:
                        own = find_tissue(tissues, name, self.path)
                        tissues = {**tissues, name: with_factor(own, law.changes, factor, self._drawn_origin)}
        return with_changes(tissues, self.description.tissues, self.path, self._origin("tissues"))

    def _drawn_origin(self, origin: Origin) -> Origin:
        """Return the origin of a value modified for the subject."""
        return Origin(f"{origin.source}; {self._people}", True, "population")

    def _origin_changed(self, origin: Origin, change: float) -> Origin:
        """Return the origin of a value to which a `change` of the subject was added."""
        return self._drawn_origin(origin) if change else origin

    def _origin_of(self, source: Source) -> Origin:
        """Return the origin of the dose of a source: the subject's own ones are drawn."""
        own = len(self.person.sources) if self.person is not None else 0
        if any(source is drawn for drawn in self.description.sources[:own]):
            return self._drawn_origin(Origin(self.path.name, True, "population"))
        return super()._origin_of(source)

    @property
    def _people(self) -> str:
        return f"population {self.description.population}"

    @cached_property
    def warp(self) -> Warp:
        """Map from the subject's head to the template."""
        size = np.array(self.description.size)
        if self._population is None or self.person is None:
            population, person = Population.none(), draw(Population.none(), 0)
        else:
            population, person = self._population, self.person
        if person.is_template and (size == 1).all():
            return NO_WARP
        fov = self.description.field_of_view
        corners = np.array(fov.lower), np.array(fov.upper)
        if person.whole is None:
            return shape_of(person, population, *corners, size=size)
        described = self.description.model_dump_json(exclude=NOT_GEOMETRY - {"mask", "parameters"})
        secret, files = is_wide(self.description.subject), self._shape_files
        template = self._template
        return keep(lambda: shape_of(person, population, *corners, template, size), described, *files, secret=secret)

    @property
    def _template(self) -> Template:
        """Where the parts of the population lie in the template, with the person's parameters.

        Raises:
            QsmbenchError: the population names an unknown region.
        """
        assert self._population is not None and self._population.volumes is not None
        grid, index = self._coarse_grid, {name: i for i, name, _ in self.anatomy}
        described = self.description.model_dump_json(exclude=(NOT_GEOMETRY | PERSONAL) - {"mask", "parameters"})
        maps = (locate(m.file, self.path.parent) for m in self.description.maps.values())

        def outline() -> tuple[np.ndarray, np.ndarray]:
            plain = replace(self, description=self.description.model_copy(update={"population": None}))
            painted = plain.outline(grid)
            return painted.labels, plain._mask(painted)

        labels, mask = keep(outline, described, *maps, secret=is_wide(self.description.subject))
        parts = np.zeros(256, np.uint8)
        for number, (name, part) in enumerate(self._population.volumes.parts.items(), start=1):
            for region in part.regions:
                if region not in index:
                    raise QsmbenchError(f"{self.path}: {name} of its population has an unknown region {region!r}")
                parts[index[region]] = number
        return Template(grid, mask, parts[labels])

    @cached_property
    def fibres(self) -> dict[int, Course]:
        """Fibre directions by label, if the description has anisotropy.

        Raises:
            QsmbenchError: they run along a shape without a tube, or from or to an unknown region.
        """
        if not self.description.anisotropy:
            return {}
        stated = tuple(layer for layer in self.description.layers if layer.fibres is not None)
        shapes = self.description.shapes
        return courses(stated, shapes, self.atlas, lambda s: self._compiler(s)(SPACING).bounds, self.path)

    def grid(self) -> Grid:
        """Return the grid of the field of view, with axes along those of the world."""
        return self._grid(np.array(self.description.voxel_size))

    def _grid(self, size: np.ndarray) -> Grid:
        fov = self.description.field_of_view
        lower, upper = np.array(fov.lower), np.array(fov.upper)
        nx, ny, nz = (int(n) for n in np.maximum(np.round((upper - lower) / size), 1))
        affine = np.diag([*size, 1.0])
        affine[:3, 3] = (lower + upper) / 2 - size * (np.array([nx, ny, nz]) - 1) / 2
        return Grid.from_affine((nx, ny, nz), affine, self.description.b0_dir)

    @cached_property
    def anatomy(self) -> list[Region]:
        """The regions in the order in which the layers are painted."""
        found: dict[str, str] = {}
        for layer in self.description.layers:
            for name, group in _fillings(layer, self.tissues):
                found.setdefault(name, group)
        if self.description.vessels:
            for name, tissue in self._vessel_tissues.items():
                found.setdefault(name, find_tissue(self.tissues, tissue, self.path).group)
        return [(i, name, group) for i, (name, group) in enumerate(found.items(), start=1)]

    def _tissue_of(self, region: str) -> str | None:
        return next((part.tissue for part in self._fillings_of(region)), None)

    def _fillings_of(self, region: str) -> Iterator[d.Layer | d.Shell]:
        """Yield the layers and shells of a region."""
        for layer in self.description.layers:
            parts: list[d.Layer | d.Shell] = [layer, *layer.shells]
            yield from (part for part in parts if (part.region or part.tissue) == region)

    def _content(self, region: str, b0: float) -> np.ndarray | None:
        part = next(self._fillings_of(region), None)
        if part is None:
            return None
        return self._values(part.tissue, b0) if part.tissue is not None else self._filling(cast(d.Layer, part), b0)

    def _region_provenance(self, region: str, b0: float) -> list[SourcedValue]:
        rows = []
        for part in self._fillings_of(region):
            if part.tissue is not None:
                rows += origins.of_tissue(find_tissue(self.tissues, part.tissue, self.path), b0)
            elif isinstance(part, d.Layer) and part.material is not None:
                values = part.material.model_dump(exclude_none=True)
                rows += origins.of_material(values, self._origin("layers"))
        if self.description.vessels is not None and region in self._veins.regions.values():
            rows += self._blood_provenance(region, b0)
        return rows

    def _blood_provenance(self, region: str, b0: float) -> list[SourcedValue]:
        """List the values of the veins of a region: of their blood and their tissue."""
        stated, blood = self.description.vessels, self._blood
        assert stated is not None and blood is not None
        changes = {s.key: s for s in self.description.sources if isinstance(s, Oxygenation)}
        hct = self._origin("vessels.hct", "hct" in stated.assumed)
        values, constants = {"haematocrit": (blood.hct, self._origin_changed(hct, self._change_of_hct))}, set()
        for key in venous.saturation_keys(region, self._veins, blood):
            origin = self._origin(f"vessels.saturation.{key}", "saturation" in stated.assumed)
            if key in changes:
                origin = self._origin_of(changes[key])
                constants |= set(changes[key].uses())
            origin = self._origin_changed(origin, self._change_of_saturation(key))
            values[f"oxygen saturation, {key}"] = (blood.saturation[key], origin)
        tissue = find_tissue(self.tissues, self._vessel_tissues[region], self.path)
        return origins.of_blood(tissue, values, constants, b0)

    def _general_provenance(self, b0: float) -> list[SourcedValue]:
        around = find_tissue(self.tissues, self.description.background, self.path)
        rows = [*super()._general_provenance(b0), *origins.of_tissue(around, b0)]
        if self._population is None or self.person is None:
            return rows
        if (self.person.seed, self.person.sex, self.person.age) == (0, None, self._population.age.reference):
            return rows
        who = f"subject {self.person.seed}, {self.person.age:.0f} years"
        who += f", {self.person.sex}" if self.person.sex else ""
        return [SourcedValue(origins.ANYWHERE, "shape", "person", who, "", self._people, "population", True), *rows]

    def _canvas(self, grid: Grid, b0: float) -> tuple[Canvas, np.ndarray]:
        warp = in_background(lambda: self.warp)
        canvas = Canvas.blank(grid, self._values(self.description.background, b0), self._maps[1])
        warp()
        prepared = in_background(self._prepare)
        for layer in self._visible:
            canvas.paint_shape(self._compiler(layer.shape), self._shells(layer, b0), self.warp)
            for shape, name in _parts(layer):
                for source in self._regional(name):
                    self._paint_source(canvas, source, self._compiler(half_of(shape, source.side)), self.warp, b0)
        prepared()
        self._paint_vessels(canvas, b0)
        return canvas, self._mask(canvas)

    @property
    def _visible(self) -> Iterator[d.Layer]:
        """The layers that fill anything."""
        for layer in self.description.layers:
            if layer.amount or any(shell.amount for shell in layer.shells):
                yield layer

    def _prepare(self) -> None:
        """Compute what is needed after the layers: the veins and the texture."""
        if self.description.vessels is not None:
            self._placed_vessels  # noqa: B018
        if self.description.texture is not None:
            self._noise  # noqa: B018

    def _labels(self) -> np.ndarray:
        described = self.description.model_dump_json(exclude=NOT_GEOMETRY)
        secret = is_wide(self.description.subject)
        return keep(lambda: self.outline(self._coarse_grid).labels, described, *self._shape_files, secret=secret)

    @property
    def _map_data(self) -> np.ndarray:
        return self._maps[1]

    @property
    def age(self) -> float | None:
        """Age of the person [years], if the description names a population."""
        return self.person.age if self.person is not None else None

    @property
    def _coarse_grid(self) -> Grid:
        return self._grid(np.full(3, SPACING))

    def outline(self, grid: Grid, most_parts: int | None = None) -> Canvas:
        """Paint a canvas with a single map of zeros, to obtain its labels, without vessels and sources.

        Args:
            grid: voxel grid.
            most_parts: largest number of sub-voxels along each axis; by default as the features of shapes require.
        """
        canvas = Canvas.blank(grid, np.zeros(1), self._maps[1])
        for layer in self._visible:
            self._cover(canvas, layer, most_parts)
        return canvas

    def _cover(self, canvas: Canvas, layer: d.Layer, most_parts: int | None = None) -> None:
        """Paint a layer of zeros on a canvas of one map."""
        shells = [replace(s, values=np.zeros(1)) for s in self._shells(layer, 3.0)]
        canvas.paint_shape(self._compiler(layer.shape), shells, self.warp, most_parts)

    def _densities(self, grid: Grid, sources: tuple[Calcification, ...]) -> Canvas:
        canvas = Canvas.blank(grid, np.zeros(1), self._maps[1])
        begun = False  # layers before the first calcified one would cover nothing
        for layer in self._visible:
            calcified = [(s, shape) for shape, name in _parts(layer) for s in sources if s.region == name]
            begun = begun or bool(calcified)
            if begun:
                self._cover(canvas, layer)
            for source, shape in calcified:
                filling = Shell(0, 1, np.array([source.mg_per_ml]), 1)
                canvas.paint_shape(self._compiler(half_of(shape, source.side)), [filling], self.warp)
        return canvas

    @cached_property
    def vessels(self) -> list[Branch]:
        """The subject's veins in template space; none if the description has none.

        Raises:
            QsmbenchError: their description is missing or invalid.
        """
        if self.description.vessels is None:
            return []
        maps, shapes = self.description.maps.values(), self.description.shapes.values()
        described = (m.model_dump_json() for m in (*maps, *shapes))
        images = (locate(m.file, self.path.parent) for m in maps)
        seed = self.description.vessels.seed + SEEDS * self.description.subject
        return vein_tree.tree(
            self._veins_file,
            self._veins,
            lambda: vein_tree.Terrain(self.description.shapes, *self._maps),
            seed,
            (*described, *images),
        )

    @cached_property
    def _stated_blood(self) -> d.Vessels | None:
        """The blood of the description with its sources, without the subject's deviations."""
        stated = self.description.vessels
        if stated is None:
            return None
        subject = self.description.subject
        changes = {s.key: s.of(subject) for s in self.description.sources if isinstance(s, Oxygenation)}
        return stated.model_copy(update={"saturation": {**stated.saturation, **changes}})

    @cached_property
    def _blood(self) -> d.Vessels | None:
        """The subject's blood: that of the description with the subject's changes."""
        stated = self._stated_blood
        if stated is None or self.person is None:
            return stated
        saturation = {
            key: float(np.clip(y + self._change_of_saturation(key), 0, 1)) for key, y in stated.saturation.items()
        }
        return stated.model_copy(update={"saturation": saturation, "hct": stated.hct + self._change_of_hct})

    @property
    def _change_of_hct(self) -> float:
        """What is added to the stated haematocrit; see `_change_of_saturation`."""
        return 0.0 if self.person is None else self._change("vessels.hct", self.person.hct)

    def _change_of_saturation(self, key: str) -> float:
        """Return what is added to the stated saturation of a key of the blood; nothing in arteries.

        What a source, the case or the user states is the mean of the people whom it is stated for, whatever their age
        and sex, so that only the subject's own deviation is added.
        """
        if self.person is None or self._veins.tissues.get(key.split()[-1], d.VENOUS) != d.VENOUS:
            return 0.0
        if any(isinstance(s, Oxygenation) and s.key == key for s in self.description.sources):
            return self.person.saturation.own
        return self._change(f"vessels.saturation.{key}", self.person.saturation)

    def _change(self, key: str, change: Change) -> float:
        """Return what a subject's `change` adds to the value that is stated at a key of the description."""
        return change.mean + change.own if self._origin(key).by == "phantom" else change.own

    @property
    def has_veins(self) -> bool:
        """Whether the phantom has generated veins."""
        return self.description.vessels is not None

    @property
    def _veins_file(self) -> Path:
        assert self.description.vessels is not None
        return locate(self.description.vessels.file, self.path.parent)

    @cached_property
    def _veins(self) -> Veins:
        assert self._stated_blood is not None
        return read_veins(self._veins_file, self._stated_blood, self.description.parameters)

    @cached_property
    def _vessel_tissues(self) -> dict[str, str]:
        """Tissue of each region of vessels."""
        return {region: self._veins.tissues[region] for region in self._veins.regions.values()}

    def _paint_vessels(self, canvas: Canvas, b0: float) -> None:
        """Paint the veins, filled with blood of the given saturation."""
        stated = self._blood
        if stated is None:
            return
        index = {name: i for i, name, _ in self.anatomy}
        regions = [self._veins.regions[b.name] for b in self.vessels]
        tissues = self._veins.tissues
        blood = list(zip((tissues[b.name] for b in self.vessels), self._oxygen.round(4).tolist(), strict=True))
        known = {
            (t, y): weight(venous.blood(find_tissue(self.tissues, t, self.path), b0, stated.hct, y))
            for t, y in set(blood)  # there are few
        }
        values = np.array([known[of] for of in blood])
        names = np.array([index[r] for r in regions], np.uint8)
        paint_tubes(canvas.grid, self._placed_vessels, values, names, canvas.stack, canvas.weight, canvas.labels)

    @cached_property
    def _oxygen(self) -> np.ndarray:
        """Oxygen saturation of each vein, 0–1."""
        assert self._blood is not None
        regions = [self._veins.regions[b.name] for b in self.vessels]
        return venous.saturations(self.vessels, regions, self._blood)

    def vein_maps(self, grid: Grid) -> dict[str, np.ndarray]:
        """Return the truth about the veins on a grid, see `veins.lines.vein_maps`; empty without generated veins."""
        if self._blood is None:
            return {}
        number = {name: n for n, name, _ in self.vein_names}
        numbers = np.array([number[b.name] for b in self.vessels], np.uint8)
        return draw_veins(self._placed_vessels, 1 - self._oxygen / constants()["oxygenation.arterial"], numbers, grid)

    @property
    def vein_names(self) -> list[tuple[int, str, str]]:
        """Number, name and region of the veins whose truth is known."""
        if self._blood is None:
            return []
        names = dict.fromkeys(b.name for b in self.vessels)
        return [(n, name, self._veins.regions[name]) for n, name in enumerate(names, start=1)]

    @cached_property
    def _placed_vessels(self) -> list[np.ndarray]:
        """Return the points of the veins in the subject, each (n, 4) x, y, z, radius [mm]."""
        points = [b.points for b in self.vessels]
        if self.warp is NO_WARP:
            return points
        joint = np.concatenate(points)
        joint = np.column_stack([self.warp.world(joint[:, :3]), joint[:, 3]])
        stops = np.cumsum([len(p) for p in points]).tolist()
        return [joint[stop - len(p) : stop] for p, stop in zip(points, stops, strict=True)]

    @cached_property
    def breath(self) -> Warp:
        """Map from the object after the dome of the diaphragm has descended by 1 mm; displacements grow with it.

        Raises:
            QsmbenchError: the description does not say how the object breathes.
        """
        stated = self.description.breath
        if stated is None:
            return super().breath
        shares = np.full(256, np.nan, np.float32)
        for name in stated.down:
            if name not in {known for _, *names in self.anatomy for known in names}:
                raise QsmbenchError(f"{self.path}: breath.down: no region or group is called {name!r}")
        for index, region, group in self.anatomy:
            shares[index] = stated.down.get(region, stated.down.get(group, np.nan))
        return breathing(stated, shares[self.atlas.labels], self.atlas)

    def _mask(self, painted: Canvas) -> np.ndarray:
        """Return where the mask's shape fills at least half of the voxel, or its groups most of it, (nx, ny, nz)."""
        wanted = self.description.mask
        if isinstance(wanted, d.OfGroups):
            known = {group for _, _, group in self.anatomy} | {tissue.group for tissue in self.tissues.values()}
            if unknown := [group for group in wanted.groups if group not in known]:
                raise QsmbenchError(
                    f"{self.path}: mask.groups: {unknown[0]!r} is unknown; choose from {', '.join(sorted(known))}"
                )
            kept = np.zeros(256, bool)
            kept[[i for i, _, group in self.anatomy if group in wanted.groups]] = True
            return kept[painted.labels]
        canvas = Canvas.blank(painted.grid, np.zeros(1), self._maps[1])
        shells = [Shell(0, 1, np.ones(1), 1)]
        canvas.paint_shape(self._compiler(wanted), shells, self.warp, most_parts=MASK_PARTS)
        return canvas.stack[0] >= 0.5

    def _compiler(self, shape: g.Shape) -> Compile:
        maps = self._maps[0]
        return lambda step: Compiler(self.description.shapes, maps, step, self.path, self._maps[1]).compile(shape)

    def _shells(self, layer: d.Layer, b0: float) -> list[Shell]:
        index = {name: i for i, name, _ in self.anatomy}
        labels = [index[name] for name, _ in _fillings(layer, self.tissues)]
        outer = Shell(0, layer.amount, self._filling(layer, b0), labels[0])
        inner = zip(layer.shells, labels[1:], strict=True)
        return [outer, *(Shell(s.depth, s.amount, self._values(s.tissue, b0), i) for s, i in inner)]

    @cached_property
    def _maps(self) -> tuple[Maps, np.ndarray]:
        """The maps by name with their offsets in the joint array, and that array."""
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
        return weight(material_values(layer.material, self.tissues, b0))

    def _values(self, tissue: str, b0: float) -> np.ndarray:
        return weight(find_tissue(self.tissues, tissue, self.path).values(b0, self.description.dr))


def _fillings(layer: d.Layer, tissues: dict[str, Tissue]) -> list[tuple[str, str]]:
    """List the region and group of a layer and of its shells."""
    pairs = [(layer.region or layer.tissue or "", layer.tissue, layer.group)]
    pairs += [(s.region or s.tissue, s.tissue, None) for s in layer.shells]
    return [(name, group or (tissues[t].group if t in tissues else "")) for name, t, group in pairs]


def _parts(layer: d.Layer) -> list[tuple[g.Shape, str]]:
    """List the parts of a layer and its shells, with the region's name; a shell ends where the next begins."""
    depths = [0.0, *(s.depth for s in layer.shells)]
    names = [layer.region or layer.tissue or "", *(s.region or s.tissue for s in layer.shells)]
    surfaces = [g.Offset(shape="offset", of=layer.shape, by=-depth) if depth else layer.shape for depth in depths]
    parts: list[g.Shape] = [g.Difference(shape="difference", of=(outer, inner)) for outer, inner in pairwise(surfaces)]
    return list(zip([*parts, surfaces[-1]], names, strict=True))
