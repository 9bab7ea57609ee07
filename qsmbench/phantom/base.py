"""Base of all phantoms: description, sources, rendering."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from qsmbench.data.provenance import SourcedValue
from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid
from qsmbench.phantom import origins
from qsmbench.phantom.atlas import Atlas
from qsmbench.phantom.description import geometry as g
from qsmbench.phantom.description.models import Texture
from qsmbench.phantom.description.scenario import Case
from qsmbench.phantom.description.sources import (
    Calcification,
    Fat,
    Haemorrhage,
    InPlace,
    Iron,
    Source,
    constants,
    liver_iron,
)
from qsmbench.phantom.description.tissues import Origin, Tissue, r2_prime, table, with_changes
from qsmbench.phantom.painting import anisotropy
from qsmbench.phantom.painting.canvas import EVEN, Canvas, Compile, Shell
from qsmbench.phantom.painting.fibres import Course
from qsmbench.phantom.painting.placing import label_name, paint_source, placement, source_shapes
from qsmbench.phantom.painting.texture import apply, noise
from qsmbench.phantom.properties import Properties
from qsmbench.phantom.species import CHI_PARA, FAT, WATER
from qsmbench.phantom.warp import NO_WARP, Warp
from qsmbench.spectra import spectrum

LESION = "lesion"
"""Group of regions created by sources."""

Region = tuple[int, str, str]
"""Index, name and group."""


@dataclass(frozen=True)
class Phantom(ABC):
    """An object that can be rendered on any grid, at any field.

    Attributes:
        name: the file's name.
        path: the file of the phantom; other paths are relative to it.
        description: the content of its file.
        described_in: the phantom's file, and that of the scenario if there is one.
        case: of the scenario, if there is one.
        overridden: dotted keys of the description overridden by the user.
    """

    name: str
    path: Path
    description: Any
    described_in: tuple[Path, ...]
    case: Case | None = None
    overridden: tuple[str, ...] = ()

    @property
    def supersampling(self) -> tuple[int, int, int]:
        """Sub-voxels per scan voxel along each axis in the simulation."""
        return self.description.supersampling

    @property
    @abstractmethod
    def files(self) -> list[Path]:
        """Files that the phantom depends on."""

    @abstractmethod
    def grid(self) -> Grid:
        """Return the default grid of a scan."""

    @property
    @abstractmethod
    def anatomy(self) -> list[Region]:
        """The regions of the object without its sources."""

    @abstractmethod
    def _canvas(self, grid: Grid, b0: float) -> tuple[Canvas, np.ndarray]:
        """Paint the object without the sources that have their own location; also return its mask, (nx, ny, nz)."""

    @abstractmethod
    def _compiler(self, shape: g.Shape) -> Compile:
        """Return a function that compiles a shape, using the canvas's maps."""

    @property
    @abstractmethod
    def _map_data(self) -> np.ndarray:
        """The maps that shapes sample, one after the other, (k,) float32."""

    @property
    @abstractmethod
    def _coarse_grid(self) -> Grid:
        """The grid of the atlas."""

    @abstractmethod
    def _labels(self) -> np.ndarray:
        """Return the labels of the anatomy on the coarse grid, (nx, ny, nz) uint8."""

    @cached_property
    def tissues(self) -> dict[str, Tissue]:
        """The tissues of the table, with the description's changes."""
        return with_changes(table(), self.description.tissues, self.path, self._origin("tissues"))

    @property
    def tissues_used(self) -> list[Tissue]:
        """The tissues of the table that its regions consist of."""
        names = dict.fromkeys(self._tissue_of(name) for _, name, _ in self.anatomy)
        return [self.tissues[name] for name in names if name in self.tissues]

    @cached_property
    def regions(self) -> list[Region]:
        """The regions of the anatomy, and those created by sources.

        Raises:
            QsmbenchError: there are more than 255.
        """
        found = list(self.anatomy)
        for source in self._painted:
            name = label_name(source)
            if name is not None and name not in (n for _, n, _ in found):
                found.append((self._free_index([i for i, _, _ in found]), name, LESION))
        return found

    def _free_index(self, used: list[int]) -> int:
        """Return an index for another region: the next one, or the least that is free if the last label is in use."""
        free = next((i for i in (1 + max(used), *range(1, 256)) if i < 256 and i not in used), None)
        if free is None:
            raise QsmbenchError(f"{self.path}: all labels from 1 to 255 are in use; none is left for a named source")
        return free

    @property
    def _painted(self) -> Iterator[InPlace]:
        return (s for s in self.description.sources if isinstance(s, InPlace))

    @property
    def warp(self) -> Warp:
        """Map from the object to the template of its description."""
        return NO_WARP

    @cached_property
    def atlas(self) -> Atlas:
        """Locations of the regions of the anatomy."""
        return Atlas(
            self._labels(), self._coarse_grid, {name: i for i, name, _ in self.anatomy}, self.warp, str(self.path)
        )

    def check(self) -> None:
        """Check that the regions and veins of the sources exist.

        Raises:
            QsmbenchError: a source names an unknown region.
        """
        names = [name for _, name, _ in self.anatomy]
        if not self.has_veins and len(list(self._painted)) < len(self.description.sources):
            raise QsmbenchError(f"{self.path}: oxygenation needs veins, and this phantom has none")
        for source in self._painted:
            regions = (source.region, *((source.in_,) if isinstance(source.in_, str) else source.in_ or ()))
            for name in regions:
                if name is not None and name not in names:
                    raise QsmbenchError(f"{self.path}: region {name!r} is unknown; choose from {', '.join(names)}")

    def render(self, grid: Grid, b0: float) -> Properties:
        """Render the properties of the object on `grid` at `b0` [T].

        Raises:
            QsmbenchError: the description refers to something that does not exist, or a source is outside the object.
        """
        canvas, mask = self._canvas(grid, b0)
        for source in self._painted:
            if source.region is None:
                for shape, warp in source_shapes(source, self.atlas):
                    self._paint_source(canvas, source, self._compiler(shape), warp, b0)
        if self.description.texture is not None:
            self._apply_texture(canvas, self.description.texture, b0)
        if self.fibres:
            anisotropy.apply(canvas, self.fibres, self._orientation_dependence(b0))
        d = self.description
        spectra = {WATER: spectrum("water"), FAT: spectrum("fat", d.fat_peaks, d.temperature)}
        return Properties.of(grid, canvas.stack, canvas.labels, mask, self.regions, d.ambient_chi, spectra)

    def region_in_view(self, source: InPlace, grid: Grid) -> tuple[np.ndarray, float] | None:
        """Return points of the region, or its part on one side, that a source fills, (n, 3) mm, and its volume, mm³.

        None if they are to be taken from the labels of a scan on `grid`.
        """
        return None

    @property
    def age(self) -> float | None:
        """Age of the person [years], if the object is one."""
        return None

    def provenance(self, b0: float) -> list[SourcedValue]:
        """List the values that the properties of each region depend on at `b0` [T], with their sources.

        If a source modifies the tissue, its region has the values of both; the tissue below a source that is placed by
        coordinates is not looked up.
        """
        rows = {name: self._region_provenance(name, b0) for _, name, _ in self.anatomy}
        rows[origins.ANYWHERE] = self._general_provenance(b0)
        left: dict[str, float] = {}  # χ+ by location
        for source in self._painted:
            own = origins.of_source(source, self._origin_of(source), self.tissues, b0)
            inside, made = origins.regions_of(source), label_name(source)
            if not isinstance(source, Haemorrhage | Fat) and (para := self._para_at(source, left, b0)) is not None:
                more, left[str(placement(source))] = origins.beyond_content(source, para, self._origin_of(source))
                own += more
            replaces = isinstance(source, Haemorrhage | Fat)
            below = [] if replaces else [row for n in inside if n != origins.ANYWHERE for row in rows[n]]
            for name in inside if made is None else (made,):
                rows[name] = [*rows.get(name, below), *own]
        return [replace(row, region=name) for name, found in rows.items() for row in dict.fromkeys(found)]

    def _para_at(self, source: InPlace, left: Mapping[str, float], b0: float) -> float | None:
        """Return the least χ+ [ppm] at the location of a source; None if the tissue there is not known.

        Args:
            source: the source.
            left: by location, what earlier sources left of it.
            b0: T.
        """
        if (here := left.get(str(placement(source)))) is not None:
            return here
        contents = [self._content(name, b0) for name in origins.regions_of(source)]
        return min((float(c[CHI_PARA]) for c in contents if c is not None), default=None)

    @abstractmethod
    def _content(self, region: str, b0: float) -> np.ndarray | None:
        """Return the properties of a region of the anatomy as they mix, (c,); None if they are not known."""

    @abstractmethod
    def _region_provenance(self, region: str, b0: float) -> list[SourcedValue]:
        """List the values of a region of the anatomy, without its sources."""

    def _general_provenance(self, b0: float) -> list[SourcedValue]:
        """List the values of the whole object and its surroundings."""
        return [] if self.description.texture is None else origins.of_texture(self.description.texture)

    def _origin(self, key: str, assumed: bool = False) -> Origin:
        """Return the origin of the value at a `key` of the description; `assumed` applies if it is the phantom's."""
        if any(key == o or key.startswith(f"{o}.") or o.startswith(f"{key}.") for o in self.overridden):
            return Origin("overridden", False, "user")
        if self.case and self.case.states(key):
            return Origin(f"scenario {self.name}: {self.case.scenario.source}", self.case.scenario.assumed, "scenario")
        return Origin(self.path.name, assumed, "phantom")

    def _origin_of(self, source: Source) -> Origin:
        """Return the origin of the dose of a source: the subject's sources are the first, the case's the last ones."""
        added = len(self.case.changes.get("sources", ())) if self.case else 0
        own = self.description.sources[: len(self.description.sources) - added]
        if source not in own:
            return self._origin("sources")
        assumed = "sources" in self.description.assumed
        if self.case and self.case.changes.get("parameters"):  # its dose may be an expression of them
            cited = f"{self.path.name}, and scenario {self.name}: {self.case.scenario.source}"
            return Origin(cited, assumed or self.case.scenario.assumed, "scenario")
        return Origin(self.path.name, assumed, "phantom")

    def ct(self, grid: Grid) -> np.ndarray | None:
        """Render the increase of the CT number by the object's calcifications, (nx, ny, nz) float32, HU.

        None if it has none. CT numbers of soft tissue and bone are not included.
        """
        calcified = tuple(s for s in self._painted if isinstance(s, Calcification))
        if not calcified:
            return None
        canvas = self._densities(grid, calcified)
        for source in calcified:
            if source.region is None:
                for shape, warp in source_shapes(source, self.atlas):
                    canvas.paint_shape(self._compiler(shape), [Shell(0, 1, np.array([source.mg_per_ml]), 1)], warp)
        return canvas.stack[0] * np.float32(constants()["calcification.hu"])

    def liver_iron(self, labels: np.ndarray) -> np.ndarray | None:
        """Return the iron of livers whose whole concentration is known, (nx, ny, nz) float32, mg/g dry, 0 elsewhere.

        None if there is none. It is that of the tissue besides fat, before texture; iron in parts of a region is not
        included.

        Args:
            labels: (nx, ny, nz) index of the region.
        """
        irons = [s for s in self._painted if isinstance(s, Iron) and s.region and not (s.side or s.gradient)]
        known = {s.region for s in irons if s.lic is not None}
        if not known:
            return None
        index = {name: i for i, name, _ in self.regions}
        found = np.zeros(labels.shape, np.float32)
        for name in known:
            found[labels == index[str(name)]] = liver_iron([s for s in irons if s.region == name])
        return found

    @abstractmethod
    def _densities(self, grid: Grid, sources: tuple[Calcification, ...]) -> Canvas:
        """Paint a canvas with one map: the density [mg/ml] of the `sources` that are in regions."""

    def _apply_texture(self, canvas: Canvas, texture: Texture, b0: float) -> None:
        """Apply the texture of the tissues, in place."""
        grains = np.zeros((256, 4), np.float32)
        for index, name, group in self.anatomy:
            grain = texture.groups.get(group)
            if grain is not None:
                tissue = self.tissues.get(self._tissue_of(name) or "")
                follows = tissue is not None and tissue.follows_chi
                grains[index] = grain.iron, grain.myelin, grain.balance, follows
        fields, origin = self._noise
        apply(canvas, texture, fields, origin, grains, self.atlas, r2_prime(1, b0, self.description.dr))

    @cached_property
    def _noise(self) -> tuple[np.ndarray, np.ndarray]:
        return noise(self.description.texture, getattr(self.description, "subject", 0), self._coarse_grid)

    @property
    def fibres(self) -> dict[int, Course]:
        """Fibre directions, by label; empty if χ does not depend on them."""
        return {}

    def _orientation_dependence(self, b0: float) -> np.ndarray:
        """Return the anisotropy of each label at `b0` [T]: (256, 2) δχ ppm, δR2* 1/s."""
        found = np.zeros((256, 2), np.float32)
        for index, name, _ in self.anatomy:
            if (tissue := self.tissues.get(self._tissue_of(name) or "")) is not None:
                found[index] = tissue.orientation_dependence(b0)
        return found

    @property
    def breath(self) -> Warp:
        """Map from the object after the dome of the diaphragm has descended by 1 mm; displacements grow with it.

        Raises:
            QsmbenchError: the object does not breathe.
        """
        raise QsmbenchError(f"{self.path}: respiration needs a phantom that breathes, and this one has no key breath")

    @property
    def has_veins(self) -> bool:
        """Whether the object has veins with a defined oxygenation."""
        return False

    def vein_maps(self, grid: Grid) -> dict[str, np.ndarray]:
        """Return the truth about the veins on a grid, see `veins.lines.vein_maps`; empty without generated veins."""
        return {}

    @property
    def vein_names(self) -> list[tuple[int, str, str]]:
        """Number, name and region of the veins whose truth is known."""
        return []

    @abstractmethod
    def _tissue_of(self, region: str) -> str | None:
        """Return the tissue of a region of the anatomy, if it is in the table."""

    def _regional(self, name: str) -> Iterator[Any]:
        """Yield the sources in a region or a part of it."""
        return (s for s in self._painted if s.region == name)

    def _paint_source(self, canvas: Canvas, source: Any, place: Compile | np.ndarray, warp: Warp, b0: float) -> None:
        """Paint one shape of a source, or (as shares, (nx, ny, nz) float32) the region that it fills."""
        ramp = EVEN
        if source.gradient is not None:
            ramp = self.atlas.ramp(source.region, source.side, np.array(source.gradient))
        dr = self.description.dr
        paint_source(canvas, source, place, self._label_of(source), warp, ramp, tissues=self.tissues, b0=b0, dr=dr)

    def _label_of(self, source: InPlace) -> int:
        """Return the label of the region that a source creates; 0: none.

        Of sources that fill the same place, the last creates the region: the place fills a voxel once.
        """
        name = label_name(source)
        later = list(self._painted)
        later = later[1 + max(i for i, s in enumerate(later) if s is source) :]
        if name is None or any(label_name(s) and placement(s) == placement(source) for s in later):
            return 0
        return next(i for i, n, _ in self.regions if n == name)
