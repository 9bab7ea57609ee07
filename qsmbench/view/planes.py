"""Planes of a volume as a radiologist sees them."""

from __future__ import annotations

import numpy as np

from qsmbench.grid import Grid

Centre = tuple[int, int, int]


def default_centre(mask: np.ndarray, grid: Grid) -> Centre:
    """The voxel through which the planes go: the middle of the mask's box, moved to the right by an eighth of it.

    In a head these planes meet the deep grey nuclei, which the midline misses.
    """
    low, high = _bounds(_ras(mask, grid))
    point = (low + high) / 2
    point[0] += (high[0] - low[0]) / 8
    # back from the axes of the patient to those of the array
    flip, order = _signs(grid), _axes(grid)
    index = np.empty(3, int)
    for ras, axis in enumerate(order):
        i = int(point[ras])
        index[axis] = i if flip[ras] else grid.shape[axis] - 1 - i
    return int(index[0]), int(index[1]), int(index[2])


def _axes(grid: Grid) -> list[int]:
    """The array axis that runs closest to the patient's left–right, posterior–anterior and inferior–superior."""
    from nibabel.orientations import io_orientation

    runs_along = io_orientation(grid.affine)[:, 0].astype(int).tolist()
    return [runs_along.index(direction) for direction in range(3)]


def _signs(grid: Grid) -> list[bool]:
    """Whether that array axis grows towards right, anterior, superior."""
    from nibabel.orientations import io_orientation

    signs = io_orientation(grid.affine)[:, 1]
    return [bool(signs[axis] > 0) for axis in _axes(grid)]


def _ras(volume: np.ndarray, grid: Grid) -> np.ndarray:
    """The volume with axes that grow towards the patient's right, anterior, superior."""
    turned = volume.transpose(_axes(grid))
    flips = tuple(slice(None) if grows else slice(None, None, -1) for grows in _signs(grid))
    return turned[flips]


def _to_ras(index: np.ndarray, grid: Grid) -> np.ndarray:
    """The voxel `index` of the array, counted along the axes of the patient."""
    pairs = zip(_axes(grid), _signs(grid), strict=True)
    return np.array([index[a] if grows else grid.shape[a] - 1 - index[a] for a, grows in pairs])


def _bounds(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last index of the mask along each axis."""
    hits = [np.flatnonzero(mask.any(axis=tuple(b for b in range(3) if b != a))) for a in range(3)]
    return np.array([h[0] for h in hits]), np.array([h[-1] for h in hits])
