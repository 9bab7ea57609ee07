"""Masks in millimetres: thresholds, erosion by a ball, and what makes a mask of scattered voxels."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

from qsmbench.errors import NotApplicable, QsmbenchError
from qsmbench.grid import Grid
from qsmbench.ops.arrays.array import namespace

_BINS = 256


def depth(mask: np.ndarray, grid: Grid) -> np.ndarray:
    """Distance of each voxel in the mask from the next voxel outside, middle to middle [mm]; zero outside.

    What lies beyond the grid is outside.
    """
    return ndimage.distance_transform_edt(np.pad(mask, 1), sampling=grid.voxel_size)[1:-1, 1:-1, 1:-1]


def erode(mask: np.ndarray, grid: Grid, radius: float) -> np.ndarray:
    """Voxels around which a ball of `radius` [mm] meets no voxel's middle outside the mask: (nx, ny, nz) bool."""
    return depth(mask, grid) > radius * (1 + 1e-6)


def close_gaps(mask: np.ndarray, grid: Grid, radius: float) -> np.ndarray:
    """The mask with gaps filled that no ball of `radius` [mm] fits into: (nx, ny, nz) bool.

    Beyond the grid it goes on as at its border.
    """
    width = [int(np.ceil(2 * radius / d)) + 1 for d in grid.voxel_size]
    room = np.pad(mask, [(w, w) for w in width], mode="edge")
    limit = radius * (1 + 1e-6)
    grown = ndimage.distance_transform_edt(~room, sampling=grid.voxel_size) <= limit
    shrunk = grown if grown.all() else ndimage.distance_transform_edt(grown, sampling=grid.voxel_size) > limit
    return shrunk[tuple(slice(w, -w) for w in width)]


def largest_in_each(voxels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Of the `voxels` in each connected part of `mask`, the largest connected part: (nx, ny, nz) bool."""
    voxels = voxels & mask
    regions, _ = ndimage.label(mask)
    parts, count = ndimage.label(voxels)
    size = np.bincount(parts.ravel(), minlength=count + 1)
    region = np.zeros(count + 1, int)
    region[parts.ravel()] = regions.ravel()
    size[0] = region[0] = 0
    largest = np.zeros(int(region.max()) + 1, int)
    # parts in the order of their size, so that the largest of a region comes last
    for part in np.argsort(size, kind="stable"):
        largest[region[part]] = part
    return voxels & (parts == largest[region][parts])


def otsu(values: np.ndarray) -> float:
    """The threshold that parts `values` into two classes of the largest variance between them.

    Args:
        values: of any shape.

    Returns:
        in the unit of `values`.

    Reference:
        Otsu 1979, doi:10.1109/TSMC.1979.4310076.
    """
    counts, edges = np.histogram(values, _BINS)
    middles = (edges[:-1] + edges[1:]) / 2
    below, moment = np.cumsum(counts), np.cumsum(counts * middles)
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (moment / below - (moment[-1] - moment) / above) ** 2
    best = np.flatnonzero(between == np.nanmax(between))
    return float(edges[1:][best].mean())  # the middle of a gap, if nothing lies between the classes


def above_threshold(values: np.ndarray, threshold: float | str, maximum: float, method: str) -> np.ndarray:
    """Where `values` lie above a threshold.

    Args:
        values: (nx, ny, nz).
        threshold: "otsu", or a fraction of `maximum`.
        maximum: unit of `values`.
        method: whose setting it is, for the message.

    Raises:
        QsmbenchError: the threshold is neither.
    """
    if threshold == "otsu":
        return values > otsu(values)
    if isinstance(threshold, str) or not 0 <= threshold < 1:
        raise QsmbenchError(f"{method}: threshold is {threshold!r}; legal are otsu and fractions from 0 to 1")
    return values > threshold * maximum


def clean_up(voxels: np.ndarray, mask: np.ndarray, grid: Grid, opening: float, closing: float) -> np.ndarray:
    """A mask without holes from the `voxels` that a threshold gave, within `mask`.

    Bridges and specks that a ball of `opening` [mm] does not fit into go, gaps that a ball of `closing` [mm] does not
    fit into are closed, holes are filled, and the largest part remains in each connected part of `mask`.

    Raises:
        NotApplicable: nothing remains.
    """
    if opening > 0:
        core = erode(voxels, grid, opening)
        reach = ndimage.distance_transform_edt(~core, sampling=grid.voxel_size) <= opening * (1 + 1e-6)
        voxels = voxels & reach if core.any() else core
    if closing > 0 and voxels.any():
        voxels = close_gaps(voxels, grid, closing)
    found = largest_in_each(ndimage.binary_fill_holes(voxels), mask)
    if not found.any():
        raise NotApplicable("no voxel of the mask lies above the threshold")
    return found


def without_boundary(mask: Any) -> Any:
    """The voxels of a mask whose six neighbours are in it.

    Args:
        mask: (nx, ny, nz) bool, on a cyclic grid: at least one voxel off its copies.

    Returns:
        (nx, ny, nz) bool.
    """
    xp = namespace(mask)
    inner = mask
    for axis in range(3):
        inner = inner & xp.roll(mask, 1, axis=axis) & xp.roll(mask, -1, axis=axis)
    return inner
