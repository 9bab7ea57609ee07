"""Masks in millimetres: thresholds, erosion, closing, and the clean-up of a thresholded volume."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

from qsmbench.errors import NotApplicable, QsmbenchError
from qsmbench.grid import Grid
from qsmbench.ops.arrays.array import namespace

_BINS = 256


def depth(mask: np.ndarray, grid: Grid) -> np.ndarray:
    """Compute the distance of each voxel in a mask to the nearest voxel outside, centre to centre.

    Args:
        mask: (nx, ny, nz) bool; it ends where the grid does.
        grid: voxel size.

    Returns:
        (nx, ny, nz) float64, mm, zero outside the mask.
    """
    return ndimage.distance_transform_edt(np.pad(mask, 1), sampling=grid.voxel_size)[1:-1, 1:-1, 1:-1]


def erode(mask: np.ndarray, grid: Grid, radius: float) -> np.ndarray:
    """Erode a mask by a ball: keep the voxels further than the radius from the centre of any voxel outside.

    Args:
        mask: (nx, ny, nz) bool; it ends where the grid does.
        grid: voxel size.
        radius: mm.

    Returns:
        (nx, ny, nz) bool.
    """
    return depth(mask, grid) > radius * (1 + 1e-6)


def close_gaps(mask: np.ndarray, grid: Grid, radius: float) -> np.ndarray:
    """Close a mask: fill the gaps that are too narrow for a ball.

    Args:
        mask: (nx, ny, nz) bool; extended beyond the grid by its border values.
        grid: voxel size.
        radius: of the ball, mm.

    Returns:
        (nx, ny, nz) bool.
    """
    width = [int(np.ceil(2 * radius / d)) + 1 for d in grid.voxel_size]
    padded = np.pad(mask, [(w, w) for w in width], mode="edge")
    limit = radius * (1 + 1e-6)
    grown = ndimage.distance_transform_edt(~padded, sampling=grid.voxel_size) <= limit
    shrunk = grown if grown.all() else ndimage.distance_transform_edt(grown, sampling=grid.voxel_size) > limit
    return shrunk[tuple(slice(w, -w) for w in width)]


def largest_in_each(voxels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Keep the largest connected part of the `voxels` in each connected part of `mask`: (nx, ny, nz) bool."""
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
    """Compute the threshold that splits `values` into two classes with the largest variance between them.

    Args:
        values: of any shape.

    Returns:
        in the unit of `values`.

    Reference:
        Otsu 1979, doi:10.1109/TSMC.1979.4310076.
    """
    counts, edges = np.histogram(values, _BINS)
    centres = (edges[:-1] + edges[1:]) / 2
    below, moment = np.cumsum(counts), np.cumsum(counts * centres)
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (moment / below - (moment[-1] - moment) / above) ** 2
    best = np.flatnonzero(between == np.nanmax(between))
    return float(edges[1:][best].mean())  # the middle of a gap, if nothing lies between the classes


def above_threshold(values: np.ndarray, threshold: float | str, maximum: float, method: str) -> np.ndarray:
    """Return where `values` are above a threshold.

    Args:
        values: any shape.
        threshold: "otsu", or a fraction of `maximum`.
        maximum: in the unit of `values`.
        method: named in the message.

    Raises:
        QsmbenchError: the threshold is invalid.
    """
    if threshold == "otsu":
        return values > otsu(values)
    if isinstance(threshold, str) or not 0 <= threshold < 1:
        raise QsmbenchError(f"{method}: threshold is {threshold!r}; choose otsu or a fraction from 0 to 1")
    return values > threshold * maximum


def clean_up(voxels: np.ndarray, mask: np.ndarray, grid: Grid, opening: float, closing: float) -> np.ndarray:
    """Make a mask without holes from thresholded voxels.

    Bridges and specks are removed, gaps are closed, holes are filled, and the largest part remains in each connected
    part of `mask`.

    Args:
        voxels: (nx, ny, nz) bool, above the threshold.
        mask: (nx, ny, nz) bool, which limits the result.
        grid: voxel size.
        opening: radius of the ball for opening, which removes bridges and specks, mm.
        closing: radius of the ball for closing, which fills gaps, mm.

    Returns:
        (nx, ny, nz) bool.

    Raises:
        NotApplicable: nothing remains.
    """
    if opening > 0:
        core = erode(voxels, grid, opening)
        near_core = ndimage.distance_transform_edt(~core, sampling=grid.voxel_size) <= opening * (1 + 1e-6)
        voxels = voxels & near_core if core.any() else core
    if closing > 0 and voxels.any():
        voxels = close_gaps(voxels, grid, closing)
    found = largest_in_each(ndimage.binary_fill_holes(voxels), mask)
    if not found.any():
        raise NotApplicable("no voxel of the mask lies above the threshold")
    return found


def without_boundary(mask: Any) -> Any:
    """Return the voxels of a mask whose six neighbours are in it.

    Args:
        mask: (nx, ny, nz) bool, on a cyclic grid, at least one voxel away from its copies.

    Returns:
        (nx, ny, nz) bool.
    """
    xp = namespace(mask)
    inner = mask
    for axis in range(3):
        inner = inner & xp.roll(mask, 1, axis=axis) & xp.roll(mask, -1, axis=axis)
    return inner
