"""Compilation of shapes to programs of signed distance."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.interpolate import Akima1DInterpolator, PchipInterpolator
from scipy.spatial.transform import Rotation

from qsmbench.errors import QsmbenchError
from qsmbench.phantom.description import geometry as g
from qsmbench.phantom.painting import distance as op
from qsmbench.phantom.painting.boxes import transform_box
from qsmbench.phantom.painting.loops import wind
from qsmbench.phantom.painting.maps import Map
from qsmbench.phantom.painting.tubes import tube_radius
from qsmbench.seeds import generator

Bounds = np.ndarray
"""(2, 3) lower and upper corner of a box, world mm."""

EVERYWHERE = np.array([[-np.inf] * 3, [np.inf] * 3])

Maps = dict[str, tuple[Map, int, bool]]
"""A map by name, its offset in the joint array of all maps, and whether its values are distances."""

ROUGH_WAVES = 8
"""Number of plane waves of a rough surface."""

LIMIT = 2.0
"""Largest distance, in steps, reported by shapes that know the position of their surface but not the distance to it."""


PIECE = 6
"""Segments of a tube that are evaluated together: a long tube is a union of pieces, most of which are far away."""

LEVELS = 3.0
"""Smallest feature of a sheet between two levels of a map, in its nominal thicknesses."""

FINENESS = 0.6
"""Spacing of the points of a curved tube, in radii, ..."""

PER_BEAD = 6
"""... and the least number of them in a bead."""


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
        data: (k,) float32, the values of all maps.
        frame: (4, 4) world mm → the frame of the shape being compiled.
    """

    shapes: dict[str, g.Shape]
    maps: Maps
    step: float
    path: Path
    data: np.ndarray = field(default_factory=lambda: np.zeros(1, np.float32))
    frame: np.ndarray = field(default_factory=lambda: np.eye(4))

    def compile(self, shape: g.Shape) -> Program:
        """Compile `shape` to its program.

        Raises:
            QsmbenchError: it refers to an unknown shape or map.
        """
        program = Program()
        program.bounds = self._emit(shape, program, False)
        return program

    def _emit(self, shape: g.Shape, program: Program, fold: bool) -> Bounds:
        if shape.mirror and not fold and self._is_moved:
            return self._both_sides(shape, program)
        fold = fold or shape.mirror
        emit = getattr(self, f"_{shape.shape}")
        return emit(shape, program, fold)

    @property
    def _is_moved(self) -> bool:
        return not np.array_equal(self.frame, np.eye(4))

    def _both_sides(self, shape: g.Shape, program: Program) -> Bounds:
        """Emit a shape and its mirror image in a moved frame, whose plane of symmetry is not that of the world."""
        one = shape.model_copy(update={"mirror": False})
        with program.inner():
            box = self._emit(one, program, False)
            outer, self.frame = self.frame, FLIP @ self.frame
            self._emit(one, program, False)
            self.frame = outer
            program.add(op.UNION, 0)
        return _fold(box, True)

    def _primitive(self, program: Program, operation: int, fold: bool, own_frame: np.ndarray, *own: float) -> None:
        program.add(operation, float(fold), *(own_frame @ self.frame)[:3].ravel(), *own)

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
        if shape.curved:
            points = _curve(points, shape.beads)
        return self._pipe(points, program, fold)

    def _pipe(self, points: np.ndarray, program: Program, fold: bool) -> Bounds:
        """Emit a tube through points (n, 4) x, y, z, radius [mm]."""
        program.finest = min(program.finest, 1.2 * points[:, 3].min())
        points = np.column_stack([points[:, :3], tube_radius(points[:, 3], self.step)])
        with program.inner():
            for start in range(0, len(points) - 1, PIECE):
                piece = points[start : start + PIECE + 1]
                self._primitive(program, op.TUBE, fold, np.eye(4), len(piece), *piece.ravel())
                if start:
                    program.add(op.UNION, 0)
        reach = np.maximum(points[:, 3:], 0)
        box = np.stack([(points[:, :3] - reach).min(0), (points[:, :3] + reach).max(0)])
        return _fold(box, fold)

    def _loft(self, shape: g.Loft, program: Program, fold: bool) -> Bounds:
        z = np.array([s.z for s in shape.sections])
        given = np.array([[s.x, (s.back + s.front) / 2, s.half, (s.front - s.back) / 2, s.n] for s in shape.sections])
        cubics = PchipInterpolator(z, given)
        program.finest = min(program.finest, float(given[:, 2:4].min()))
        slopes = np.abs(cubics.derivative()(np.linspace(z[0], z[-1], 2000))).max(0)
        slopes = 1.01 * slopes + 1e-9  # between the places looked at
        intervals = np.column_stack([z[:-1], cubics.c.transpose(1, 2, 0).reshape(len(z) - 1, -1)])
        self._primitive(program, op.LOFT, fold, np.eye(4), len(z) - 1, z[0], z[-1], *slopes, *intervals.ravel())
        x, y, half, deep = given[:, :4].T
        low, high = ((x - half).min(), (y - deep).min(), z[0]), ((x + half).max(), (y + deep).max(), z[-1])
        return _fold(np.array([low, high]), fold)

    def _loops(self, shape: g.Loops, program: Program, fold: bool) -> Bounds:
        inner = Compiler(self.shapes, self.maps, 1.0, self.path, self.data).compile(shape.within)
        if not np.isfinite(inner.bounds).all():
            raise QsmbenchError(f"{self.path}: loops: within has no bounds; intersect it with an ellipsoid")
        paths = wind(
            tuple(inner.code),
            tuple(inner.parameters),
            tuple(map(tuple, inner.bounds)),
            (shape.spacing, shape.radius, shape.uneven, shape.seed),
            self.data,
        )
        if not paths:
            raise QsmbenchError(f"{self.path}: loops: there is no space for loops {shape.spacing:g} mm apart")
        boxes = []
        with program.inner():
            for path in paths:
                boxes.append(self._pipe(_curve(path, None), program, fold))
                if len(boxes) > 1:
                    program.add(op.UNION, 0)
        return np.stack([np.min([b[0] for b in boxes], 0), np.max([b[1] for b in boxes], 0)])

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
                program.add(op.INTERSECTION, shape.smooth)
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
                thickness = self._thickness(shape.of[0], other)
                program.finest = min(program.finest, thickness)
                self._emit(other, program, fold)
                is_sheet = np.isfinite(thickness) or self._sampled(other)
                program.add(op.DIFFERENCE, shape.smooth, self.step if is_sheet else op.NO_SHEET)
        return box

    def _thickness(self, outer: g.Shape, other: g.Shape) -> float:
        """Return the smallest feature of the sheet that is left of a shape or a part of it, mm; infinite for no sheet.

        A sheet lies between two offsets of a shape, or between two levels of a map. Of the latter, much of the volume
        is right without finer parts.
        """
        if isinstance(outer, g.FromMap) and isinstance(other, g.FromMap):
            if (outer.map, outer.width) != (other.map, other.width) or outer.level >= other.level:
                return np.inf
            return LEVELS * (other.level - outer.level) * (outer.width or self.step)
        found = _between_offsets(outer, other)
        if isinstance(outer, g.Reference) and outer.name in self.shapes:
            return min(found, self._thickness(self.shapes[outer.name], other))
        parts = outer.of if isinstance(outer, g.Joined | g.Intersection) else ()
        return min([found, *(self._thickness(part, other) for part in parts)])

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
        program.add(op.RIPPLE, shape.amplitude, shape.wavelength, float(fold), *self.frame[:3].ravel())
        program.finest = min(program.finest, shape.wavelength / 2)
        program.slack = max(program.slack, abs(shape.amplitude))
        return box + np.array([[-1], [1]]) * abs(shape.amplitude)

    def _rough(self, shape: g.Rough, program: Program, fold: bool) -> Bounds:
        with program.inner():
            box = self._emit(shape.of, program, fold)
        rng = generator(shape.seed)
        waves = rng.standard_normal((ROUGH_WAVES, 3))
        waves *= rng.uniform(0.6, 1.4, (ROUGH_WAVES, 1)) / np.linalg.norm(waves, axis=1, keepdims=True)
        phases = rng.uniform(0, 2 * np.pi, ROUGH_WAVES)
        height = shape.amplitude * np.sqrt(2 / ROUGH_WAVES)
        waves = 2 * np.pi / shape.wavelength * waves
        own = np.column_stack([waves @ self.frame[:3, :3], phases + waves @ self.frame[:3, 3]])
        program.add(op.ROUGH, height, ROUGH_WAVES, float(fold), *own.ravel())
        program.finest = min(program.finest, shape.wavelength / 2)
        highest = height * ROUGH_WAVES
        program.slack = max(program.slack, highest)
        return box + np.array([[-1], [1]]) * highest

    def _moved(self, shape: g.Moved, program: Program, fold: bool) -> Bounds:
        place = np.eye(4)
        place[:3, :3] = shape.scale * Rotation.from_euler("xyz", shape.rotate, degrees=True).as_matrix()
        if shape.flip:
            place = place @ FLIP
        place[:3, 3] = shape.by
        outer, step = self.frame, self.step
        self.frame, self.step = np.linalg.inv(place) @ outer, step / shape.scale
        if shape.scale == 1:
            box = self._emit(shape.of, program, fold)
        else:
            with program.inner():
                box = self._emit(shape.of, program, fold)
            program.add(op.SCALE, shape.scale)
        self.frame, self.step = outer, step
        return _fold(transform_box(np.clip(box, -1e9, 1e9), place), fold)

    def _ref(self, shape: g.Reference, program: Program, fold: bool) -> Bounds:
        if shape.name not in self.shapes:
            raise QsmbenchError(
                f"{self.path}: shape {shape.name!r} is unknown; choose from {', '.join(self.shapes) or 'none'}"
            )
        return self._emit(self.shapes[shape.name], program, fold)


def _between_offsets(outer: g.Shape, inner: g.Shape) -> float:
    """Return what is left of a shape around a smaller offset of itself, mm; infinite if they differ otherwise."""
    depths = []
    for shape in (outer, inner):
        depth = 0.0
        while isinstance(shape, g.Offset):
            depth, shape = depth - shape.by, shape.of
        depths.append((depth, shape))
    (begin, first), (end, second) = depths
    return end - begin if end > begin and first == second else np.inf


FLIP = np.diag([-1.0, 1, 1, 1])
"""Mirror image at x = 0."""


def _curve(points: np.ndarray, beads: g.Beads | None) -> np.ndarray:
    """Return points (n, 4) along a smooth curve through some points, narrowed by beads."""
    gaps = np.linalg.norm(np.diff(points[:, :3], axis=0), axis=1)
    along = np.concatenate([[0], np.cumsum(gaps)])
    spacing = FINENESS * points[:, 3].min()
    if beads is not None:
        spacing = min(spacing, beads.length / PER_BEAD)
    at = np.linspace(0, along[-1], max(2, round(along[-1] / spacing) + 1))
    curve = Akima1DInterpolator(along, points, method="makima")(at) if len(points) > 2 else None
    found = np.column_stack([np.interp(at, along, p) for p in points.T]) if curve is None else curve
    found[:, 3] = np.clip(found[:, 3], points[:, 3].min(), points[:, 3].max())
    if beads is not None:
        found[:, 3] -= beads.depth * (1 - np.abs(np.sin(np.pi * at / beads.length)))
    return found


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
