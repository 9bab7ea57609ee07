"""Fibre directions of white matter: a direction without a sign at each point.

A direction d is stored as the six numbers of d·dᵀ, which do not depend on its sign and can be interpolated. Where
directions differ within a voxel, the mean tensor describes their spread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy import ndimage, sparse

from qsmbench.errors import QsmbenchError
from qsmbench.phantom.atlas import Atlas
from qsmbench.phantom.description import geometry as g
from qsmbench.phantom.description.models import Fibres, Layer
from qsmbench.phantom.painting.boxes import grid_box
from qsmbench.phantom.warp import Warp

SPACING = 2.0
"""Of the points at which directions are worked out, mm."""

NEAR = 2.0
"""Lines count by (distance² + NEAR²)⁻², mm: the nearest decides, and between two of them directions turn smoothly."""

SMOOTH = 2.5
"""Gaussian that smooths the directions of fibres between regions, mm; a gyrus is a few times as wide."""

TOLERANCE, MOST_STEPS = 1e-4, 2000
"""Of the potential: relative residual, and steps towards it."""


PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
"""Order of a tensor's six numbers."""


@dataclass(frozen=True)
class Course:
    """Directions on a lattice, linear between its points, and held constant beyond its faces.

    Attributes:
        tensor: (nx, ny, nz, 6) float32, d·dᵀ of unit directions d in world axes, in the order of `PAIRS`.
        origin: (3,) world mm of the first point.
    """

    tensor: np.ndarray
    origin: np.ndarray

    def along(self, unit: np.ndarray) -> np.ndarray:
        """Return cos² of the angle between the fibres and `unit`, (3,) in world axes: (nx, ny, nz) float32."""
        twice = [unit[a] * unit[b] * (1 if a == b else 2) for a, b in PAIRS]
        total = np.zeros(self.tensor.shape[:3], np.float32)
        for part, factor in enumerate(twice):
            total += np.float32(factor) * self.tensor[..., part]
        return total

    def directions(self, points: np.ndarray) -> np.ndarray:
        """Return unit directions at `points`, (n, 3) world mm: (n, 3), of either sign."""
        index = ((np.asarray(points, float) - self.origin) / SPACING).T
        parts = [ndimage.map_coordinates(self.tensor[..., p], index, order=1, mode="nearest") for p in range(6)]
        return _principal(np.stack(parts, axis=-1))


def courses(
    layers: tuple[Layer, ...],
    shapes: dict[str, g.Shape],
    atlas: Atlas,
    bounds: Callable[[g.Shape], np.ndarray],
    path: Path,
) -> dict[int, Course]:
    """Return the fibre directions of each region, by label.

    In a subject's head, the directions of the template are rotated by the deformation.

    Args:
        layers: layers with fibres.
        shapes: named shapes.
        atlas: locations of the regions.
        bounds: returns the bounding box, (2, 3) mm in the template, of a shape.
        path: file of the description, for messages.

    Raises:
        QsmbenchError: fibres run along a shape without a tube, from or to an unknown region, or two layers set the
            fibres of one region.
    """
    found: dict[int, Course] = {}
    ways: dict[Fibres, list[int]] = {}  # several layers may share one
    for layer in layers:
        assert layer.fibres is not None
        name = layer.region or layer.tissue or ""
        label, where = atlas.label(name), f"{path}: {name}"
        if any(label in own for own in ways.values()):
            raise QsmbenchError(f"{where}: two layers set its fibre direction; give each layer its own region")
        ways.setdefault(layer.fibres, []).append(label)
        if layer.fibres.from_ is None:
            found[label] = _stated_course(layer.fibres, layer.shape, shapes, atlas, bounds(layer.shape), where)
    fibrous = [label for own in ways.values() for label in own]
    for fibres, own in ways.items():
        if fibres.from_ is not None and fibres.to is not None:
            found |= dict.fromkeys(own, _flow_course(atlas, fibres.from_, fibres.to, own, fibrous))
    return found


def _stated_course(
    fibres: Fibres, shape: g.Shape, shapes: dict[str, g.Shape], atlas: Atlas, box: np.ndarray, where: str
) -> Course:
    """Return the course in `box`, (2, 3) mm of the template, of fibres with a direction or along lines."""
    points, size, origin = _lattice(box, atlas)
    places = atlas.warp.template(points)
    if fibres.direction is not None:
        units = np.array(fibres.direction) * np.where(places[:, :1] < 0, [-1.0, 1, 1], 1.0)
    else:
        units = _nearest_directions(places, _lines(fibres, shape, shapes, where))
    tensor = _tensor(_turn_by_warp(units, points, atlas.warp))
    return Course(tensor.reshape(*size, 6).astype(np.float32), origin)


def _lattice(box: np.ndarray, atlas: Atlas) -> tuple[np.ndarray, tuple[int, int, int], np.ndarray]:
    """Return points, (n, 3) world mm, a spacing apart around a box of the template; their shape; the first."""
    low, high = np.clip(box + atlas.warp.farthest * np.array([[-1], [1]]), *grid_box(atlas.grid))
    first, final = np.floor(low / SPACING).astype(int), np.ceil(high / SPACING).astype(int) + 1
    nx, ny, nz = (int(n) for n in final - first + 1)
    index = np.indices((nx, ny, nz)).reshape(3, -1).T
    return (index + first) * SPACING, (nx, ny, nz), first * SPACING


def _turn_by_warp(units: np.ndarray, points: np.ndarray, warp: Warp) -> np.ndarray:
    """Turn directions of the template, (n, 3), to the world at `points`, (n, 3) mm: J⁻¹·d, J = ∂template/∂world."""
    if not warp.displacement.size:
        return units
    step = warp.spacing / 4
    moved = [warp.template(points + step * e) - warp.template(points - step * e) for e in np.eye(3)]
    return np.linalg.solve(np.stack(moved, axis=-1) / (2 * step), units[..., None])[..., 0]


def _lines(fibres: Fibres, shape: g.Shape, shapes: dict[str, g.Shape], where: str) -> list[np.ndarray]:
    """Return the polylines, each (m, 3) mm, that fibres follow, on both sides."""
    if fibres.along != "tube":
        return [side * np.array(line) for line in fibres.along or () for side in _SIDES]
    found = list(_tubes(shape, shapes, False))
    if not found:
        raise QsmbenchError(
            f"{where}: fibres run along a shape of {shape.shape!r} without a tube; choose a shape with one"
        )
    return found


_SIDES = (np.ones(3), np.array([-1.0, 1, 1]))


def _tubes(shape: g.Shape, shapes: dict[str, g.Shape], mirror: bool) -> Iterator[np.ndarray]:
    mirror = mirror or shape.mirror
    if isinstance(shape, g.Tube):
        for side in _SIDES[: 1 + mirror]:
            yield side * np.array(shape.points)[:, :3]
    elif isinstance(shape, g.Reference):
        yield from _tubes(shapes[shape.name], shapes, mirror)
    else:
        parts = getattr(shape, "of", ())
        parts = parts if isinstance(parts, tuple) else (parts,)
        for part in parts[:1] if isinstance(shape, g.Difference) else parts:
            yield from _tubes(part, shapes, mirror)


def _nearest_directions(points: np.ndarray, lines: list[np.ndarray]) -> np.ndarray:
    """Return unit directions, (n, 3), at `points`, (n, 3) mm: of the nearest segments of `lines`, each (m, 3) mm."""
    total = np.zeros((len(points), 6))
    for line in lines:
        for start, stop in pairwise(line):
            way = stop - start
            share = np.clip(((points - start) * way).sum(1) / (way**2).sum(), 0, 1)
            gap = ((points - start - share[:, None] * way) ** 2).sum(1)
            total += _tensor(way[None]) / (gap[:, None] + NEAR**2) ** 2
    return _principal(total)


def _flow_course(
    atlas: Atlas, start: tuple[str, ...], stop: tuple[str, ...], own: list[int], fibrous: list[int]
) -> Course:
    """Return the course in the labels `own` down the slope of a potential that is 0 in some regions and 1 in others.

    It is harmonic in all else that is `fibrous`; nothing flows into what is not.
    """
    low, high = (np.isin(atlas.labels, [atlas.label(n) for n in names]) for names in (start, stop))
    free = np.isin(atlas.labels, fibrous) & ~low & ~high
    inside = ndimage.binary_dilation(np.isin(atlas.labels, own), iterations=2)
    if not inside.any():
        raise QsmbenchError(f"{atlas.where}: the region of the fibres from {', '.join(start)} is too small")
    potential = _harmonic(low, high, free)
    box = ndimage.find_objects(inside.astype(np.uint8))[0]
    nearest = ndimage.distance_transform_edt(~(low | high | free), return_distances=False, return_indices=True)
    slope = np.stack(np.gradient(potential[tuple(nearest)]), axis=-1)
    tensor = _tensor(slope) * free[..., None]
    for part in range(6):
        tensor[..., part] = ndimage.gaussian_filter(tensor[..., part], SMOOTH / SPACING)
    tensor[inside] = _tensor(_principal(tensor[inside]))
    origin = atlas.grid.affine[:3, 3] + SPACING * np.array([b.start for b in box])
    return Course((tensor * inside[..., None])[box].astype(np.float32), origin)


def _harmonic(low: np.ndarray, high: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Solve Laplace's equation in `free`, with 0 in `low`, 1 in `high` and no flow elsewhere, all (nx, ny, nz) bool."""
    number = np.cumsum(free.ravel()).reshape(free.shape) - 1
    count = int(free.sum())
    diagonal, right = np.full(count, 1e-6), np.zeros(count)  # what touches nothing stays at 0
    pairs = []
    for axis in range(3):
        for here, there in ((slice(None, -1), slice(1, None)), (slice(1, None), slice(None, -1))):
            at, beside = ((slice(None),) * axis + (part,) for part in (here, there))
            touching = {
                name: free[at] & other[beside] for name, other in (("low", low), ("high", high), ("free", free))
            }
            for name, both in touching.items():
                weight = np.bincount(number[at][both], minlength=count)
                diagonal += weight
                if name == "high":
                    right += weight
            pairs.append((number[at][touching["free"]], number[beside][touching["free"]]))
    row, column = np.concatenate(pairs, axis=1)
    matrix = sparse.diags(diagonal) - sparse.csr_matrix((np.ones(len(row)), (row, column)), shape=(count, count))
    potential = high.astype(float)
    potential[free] = _conjugate_gradients(matrix.tocsr(), diagonal, right)
    return potential


def _conjugate_gradients(matrix: sparse.csr_matrix, diagonal: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve by preconditioned conjugate gradients; sums are numpy's, the same on any number of threads."""
    found, rest = np.zeros_like(right), right
    way = ahead = rest / diagonal
    size = first = (rest * ahead).sum()
    for _ in range(MOST_STEPS):
        if size <= TOLERANCE**2 * first:
            break
        image = matrix @ way
        length = size / (way * image).sum()
        found, rest = found + length * way, rest - length * image
        ahead = rest / diagonal
        size, before = (rest * ahead).sum(), size
        way = ahead + size / before * way
    return found


def _tensor(vectors: np.ndarray) -> np.ndarray:
    """Return d·dᵀ of unit d along `vectors`, (…, 3): (…, 6) in the order of `PAIRS`; 0 of a vector that is 0."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    return np.stack([unit[..., a] * unit[..., b] for a, b in PAIRS], axis=-1)


def _principal(tensor: np.ndarray) -> np.ndarray:
    """Return the unit eigenvectors of the largest eigenvalue of tensors, (n, 6): (n, 3)."""
    full = np.empty((len(tensor), 3, 3))
    for part, (a, b) in enumerate(PAIRS):
        full[:, a, b] = full[:, b, a] = tensor[:, part]
    return np.linalg.eigh(full)[1][..., -1]
