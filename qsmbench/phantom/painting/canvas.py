"""The maps of one rendering, and the painting of a shape on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from qsmbench.grid import Grid
from qsmbench.phantom.description.sources import Amounts, Effect, Factors
from qsmbench.phantom.painting.boxes import transform_box
from qsmbench.phantom.painting.paint import affect, affect_shares, n_columns, paint, paint_shares
from qsmbench.phantom.painting.shapes import Program
from qsmbench.phantom.warp import NO_WARP, Warp
from qsmbench.threads import over_planes

Compile = Callable[[float], Program]
"""Function that returns a shape's program for a width [mm] of the partial-volume ramp."""

MOST_PARTS, MOST_PARTS_OF_A_SOURCE = 8, 64
"""Largest number of sub-voxels along each axis; more for compact shapes, and for sources, whose dose is stated."""

EVEN = np.array([0.0, 0.0, 0.0, 1.0])
"""The ramp of a uniform effect."""

FINEST_PART, FINEST_PART_OF_A_BALL = 0.3, 0.15
"""Largest sub-voxel size relative to the smallest feature of the shape, such as a radius."""


@dataclass(frozen=True)
class Shell:
    """A filling.

    Attributes:
        depth: mm below the shape's surface where it begins.
        amount: volume fraction that it takes, 0–1.
        values: (c,), what the canvas's maps hold in it.
        label: index of its region.
    """

    depth: float
    amount: float
    values: np.ndarray
    label: int


@dataclass(frozen=True)
class Part:
    """A part of each of some voxels.

    Attributes:
        at: (n,) indices of the voxels in the flattened volume.
        share: (n,) float32, share of the voxel that it fills, above 0.
    """

    at: np.ndarray
    share: np.ndarray


@dataclass(frozen=True)
class Canvas:
    """Maps to paint on.

    Attributes:
        grid: voxel grid.
        stack: (c, nx, ny, nz) float32, the maps.
        weight: (nx, ny, nz) float32, fraction of the voxel that its label fills.
        labels: (nx, ny, nz) uint8, the region that fills most of the voxel.
        data: (k,) float32, the maps that shapes sample, one after the other.
    """

    grid: Grid
    stack: np.ndarray
    weight: np.ndarray
    labels: np.ndarray
    data: np.ndarray

    @classmethod
    def blank(cls, grid: Grid, background: np.ndarray, data: np.ndarray) -> Canvas:
        """Return a canvas of one material, with label 0.

        Args:
            grid: voxel grid.
            background: (c,), what the maps hold.
            data: (k,) float32, the maps that shapes sample, one after the other.
        """
        # a map of zeros takes no memory until it is painted on, as that of fat in an object without fat
        stack = np.zeros((len(background), *grid.shape), np.float32)
        for volume, value in zip(stack, background, strict=True):
            if value != 0:
                volume[...] = value
        return cls(grid, stack, np.ones(grid.shape, np.float32), np.zeros(grid.shape, np.uint8), data)

    def paint_shape(
        self, compile_at: Compile, shells: list[Shell], warp: Warp = NO_WARP, most_parts: int | None = None
    ) -> None:
        """Paint a shape, filled with `shells` in order of depth; the first begins at the surface.

        Args:
            compile_at: returns the shape's program.
            shells: fillings of the shape.
            warp: map to the space of the shape.
            most_parts: largest number of sub-voxels along each axis; by default as the shape's features require.
        """
        if (shared := self._arguments(compile_at, warp, most_parts)) is not None:
            depths, amounts = (np.array([float(getattr(s, a)) for s in shells]) for a in ("depth", "amount"))
            values = np.array([s.values for s in shells], np.float32)
            labels = np.array([s.label for s in shells], np.uint8)
            over_planes(paint, *shared, depths, amounts, values, labels, self.stack, self.weight, self.labels)

    def paint_share(self, share: np.ndarray, filling: Shell) -> None:
        """Paint a share of each voxel, (nx, ny, nz) float32; the depth of the filling is ignored."""
        values = np.array(filling.values, np.float32)
        maps = (self.stack, self.weight, self.labels)
        over_planes(paint_shares, len(share), share, filling.amount, values, filling.label, *maps)

    def change_part(self, part: Part, before: np.ndarray, after: np.ndarray) -> None:
        """Change the maps in a part of each voxel, from `before`, (c,), to `after`, (c, n)."""
        for volume, old, new in zip(self.stack, before, after, strict=True):
            if (new != old).any():  # a map that stays zero takes no memory
                values = volume.reshape(-1)
                mixed = np.maximum(values[part.at] + part.share * (new - old), 0)
                values[part.at] = np.where(part.share == 1, new, mixed)

    def mark_part(self, part: Part, fraction: np.ndarray, within: list[int], label: int) -> None:
        """Label the voxels of which a fraction of a part fills the most.

        Args:
            part: of each voxel.
            fraction: (n,) float32, of the part, 0–1.
            within: labels of what fills the part.
            label: of the fraction.
        """
        labels, weight = self.labels.reshape(-1), self.weight.reshape(-1)
        before, filled = labels[part.at], part.share * fraction
        rest = weight[part.at] * np.where(np.isin(before, within), 1 - fraction, np.float32(1))
        most = (fraction > 0) & (filled >= rest)
        labels[part.at[most]] = label
        weight[part.at] = np.where(before == label, rest + filled, np.where(most, filled, rest))

    def apply_effect(
        self, compile_at: Compile, effect: Effect, label: int, ramp: np.ndarray = EVEN, warp: Warp = NO_WARP
    ) -> None:
        """Change the properties inside a shape.

        Args:
            compile_at: returns the shape's program.
            effect: full effect inside the shape.
            label: of the region that it creates; 0: labels are not changed.
            ramp: (4,) strength n·x + o at world x [mm], clipped to 0–1.
            warp: map to the space of the shape.
        """
        if (shared := self._arguments(compile_at, warp, MOST_PARTS_OF_A_SOURCE)) is not None:
            over_planes(affect, *shared, ramp, *_numbers(effect), label, self.stack, self.weight, self.labels)

    def apply_effect_to_share(self, share: np.ndarray, effect: Effect, label: int, ramp: np.ndarray = EVEN) -> None:
        """Change the properties of a share of each voxel, (nx, ny, nz) float32, instead of a shape."""
        maps = (self.stack, self.weight, self.labels)
        over_planes(affect_shares, len(share), share, self.grid.affine, ramp, *_numbers(effect), label, *maps)

    def _arguments(self, compile_at: Compile, warp: Warp, most_parts: int | None = None) -> Any | None:
        """Return the number of columns of a shape and the common arguments of both loops; None if it is outside."""
        size = np.array(self.grid.voxel_size)
        # enough parts to resolve the smallest feature, and none much longer than the shortest edge
        rough = compile_at(size.min())
        ball = float(np.ptp(rough.bounds, axis=0).max()) <= 6 * rough.finest
        finest, most = (FINEST_PART_OF_A_BALL, MOST_PARTS_OF_A_SOURCE) if ball else (FINEST_PART, MOST_PARTS)
        part = min(finest * rough.finest, 1.5 * size.min())
        fine = np.clip(np.ceil(size / part - 1e-6), 1, most_parts or most).astype(np.int64)
        step = float(np.prod(size / fine) ** (1 / 3))
        program = compile_at(step)
        start, stop = self._box(program, warp.farthest)
        if (start >= stop).any():
            return None
        return (
            n_columns(start, stop),
            np.array(program.code, np.int64),
            np.array(program.parameters),
            self.data,
            self.grid.affine,
            warp.displacement.ravel(),
            warp.to_index,
            start,
            stop,
            fine,
            step,
            program.slack,
        )

    def _box(self, program: Program, farthest: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the first voxel and one past the last that the shape may touch, moved by at most `farthest` mm."""
        margin = max(self.grid.voxel_size) + farthest
        bounds = np.clip(program.bounds + np.array([[-margin], [margin]]), -1e6, 1e6)
        low, high = transform_box(bounds, np.linalg.inv(self.grid.affine))
        start = np.clip(np.floor(low), 0, self.grid.shape)
        stop = np.clip(np.ceil(high) + 1, 0, self.grid.shape)
        return start.astype(np.int64), stop.astype(np.int64)


def _numbers(effect: Effect) -> tuple[Factors, Amounts, float]:
    """Return the parts of an effect as the loops take them."""
    factors, amounts = np.array(effect.factors, np.float32), np.array(effect.amounts, np.float32)
    return Factors(*factors), Amounts(*amounts), float(effect.relaxivity)
