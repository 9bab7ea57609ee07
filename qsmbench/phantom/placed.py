"""Where an object's sources are and what they add to χ, as a table and as a map of their indices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from qsmbench.data.source_table import PlacedSource
from qsmbench.grid import Grid
from qsmbench.phantom import origins
from qsmbench.phantom.base import Phantom
from qsmbench.phantom.description import sources as s
from qsmbench.phantom.painting.boxes import transform_box
from qsmbench.phantom.painting.canvas import MOST_PARTS_OF_A_SOURCE, Canvas, Compile, Shell
from qsmbench.phantom.painting.placing import label_name, paint_source, placement, source_shapes
from qsmbench.phantom.species import CHI_DIA, CHI_PARA
from qsmbench.phantom.warp import NO_WARP, Warp

CELLS = 24
"""Number of cells along each axis on which the volume of a shape is computed."""


@dataclass
class Place:
    """A place that one or several sources fill.

    Attributes:
        sources: that fill it, in the order of painting.
        compile_at: returns the program of its shape; None if it is a region of the anatomy.
        warp: map to the space of the shape.
        number: of the shape, if the sources are scattered.
        chi_total: ∫Δχ dV, ppm·mm³.
        volume: mm³.
        centre: (3,) world mm.
    """

    sources: list[s.InPlace]
    compile_at: Compile | None = None
    warp: Warp = NO_WARP
    number: int = 0
    chi_total: float = 0.0
    volume: float = 0.0
    centre: np.ndarray = field(default_factory=lambda: np.zeros(3))

    @property
    def first(self) -> s.InPlace:
        """The first source in it."""
        return self.sources[0]


@dataclass(frozen=True)
class View:
    """The labels of a truth.

    Attributes:
        grid: of the scan.
        labels: (nx, ny, nz) uint8, on that grid.
        volumes: (256,) mm³, of each label, on the finer grid of the simulation.
    """

    grid: Grid
    labels: np.ndarray
    volumes: np.ndarray

    def points(self, phantom: Phantom, source: s.InPlace) -> tuple[np.ndarray, float]:
        """Return the voxels of the region, or its part on one side, that a source fills, (n, 3), and its volume."""
        chosen = np.zeros(256, bool)
        chosen[_labels_of(phantom, source)] = True
        index = np.argwhere(chosen[self.labels])
        volume, everywhere = float(self.volumes[chosen].sum()), len(index)
        if source.side is not None:
            left = phantom.warp.template(self.world(index))[:, 0] < 0
            index = index[left == (source.side == "left")]
        return index, volume * len(index) / max(everywhere, 1)

    def world(self, index: np.ndarray) -> np.ndarray:
        """Return the world coordinates of voxels, (n, 3) mm."""
        return index @ self.grid.affine[:3, :3].T + self.grid.affine[:3, 3]


def placed_sources(phantom: Phantom, view: View, b0: float) -> tuple[list[PlacedSource], np.ndarray] | None:
    """Return the table of an object's sources, and the index of the source in each voxel; None without sources.

    Args:
        phantom: the object.
        view: labels of its truth.
        b0: T.

    Returns:
        a row per source, and (nx, ny, nz) uint16.
    """
    if not any(isinstance(source, s.InPlace) for source in phantom.description.sources):
        return None
    found = places(phantom, view, b0)
    return table(phantom, found), index_map(phantom, found, view)


def places(phantom: Phantom, view: View, b0: float) -> list[Place]:
    """Return the places of an object's sources at `b0` [T], regions first, then in the order of painting.

    What a source adds is its amount times its volume; if it depends on the tissue that it changes or replaces, it is
    measured while the source is painted, on the phantom's own grid. For a region, it is what the source adds to the
    region's tissue, times the volume of the region in view.

    Raises:
        QsmbenchError: see `Phantom.render`.
    """
    painted = [source for source in phantom.description.sources if isinstance(source, s.InPlace)]
    found: dict[str, Place] = {}
    for source in (source for source in painted if source.region is not None):
        found.setdefault(str(placement(source)), Place([])).sources.append(source)
    for place in found.values():
        _measure_region(phantom, view, place, b0)
    own = [source for source in painted if source.region is None]
    canvas = None if all(_only_adds(source) for source in own) else phantom._canvas(phantom.grid(), b0)[0]
    for source in own:
        _place(phantom, canvas, source, found, b0)
    return list(found.values())


def table(phantom: Phantom, found: Sequence[Place]) -> list[PlacedSource]:
    """Return the rows of `places`, numbered from 1 in their order."""
    rows: list[PlacedSource] = []
    for index, place in enumerate(found, 1):
        first, (x, y, z) = place.first, (float(c) for c in place.centre)
        names = [n for n in map(label_name, place.sources) if n]
        inside = origins.regions_of(first)
        at = phantom.atlas.region_at(place.centre)
        share = 1.0
        if first.in_ is not None:
            share = phantom.atlas.share_inside(place.centre, (0.75 * place.volume / np.pi) ** (1 / 3), inside)
        rows.append(
            PlacedSource(
                index=index,
                kind="+".join(dict.fromkeys(source.source for source in place.sources)),
                place=next(key for key in ("region", "at", "in_", "shape") if getattr(first, key) is not None).strip(
                    "_"
                ),
                dose="; ".join(_dose(source) for source in place.sources),
                name=names[-1] if names else "",
                region=", ".join(inside) if inside != (origins.ANYWHERE,) else at,
                inside=share,
                x=x,
                y=y,
                z=z,
                volume=place.volume,
                chi_total=place.chi_total,
                shell=first.shell or 0.0,
                part_of=_solid_around(place, found),
                by=phantom._origin_of(first).by,
            )
        )
    return rows


def index_map(phantom: Phantom, found: Sequence[Place], view: View) -> np.ndarray:
    """Return the index of the source in each voxel, (nx, ny, nz) uint16; 0: none.

    A source has the voxels of which it fills at least half, and at least the one of which it fills most. Where several
    overlap, the last one counts.

    Args:
        phantom: the object.
        found: its `places`.
        view: of the scan.
    """
    grid = view.grid
    indices = np.zeros(grid.shape, np.uint16)
    for index, place in enumerate(found, 1):
        if place.compile_at is None:
            indices[tuple(view.points(phantom, place.first)[0].T)] = index
        elif (box := _box(grid, place)) is not None:
            share = _share(phantom, place, _cut(grid, box))
            if share.max() > 0:
                indices[box][share >= min(0.5, float(share.max()))] = index
    return indices


def _only_adds(source: s.InPlace) -> bool:
    """Whether a source changes χ by the same amount in every tissue."""
    if isinstance(source, s.Haemorrhage | s.Fat):
        return False
    factors = source.effect(3.0, 0.0).factors
    return factors.chi_para == factors.chi_dia == 1


def _place(phantom: Phantom, canvas: Canvas | None, source: s.InPlace, found: dict[str, Place], b0: float) -> None:
    """Add a source to its places, and what it adds to χ: by its amount, or by painting it on a canvas."""
    for number, (shape, warp) in enumerate(source_shapes(source, phantom.atlas)):
        key = f"{placement(source)} {number}"
        if key not in found:
            found[key] = Place([], phantom._compiler(shape), warp, number)
            _measure_shape(phantom, found[key])
        place = found[key]
        place.sources.append(source)
        if canvas is None:
            assert not isinstance(source, s.Haemorrhage | s.Fat)
            amounts = source.effect(b0, 0.0).amounts
            place.chi_total += (amounts.chi_para - amounts.chi_dia) * place.volume
            continue
        box = _box(canvas.grid, place)
        if box is None:
            continue
        before = _chi_sum(canvas, box)
        assert place.compile_at is not None
        phantom._paint_source(canvas, source, place.compile_at, warp, b0)
        place.chi_total += (_chi_sum(canvas, box) - before) * canvas.grid.voxel_volume


def _chi_sum(canvas: Canvas, box: tuple[slice, slice, slice]) -> float:
    para, dia = (canvas.stack[c][box].sum(dtype=float) for c in (CHI_PARA, CHI_DIA))
    return float(para - dia)


def _measure_shape(phantom: Phantom, place: Place) -> None:
    """Compute the volume and the centre of a shape on cells of its own."""
    assert place.compile_at is not None
    low, high = place.compile_at(0.1).bounds
    low, high = low - place.warp.farthest, high + place.warp.farthest
    if not np.isfinite([low, high]).all():
        return
    size = (high - low) / (CELLS - 2)
    affine = np.diag([*size, 1.0])
    affine[:3, 3] = low - size / 2
    grid = Grid.from_affine((CELLS, CELLS, CELLS), affine)
    share = _share(phantom, place, grid).astype(float)
    place.volume = float(share.sum()) * grid.voxel_volume
    if place.volume > 0:
        index = np.array([(share.sum(tuple({0, 1, 2} - {a})) * np.arange(CELLS)).sum() for a in range(3)]) / share.sum()
        place.centre = affine[:3, :3] @ index + affine[:3, 3]


def _measure_region(phantom: Phantom, view: View, place: Place, b0: float) -> None:
    """Compute the volume and the centre of a region, or its part on one side, and what its sources add to χ."""
    first, atlas = place.first, phantom.atlas
    assert first.region is not None
    if (seen := phantom.region_in_view(first, view.grid)) is None:
        index, place.volume = view.points(phantom, first)
        points = view.world(index)
    else:
        points, place.volume = seen
    content = phantom._content(first.region, b0)
    if content is None or not len(points):
        return
    place.centre = points.mean(0)
    canvas = Canvas.blank(Grid.from_affine((1, 1, 1), np.eye(4)), content, np.zeros(1, np.float32))
    whole = np.ones((1, 1, 1), np.float32)
    for source in place.sources:
        before = float(canvas.stack[CHI_PARA, 0, 0, 0] - canvas.stack[CHI_DIA, 0, 0, 0])
        paint_source(canvas, source, whole, 0, NO_WARP, tissues=phantom.tissues, b0=b0, dr=phantom.description.dr)
        added = float(canvas.stack[CHI_PARA, 0, 0, 0] - canvas.stack[CHI_DIA, 0, 0, 0]) - before
        strength = 1.0
        if source.gradient is not None and not isinstance(source, s.Haemorrhage | s.Fat):
            ramp = atlas.ramp(first.region, first.side, np.array(source.gradient))
            strength = float(np.clip(points @ ramp[:3] + ramp[3], 0, 1).mean())
        place.chi_total += added * strength * place.volume


def _labels_of(phantom: Phantom, source: s.InPlace) -> list[int]:
    """Return the labels of the region that a source fills, and of those that sources in it create."""
    names = {source.region} | {label_name(other) for other in phantom.description.sources
                               if isinstance(other, s.InPlace) and other.region == source.region}  # fmt: skip
    return [i for i, name, _ in phantom.regions if name in names]


def _solid_around(place: Place, found: Sequence[Place]) -> int:
    """Return the number of the solid place that differs from a rim in its thickness alone; 0: none."""
    if place.first.shell is None:
        return 0
    solid = {**placement(place.first), "shell": None}
    return next((i for i, p in enumerate(found, 1) if p.number == place.number and placement(p.first) == solid), 0)


def _dose(source: s.InPlace) -> str:
    parts = (f"{key} {value} {s.DOSES.get(key, '')}".strip() for key, value in source.doses.items())
    return " ".join((source.source, *parts))


def _box(grid: Grid, place: Place) -> tuple[slice, slice, slice] | None:
    """Return the voxels that a shape may touch; None if it is outside the grid."""
    assert place.compile_at is not None
    bounds = place.compile_at(min(grid.voxel_size)).bounds
    margin = max(grid.voxel_size) + place.warp.farthest
    bounds = np.clip(bounds + np.array([[-margin], [margin]]), -1e6, 1e6)
    low, high = transform_box(bounds, np.linalg.inv(grid.affine))
    start = np.clip(np.floor(low), 0, grid.shape).astype(int)
    stop = np.clip(np.ceil(high) + 1, 0, grid.shape).astype(int)
    if (start >= stop).any():
        return None
    x, y, z = (slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    return x, y, z


def _cut(grid: Grid, box: tuple[slice, slice, slice]) -> Grid:
    """Return the grid of a box of voxels."""
    affine = grid.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [b.start for b in box]
    nx, ny, nz = (b.stop - b.start for b in box)
    return replace(grid, shape=(nx, ny, nz), affine=affine)


def _share(phantom: Phantom, place: Place, grid: Grid) -> np.ndarray:
    """Return the share of each voxel that a shape fills, (nx, ny, nz) float32."""
    assert place.compile_at is not None
    canvas = Canvas.blank(grid, np.zeros(1), phantom._map_data)
    filling = [Shell(0, 1, np.ones(1), 0)]
    canvas.paint_shape(place.compile_at, filling, place.warp, most_parts=MOST_PARTS_OF_A_SOURCE)
    return canvas.stack[0]
