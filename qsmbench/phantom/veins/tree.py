"""The venous tree of a phantom: its trunks, and the veins generated from them."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.interpolate import Akima1DInterpolator

from qsmbench.errors import QsmbenchError
from qsmbench.phantom.cache import keep
from qsmbench.phantom.description import geometry as g
from qsmbench.phantom.description.veins import Growth, Trunk, Veins
from qsmbench.phantom.painting.bounds import inside
from qsmbench.phantom.painting.shapes import Compiler, Maps
from qsmbench.phantom.veins.growth import Branch, Stage, grow, side
from qsmbench.seeds import is_wide

STEP = 1.0
"""Spacing [mm] of the points of a trunk, and width of the ramp of partial volume of the shapes that veins run in."""

SNAP = 8.0
"""Largest distance [mm] from the end of a trunk to the trunk that it drains into."""


@dataclass(frozen=True)
class Terrain:
    """The anatomy of a phantom, for generating veins.

    Attributes:
        shapes: its named shapes.
        maps: its maps, by name.
        data: (k,) float32, the values of all maps.
    """

    shapes: dict[str, g.Shape]
    maps: Maps
    data: np.ndarray


def tree(
    path: Path, veins: Veins, terrain: Callable[[], Terrain], seed: int, made_from: tuple[str | Path, ...]
) -> list[Branch]:
    """Grow the veins in template space; the tree is cached.

    Args:
        path: file of the veins.
        veins: its content.
        terrain: returns the anatomy; not called if the tree is cached.
        seed: of the growth.
        made_from: all texts and files that the terrain depends on, as part of the cache key.

    Raises:
        QsmbenchError: a trunk's tube, or a vein that it or a growth drains into, does not exist or is too far.
    """

    def grown() -> bytes:
        known = terrain()
        trunks = _trunks(path, veins, known)
        stages = [_stage(path, growth, veins, known) for growth in veins.growths]
        return _packed(grow(trunks, stages, seed))

    return _unpacked(keep(grown, veins.model_dump_json(), seed, *made_from, secret=is_wide(seed)))


def _packed(branches: list[Branch]) -> bytes:
    """Return a tree as bytes, all points in one array: tens of thousands of small ones take a second."""
    rest = [(b.name, b.side, len(b.points), b.parent, b.trunk) for b in branches]
    return pickle.dumps((np.concatenate([b.points for b in branches]), rest))


def _unpacked(packed: bytes) -> list[Branch]:
    points, rest = pickle.loads(packed)
    stops = np.cumsum([n for _, _, n, _, _ in rest]).tolist()
    return [
        Branch(name, side, points[stop - n : stop], parent, trunk)
        for (name, side, n, parent, trunk), stop in zip(rest, stops, strict=True)
    ]


def _trunks(path: Path, veins: Veins, terrain: Terrain) -> list[Branch]:
    placed: list[Branch] = []
    for trunk in veins.trunks:
        points, mirror = _points(path, trunk, terrain)
        points = points + np.array([*trunk.by, 0])
        for sign in (1, -1) if mirror else (1,):
            own = _resample(points * [sign, 1, 1, 1])[::-1].copy()
            parent = -1 if trunk.into is None else _join(path, trunk, own, placed)
            placed.append(Branch(trunk.name, side(own), own, parent, True))
    return placed


def _points(path: Path, trunk: Trunk, terrain: Terrain) -> tuple[np.ndarray, bool]:
    """Return the points (n, 4) of a trunk, and whether it has a twin on the other side."""
    if trunk.tube is None:
        if len(trunk.points) < 2:
            raise QsmbenchError(f"{path}: {trunk.name} has {len(trunk.points)} points; give two or more, or a tube")
        return np.array(trunk.points), trunk.mirror
    shape = terrain.shapes.get(trunk.tube)
    if not isinstance(shape, g.Tube):
        tubes = ", ".join(n for n, s in terrain.shapes.items() if isinstance(s, g.Tube))
        raise QsmbenchError(f"{path}: {trunk.name}: tube {trunk.tube!r} is unknown; choose from {tubes or 'none'}")
    return np.array(shape.points), shape.mirror


def _resample(points: np.ndarray) -> np.ndarray:
    """Return points (n, 4) along a smooth curve through some points, about `STEP` apart."""
    gaps = np.linalg.norm(np.diff(points[:, :3], axis=0), axis=1)
    along = np.concatenate([[0], np.cumsum(gaps)])
    at = np.linspace(0, along[-1], max(2, round(along[-1] / STEP) + 1))
    return Akima1DInterpolator(along, points, method="makima")(at)  # which hardly overshoots


def _join(path: Path, trunk: Trunk, own: np.ndarray, placed: list[Branch]) -> int:
    """Return the index of the trunk that `own`, (n, 4), drains into; its first point is moved there."""
    found = [
        (np.linalg.norm(b.points[:, :3] - own[0, :3], axis=1), i) for i, b in enumerate(placed) if b.name == trunk.into
    ]
    if not found:
        raise QsmbenchError(f"{path}: {trunk.name} drains into {trunk.into!r}, which is not an earlier trunk")
    gaps, parent = min(found, key=lambda f: f[0].min())
    if gaps.min() > SNAP:
        raise QsmbenchError(
            f"{path}: {trunk.name} ends {gaps.min():.1f} mm from {trunk.into}; it must be at most {SNAP:g}"
        )
    own[0, :3] = placed[parent].points[gaps.argmin(), :3]
    return parent


def _stage(path: Path, growth: Growth, veins: Veins, terrain: Terrain) -> Stage:
    for name in growth.into:
        if name not in veins.regions:
            raise QsmbenchError(
                f"{path}: {growth.name} drains into unknown region {name!r}; choose from {', '.join(veins.regions)}"
            )
    compiler = Compiler({**terrain.shapes, **veins.shapes}, terrain.maps, STEP, path, terrain.data)

    def within(shape: g.Shape):
        program = compiler.compile(shape)
        code, parameters = np.array(program.code, np.int64), np.array(program.parameters)
        return lambda points: inside(points, code, parameters, terrain.data)

    box = compiler.compile(growth.through).bounds
    if not np.isfinite(box).all():
        raise QsmbenchError(f"{path}: {growth.name}: through has no bounds; intersect it with a map or an ellipsoid")
    return Stage(
        name=growth.name,
        into=growth.into,
        box=box,
        through=within(growth.through),
        ends=within(growth.ends or growth.through),
        spacing=growth.spacing,
        apart=growth.apart,
        reach=growth.reach,
        radius=growth.radius,
        lean=np.array(growth.lean, float),
        wander=growth.wander,
        smooth=growth.smooth,
    )
