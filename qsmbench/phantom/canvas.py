"""What is painted on: the maps of one rendering, and how a shape is laid on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
from numba import config, set_num_threads

from qsmbench.grid import Grid
from qsmbench.ops.threads import n_threads
from qsmbench.phantom.paint import paint
from qsmbench.phantom.shapes import Program

MOST_PARTS = 8
"""A voxel is cut into at most this many parts along each axis."""

FINEST_PART = 0.3
"""Longest part as a share of the smallest feature of the shape, such as a radius."""


@dataclass(frozen=True)
class Shell:
    """A filling.

    Attributes:
        depth: mm below the shape's surface where it begins.
        amount: share of the space that it takes, 0–1.
        values: (c,), what the canvas's maps hold in it.
        label: index of its region.
    """

    depth: float
    amount: float
    values: np.ndarray
    label: int


@dataclass(frozen=True)
class Canvas:
    """Maps that are being painted.

    Attributes:
        grid: where the voxels lie.
        stack: (c, nx, ny, nz) float32, the maps.
        weight: (nx, ny, nz) float32, share of the voxel that its label fills.
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
        """A canvas filled with `background`, (c,), and label 0."""
        stack = np.empty((len(background), *grid.shape), np.float32)
        for volume, value in zip(stack, background, strict=True):
            volume[...] = value
        return cls(grid, stack, np.ones(grid.shape, np.float32), np.zeros(grid.shape, np.uint8), data)

    def lay(self, compile_at: Callable[[float], Program], shells: list[Shell]) -> None:
        """Paint a shape, filled with `shells` in order of depth.

        Args:
            compile_at: gives the shape's program for a width [mm] of the ramp of partial volume.
            shells: the first begins at the surface.
        """
        size = np.array(self.grid.voxel_size)
        # enough parts to resolve the smallest feature, and none much longer than the shortest edge
        part = min(FINEST_PART * compile_at(size.min()).finest, 1.5 * size.min())
        fine = np.clip(np.ceil(size / part - 1e-6), 1, MOST_PARTS).astype(np.int64)
        step = float(np.prod(size / fine) ** (1 / 3))
        program = compile_at(step)
        start, stop = self._box(program)
        if (start >= stop).any():
            return
        # a parallel loop of numba's own, since it compiles to code 1.7 times as fast as the same loop over planes
        set_num_threads(min(n_threads(), config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]
        paint(
            np.array(program.code, np.int64),
            np.array(program.parameters),
            self.data,
            self.grid.affine,
            start,
            stop,
            fine,
            step,
            program.slack,
            np.array([float(s.depth) for s in shells]),
            np.array([float(s.amount) for s in shells]),
            np.array([s.values for s in shells], np.float32),
            np.array([s.label for s in shells], np.uint8),
            self.stack,
            self.weight,
            self.labels,
        )

    def _box(self, program: Program) -> tuple[np.ndarray, np.ndarray]:
        """First voxel and one past the last that the shape may touch."""
        margin = max(self.grid.voxel_size)
        bounds = np.clip(program.bounds + np.array([[-margin], [margin]]), -1e6, 1e6)
        corners = np.array([[*corner, 1.0] for corner in product(*bounds.T)])
        index = (corners @ np.linalg.inv(self.grid.affine).T)[:, :3]
        start = np.clip(np.floor(index.min(0)), 0, self.grid.shape)
        stop = np.clip(np.ceil(index.max(0)) + 1, 0, self.grid.shape)
        return start.astype(np.int64), stop.astype(np.int64)
