"""The field in a slab that covers part of the phantom: near sources on fine voxels, distant ones on coarse voxels."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import reduce
from itertools import product
from typing import Any, Protocol

import numpy as np

from qsmbench.grid import Grid
from qsmbench.phantom.properties import Properties
from qsmbench.scan.field import field_of

COARSE_MM = 1.0
"""Largest size of coarse voxels [mm], which are multiples of the fine ones; the error scales with its third power."""

MARGIN = 6
"""Margin of the fine box around the slab [coarse voxels]: no coarse source is closer."""

Box = tuple[slice, slice, slice]


class Body(Protocol):
    """An object with a grid of its own, which can be rendered on any grid: a phantom, at rest or displaced."""

    def grid(self) -> Grid:
        """Return the grid that contains it."""

    def render(self, grid: Grid, b0: float) -> Properties:
        """Render its properties on `grid` at `b0` [T]."""


def properties_and_field(phantom: Body, fine: Grid, b0: float) -> tuple[Properties, np.ndarray]:
    """Render the phantom on `fine`, and compute the field of the whole phantom.

    A grid that contains the phantom's box needs one convolution. Otherwise two levels are added: the exact field of the
    fine χ in a box somewhat larger than the grid, and the field of the coarse χ outside that box, with cubic
    interpolation, since it is smooth there.

    Args:
        phantom: the object.
        fine: grid of the sub-voxels.
        b0: T.

    Returns:
        properties on `fine`, and (nx, ny, nz) float32 ppm of B0.
    """
    own = _corners(phantom.grid(), fine)
    if np.all(own.min(0) > -1) and np.all(own.max(0) < np.array(fine.shape) + 1):  # but for a rounded voxel
        properties = phantom.render(fine, b0)
        return properties, field_of(properties.chi, fine, ambient=properties.ambient_chi)
    levels = _levels(fine, own)
    near = phantom.render(levels.box, b0)
    field = field_of(near.chi, levels.box, ambient=near.ambient_chi)[levels.slab]
    properties = _crop(near, levels.slab, fine)
    del near
    far = phantom.render(levels.coarse, b0)
    chi = far.chi
    chi[levels.hole] = far.ambient_chi
    outside = field_of(chi, levels.coarse, ambient=far.ambient_chi)[levels.hole]
    return properties, field + _refine(outside, levels.step, levels.slab)


@dataclass(frozen=True)
class _Levels:
    """`box`: the fine grid with its margin, which contains `slab`; `coarse`: the whole, in which the box is `hole`."""

    box: Grid
    slab: Box
    coarse: Grid
    hole: Box
    step: tuple[int, int, int]


def _corners(grid: Grid, fine: Grid) -> np.ndarray:
    """Return the corners of `grid`'s box as places between the voxels of `fine`, (8, 3): 0 … shape in it."""
    ends = np.array(list(product(*((-0.5, n - 0.5) for n in grid.shape))))
    world = ends @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    return np.linalg.solve(fine.affine[:3, :3], (world - fine.affine[:3, 3]).T).T + 0.5


def _levels(fine: Grid, own: np.ndarray) -> _Levels:
    step = np.maximum(np.floor(COARSE_MM / np.array(fine.voxel_size) + 1e-6), 1).astype(int)
    shape = np.array(fine.shape)
    before = MARGIN * step
    in_box = -(-(shape + before) // step) + MARGIN  # coarse voxels of the box
    box = fine.part(-before, in_box * step)
    slab = _slices(before, shape)
    # whole coarse voxels on either side, until the phantom's own box is covered
    below = np.maximum(np.ceil((-own.min(0) - before) / step), 0).astype(int)
    above = np.maximum(np.ceil((own.max(0) + before) / step) - in_box, 0).astype(int)
    coarse = _coarsen(box, step).part(-below, below + in_box + above)
    sx, sy, sz = (int(s) for s in step)
    return _Levels(box, slab, coarse, _slices(below, in_box), (sx, sy, sz))


def _slices(start: np.ndarray, length: np.ndarray) -> Box:
    x, y, z = (slice(int(a), int(a + n)) for a, n in zip(start, length, strict=True))
    return x, y, z


def _coarsen(grid: Grid, step: np.ndarray) -> Grid:
    """Return the grid whose voxels are `step` of `grid`'s along each axis."""
    affine = grid.affine.copy()
    affine[:3, :3] = grid.affine[:3, :3] * step
    affine[:3, 3] = grid.affine[:3, 3] + grid.affine[:3, :3] @ ((step - 1) / 2)
    nx, ny, nz = (int(n) for n in np.array(grid.shape) // step)
    dx, dy, dz = (float(d) for d in np.array(grid.voxel_size) * step)
    return Grid((nx, ny, nz), (dx, dy, dz), grid.b0_dir, affine)


def _crop(properties: Properties, box: Box, grid: Grid) -> Properties:
    """Return the properties in a box, on its grid."""
    values = {f.name: getattr(properties, f.name) for f in fields(properties)}
    cut: dict[str, Any] = {k: np.ascontiguousarray(v[box]) for k, v in values.items() if isinstance(v, np.ndarray)}
    return replace(properties, grid=grid, **cut)


def _refine(volume: np.ndarray, step: tuple[int, int, int], box: Box) -> np.ndarray:
    """Interpolate `volume` on voxels `step` times smaller, in a `box` of these, by cubics through four neighbours."""
    for axis, (n, part) in enumerate(zip(step, box, strict=True)):
        place = (np.arange(part.start, part.stop) + 0.5) / n - 0.5
        first = np.floor(place).astype(int) - 1
        t = place - first - 1  # 0…1 between the second and the third neighbour
        inner = (t + 1) * (t - 1) * (t - 2) / 2, -(t + 1) * t * (t - 2) / 2
        weights = (-t * (t - 1) * (t - 2) / 6, *inner, (t + 1) * t * (t - 1) / 6)
        shape = [1, 1, 1]
        shape[axis] = -1
        parts = (np.take(volume, first + i, axis) * w.astype(np.float32).reshape(shape) for i, w in enumerate(weights))
        volume = reduce(np.add, parts)
    return volume
