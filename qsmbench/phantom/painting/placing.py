"""Painting of sources at their locations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from qsmbench.phantom.atlas import Atlas
from qsmbench.phantom.description import geometry as g
from qsmbench.phantom.description import sources as s
from qsmbench.phantom.description.tissues import Tissue
from qsmbench.phantom.painting.canvas import EVEN, MOST_PARTS_OF_A_SOURCE, Canvas, Compile, Shell
from qsmbench.phantom.species import weight
from qsmbench.phantom.warp import NO_WARP, Warp
from qsmbench.seeds import generator

WAVES = 1.3
"""Wavelength of an irregular surface, in radii."""


def label_name(source: s.InPlace) -> str | None:
    """Return the name of the region that a source creates; a source that replaces tissue always creates one."""
    if source.name is None and isinstance(source, s.Haemorrhage | s.Fat):
        return source.region or source.source
    return source.name


def placement(source: s.InPlace) -> dict[str, Any]:
    """Return the keys that determine where a source is; sources with equal ones fill the same place."""
    return {key: getattr(source, key) for key in s.Placed.model_fields if key not in ("gradient", "name")}


def half_of(shape: g.Shape, side: s.Side | None) -> g.Shape:
    """Return the part of a shape on one side; in RAS, the patient's left has negative x."""
    if side is None:
        return shape
    half = g.HalfSpace(shape="half_space", point=(0, 0, 0), normal=(1 if side == "left" else -1, 0, 0))
    return g.Intersection(shape="intersection", of=(shape, half))


def source_shapes(source: s.InPlace, atlas: Atlas) -> Iterator[tuple[g.Shape, Warp]]:
    """Yield the shapes of a source that does not fill a region, each with the map to its space.

    A source placed by its centre has the same size and shape in every subject; a `shape` is deformed with the head.

    Raises:
        QsmbenchError: it is outside the object or in an unknown region, or there is not enough space.
    """
    if source.shape is not None:
        yield _rim(source.shape, source), atlas.warp
    elif source.at is not None:
        centre = atlas.warp.world(np.array([source.at]))[0]
        atlas.require_inside(centre)
        radii = np.broadcast_to(np.array(source.radii, float), 3)
        yield _body(centre, radii, source, source.seed), NO_WARP
    elif source.in_ is not None:
        names = (source.in_,) if isinstance(source.in_, str) else source.in_
        low, high = np.broadcast_to(np.array(source.diameter, float), 2)
        radii = np.geomspace(high, low, source.count) / 2  # the largest first, while there is room
        rng = generator(source.seed)
        for n, centre in enumerate(atlas.scatter(names, source.side, radii, rng, fewer=source.fewer)):
            if centre is not None:
                yield _body(centre, np.full(3, radii[n]), source, source.seed + n), NO_WARP


def _body(centre: np.ndarray, radii: np.ndarray, source: s.InPlace, seed: int) -> g.Shape:
    x, y, z = (float(c) for c in centre)
    a, b, c = (float(r) for r in radii)
    body: g.Shape = g.Ellipsoid(shape="ellipsoid", center=(x, y, z), radii=(a, b, c), rotate=source.rotate)
    if source.irregular:
        mean = (a * b * c) ** (1 / 3)
        body = g.Rough(shape="rough", of=body, amplitude=source.irregular * mean, wavelength=WAVES * mean, seed=seed)
    return _rim(body, source)


def _rim(body: g.Shape, source: s.InPlace) -> g.Shape:
    if source.shell is None:
        return body
    core = g.Offset(shape="offset", of=body, by=-source.shell)
    return g.Difference(shape="difference", of=(body, core))


def paint_source(
    canvas: Canvas,
    source: s.InPlace,
    place: Compile | np.ndarray,
    label: int,
    warp: Warp,
    ramp: np.ndarray = EVEN,
    *,
    tissues: dict[str, Tissue],
    b0: float,
    dr: float,
) -> None:
    """Paint one shape of a source.

    Args:
        canvas: in place.
        source: the source.
        place: returns the shape's program; or (nx, ny, nz) float32, the share of each voxel.
        label: of the region that it creates; 0 for none.
        warp: map to the space of the shape; not used for shares.
        ramp: strength across it; see `Canvas.apply_effect`. A source that replaces tissue is uniform.
        tissues: by name.
        b0: T.
        dr: relaxivity of susceptibility at 3 T, 1/s/ppm.
    """
    if isinstance(source, s.Haemorrhage | s.Fat):
        amount, values = source.filling(tissues, b0, dr)
        filling = Shell(0, amount, weight(values), label)
        if isinstance(place, np.ndarray):
            canvas.paint_share(place, filling)
        else:
            canvas.paint_shape(place, [filling], warp, most_parts=MOST_PARTS_OF_A_SOURCE)
    elif isinstance(place, np.ndarray):
        canvas.apply_effect_to_share(place, source.effect(b0, dr), label, ramp)
    else:
        canvas.apply_effect(place, source.effect(b0, dr), label, ramp, warp)
