"""Compilation of shapes to programs of signed distance."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from qsmbench.errors import QsmbenchError
from qsmbench.phantom.description import geometry as g
from qsmbench.phantom.painting import distance as op
from qsmbench.phantom.painting.boxes import transform_box
from qsmbench.phantom.painting.maps import Map
from qsmbench.phantom.painting.tubes import tube_radius

Bounds = np.ndarray
"""(2, 3) lower and upper corner of a box, world mm."""

EVERYWHERE = np.array([[-np.inf] * 3, [np.inf] * 3])

Maps = dict[str, tuple[Map, int, bool]]
"""A map by name, its offset in the joint array of all maps, and whether its values are distances."""

ROUGH_WAVES = 8
"""Number of plane waves of a rough surface."""

LIMIT = 2.0
"""Largest distance, in steps, reported by shapes that know the position of their surface but not the distance to it."""


@dataclass
class Program:
    """A compiled shape.

    Attributes:
        code: operations and the start of their parameters.
        parameters: of all operations in turn.
        bounds: (2, 3) mm, bounding box of the shape.
        finest: smallest feature, mm: the radius of a ball.
        slack: mm by which a distance may be less than that to the surface.
        leading: whether the next operation is at the bottom of the stack, and nothing is added to it later.
    """

    code: list[tuple[int, int]] = field(default_factory=list)
    parameters: list[float] = field(default_factory=list)
    bounds: Bounds = field(default_factory=EVERYWHERE.copy)
    finest: float = np.inf
    slack: float = 0.0
    leading: bool = True

    def add(self, operation: int, *parameters: float) -> None:
        """Append an operation."""
        self.code.append((operation, len(self.parameters)))
        self.parameters.extend(float(p) for p in parameters)

    @contextmanager
    def inner(self) -> Iterator[None]:
        """Mark, within the context, a shape that is combined with others or changed afterwards."""
        before, self.leading = self.leading, False
        yield
        self.leading = before


@dataclass
class Compiler:
    """Compiles shapes for one rendering.

    Attributes:
        shapes: the description's named shapes.
        maps: the maps by name, with their offset in the joint array and whether their values are distances.
        step: width of the partial-volume ramp, mm.
        path: file of the description, for messages.
    """

    shapes: dict[str, g.Shape]
    maps: Maps
    step: float
    path: Path

    def compile(self, shape: g.Shape) -> Program:
        """Compile `shape` to its program.

        Raises:
            QsmbenchError: it refers to an unknown shape or map.
        """
        program = Program()
        program.bounds = self._emit(shape, program, False)
        return program

    def _emit(self, shape: g.Shape, program: Program, fold: bool) -> Bounds:
        fold = fold or shape.mirror
        emit = getattr(self, f"_{shape.shape}")
        return emit(shape, program, fold)

    def _primitive(self, program: Program, operation: int, fold: bool, world_to_own: np.ndarray, *own: float) -> None:
        program.add(operation, float(fold), *world_to_own[:3].ravel(), *own)

    def _frame(self, shape: g.Solid) -> np.ndarray:
        frame = np.eye(4)
        frame[:3, :3] = Rotation.from_euler("xyz", shape.rotate, degrees=True).as_matrix()
        frame[:3, 3] = shape.center
        return frame

    def _solid(self, shape: g.Solid, program: Program, fold: bool, operation: int, half, own) -> Bounds:
        frame = self._frame(shape)
        self._primitive(program, operation, fold, np.linalg.inv(frame), *own)
        reach = np.abs(frame[:3, :3]) @ np.asarray(half, float)
        return _fold(np.stack([frame[:3, 3] - reach, frame[:3, 3] + reach]), fold)

    def _ellipsoid(self, shape: g.Ellipsoid, program: Program, fold: bool) -> Bounds:
        radii = np.array(shape.radii)
        mean = float(np.prod(radii) ** (1 / 3))
        program.finest = min(program.finest, min(shape.radii))
        radii = radii * (_ball_radius(mean, self.step) / mean)
        return self._solid(shape, program, fold, op.ELLIPSOID, radii, (*radii, shape.exponent))

    def _box(self, shape: g.Box, program: Program, fold: bool) -> Bounds:
        program.finest = min(program.finest, min(shape.half))
        rounding = min(shape.rounding, *shape.half)
        return self._solid(shape, program, fold, op.BOX, shape.half, (*shape.half, rounding))

    def _tube(self, shape: g.Tube, program: Program, fold: bool) -> Bounds:
        points = np.array(shape.points)
        program.finest = min(program.finest, 1.2 * points[:, 3].min())
        points[:, 3] = tube_radius(points[:, 3], self.step)
        self._primitive(program, op.TUBE, fold, np.eye(4), len(points), *points.ravel())
        reach = np.maximum(points[:, 3:], 0)
        box = np.stack([(points[:, :3] - reach).min(0), (points[:, :3] + reach).max(0)])
        return _fold(box, fold)

    def _cylinder(self, shape: g.Cylinder, program: Program, fold: bool) -> Bounds:
        program.finest = min(program.finest, 1.2 * shape.radius)
        radius, half = float(tube_radius(np.array(shape.radius), self.step)), shape.length / 2
        own = (2, 0, 0, -half, radius, 0, 0, half, radius)
        return self._solid(shape, program, fold, op.TUBE, (radius, radius, half + radius), own)

    def _half_space(self, shape: g.HalfSpace, program: Program, fold: bool) -> Bounds:
        normal = np.array(shape.normal) / np.linalg.norm(shape.normal)
        frame = np.zeros((4, 4))
        frame[2, :3], frame[2, 3] = normal, -normal @ np.array(shape.point)
        self._primitive(program, op.HALF_SPACE, fold, frame)
        return EVERYWHERE.copy()

    def _gyroid(self, shape: g.Gyroid, program: Program, fold: bool) -> Bounds:
        program.finest = min(program.finest, shape.wavelength)
        frame = np.linalg.inv(self._frame(shape))
        self._primitive(program, op.GYROID, fold, frame, shape.wavelength, shape.level, LIMIT * self.step)
        return EVERYWHERE.copy()

    def _map(self, shape: g.FromMap, program: Program, fold: bool) -> Bounds:
        if shape.map not in self.maps:
            raise QsmbenchError(
                f"{self.path}: map {shape.map!r} is unknown; choose from {', '.join(self.maps) or 'none'}"
            )
        image, start, is_distance = self.maps[shape.map]
        spacing = np.linalg.norm(image.affine[:3, :3], axis=0)
        if is_distance:
            level, width, limit = shape.level, -1.0, 1e9  # d = v − level
        else:
            level, width = shape.level, shape.width or self.step
            limit = LIMIT * self.step
            program.finest = min(program.finest, 5 * float(spacing.min()))
        own = (*image.values.shape, start, level, width, limit)
        self._primitive(program, op.MAP, fold, np.linalg.inv(image.affine), *own)
        return _fold(transform_box(image.box(level, is_distance), image.affine), fold)

    def _union(self, shape: g.Joined, program: Program, fold: bool) -> Bounds:
        with program.inner():
            boxes = [self._emit(shape.of[0], program, fold)]
            for other in shape.of[1:]:
                boxes.append(self._emit(other, program, fold))
                program.add(op.UNION, shape.smooth)
        grow = shape.smooth / 4 * np.array([[-1], [1]]) * max(1, len(boxes) - 1)
        return np.stack([np.min([b[0] for b in boxes], 0), np.max([b[1] for b in boxes], 0)]) + grow

    def _intersection(self, shape: g.Intersection, program: Program, fold: bool) -> Bounds:
        # those that know how far they are come first: they let whole bricks be skipped
        first, *others = sorted(shape.of, key=self._sampled)
        boxes = [self._emit(first, program, fold)]
        with self._cutting(program):
            for other in others:
                boxes.append(self._emit(other, program, fold))
                program.add(op.INTERSECTION)
        return np.stack([np.max([b[0] for b in boxes], 0), np.min([b[1] for b in boxes], 0)])

    def _sampled(self, shape: g.Shape) -> bool:
        """Return whether a shape is derived from maps whose values are not distances."""
        if isinstance(shape, g.FromMap):
            return shape.map in self.maps and not self.maps[shape.map][2]
        if isinstance(shape, g.Reference):
            return shape.name in self.shapes and self._sampled(self.shapes[shape.name])
        parts = getattr(shape, "of", ())
        return any(self._sampled(part) for part in (parts if isinstance(parts, tuple) else (parts,)))

    def _difference(self, shape: g.Difference, program: Program, fold: bool) -> Bounds:
        box = self._emit(shape.of[0], program, fold)
        with self._cutting(program):
            for other in shape.of[1:]:
                program.finest = min(program.finest, _thickness(shape.of[0], other))
                self._emit(other, program, fold)
                program.add(op.DIFFERENCE)
        return box

    @contextmanager
    def _cutting(self, program: Program) -> Iterator[None]:
        """Let points well outside the shape so far leave the program, since later operations only remove parts."""
        if program.leading:
            program.add(op.LEAVE, self.step)
        with program.inner():
            yield

    def _offset(self, shape: g.Offset, program: Program, fold: bool) -> Bounds:
        with program.inner():
            box = self._emit(shape.of, program, fold)
        program.add(op.OFFSET, shape.by)
        return box + np.array([[-1], [1]]) * shape.by

    def _ripple(self, shape: g.Ripple, program: Program, fold: bool) -> Bounds:
        with program.inner():
            box = self._emit(shape.of, program, fold)
        program.add(op.RIPPLE, shape.amplitude, shape.wavelength, float(fold))
        program.finest = min(program.finest, shape.wavelength / 2)
        program.slack = max(program.slack, abs(shape.amplitude))
        return box + np.array([[-1], [1]]) * abs(shape.amplitude)

    def _rough(self, shape: g.Rough, program: Program, fold: bool) -> Bounds:
        with program.inner():
            box = self._emit(shape.of, program, fold)
        rng = np.random.default_rng(shape.seed)
        waves = rng.standard_normal((ROUGH_WAVES, 3))
        waves *= rng.uniform(0.6, 1.4, (ROUGH_WAVES, 1)) / np.linalg.norm(waves, axis=1, keepdims=True)
        phases = rng.uniform(0, 2 * np.pi, ROUGH_WAVES)
        height = shape.amplitude * np.sqrt(2 / ROUGH_WAVES)
        own = np.column_stack([2 * np.pi / shape.wavelength * waves, phases])
        program.add(op.ROUGH, height, ROUGH_WAVES, float(fold), *own.ravel())
        program.finest = min(program.finest, shape.wavelength / 2)
        highest = height * ROUGH_WAVES
        program.slack = max(program.slack, highest)
        return box + np.array([[-1], [1]]) * highest

    def _ref(self, shape: g.Reference, program: Program, fold: bool) -> Bounds:
        if shape.name not in self.shapes:
            raise QsmbenchError(
                f"{self.path}: shape {shape.name!r} is unknown; choose from {', '.join(self.shapes) or 'none'}"
            )
        return self._emit(self.shapes[shape.name], program, fold)


def _thickness(outer: g.Shape, inner: g.Shape) -> float:
    """Return what is left of a shape around a smaller offset of itself, mm; infinite if they differ otherwise."""
    depths = []
    for shape in (outer, inner):
        depth = 0.0
        while isinstance(shape, g.Offset):
            depth, shape = depth - shape.by, shape.of
        depths.append((depth, shape))
    (begin, first), (end, second) = depths
    return end - begin if end > begin and first == second else np.inf


def _fold(box: Bounds, fold: bool) -> Bounds:
    if fold:
        reach = max(abs(box[0, 0]), abs(box[1, 0]))
        box[:, 0] = -reach, reach
    return box


def _ball_radius(radius: float, step: float) -> float:
    """Return the radius at which a partial-volume ramp of width `step` preserves the volume of a ball [mm].

    The ramp's volume is π/(3h)·[(a + h/2)⁴ − max(a − h/2, 0)⁴]; otherwise balls of a few voxels would be too large.
    """
    if (4 * step * radius**3) ** 0.25 < step:
        return (4 * step * radius**3) ** 0.25 - step / 2
    a = radius
    for _ in range(50):
        a -= (a**3 + a * step**2 / 4 - radius**3) / (3 * a**2 + step**2 / 4)
    return a
