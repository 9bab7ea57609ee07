"""The centre line of a mask of veins, its direction, and the local calibre of the veins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree
from skimage.morphology import skeletonize

from qsmbench.grid import Grid

NEAR = 3.5
"""Half the length of a centre line that direction and calibre are taken from, in voxels."""


@dataclass(frozen=True)
class CentreLine:
    """The centre line of veins.

    Attributes:
        voxels: (n, 3) int, indices, in an order that does not depend on how the axes are stored.
        direction: (n, 3) unit vectors in array axes; their sign is arbitrary.
        radius: (n,) mm, of a cylinder with the volume of the mask around.
        nearest: (n_voxels,) index of the point nearest to each voxel of the mask, in the order of `np.argwhere`.
    """

    voxels: np.ndarray
    direction: np.ndarray
    radius: np.ndarray
    nearest: np.ndarray

    def __len__(self) -> int:
        return len(self.voxels)


def skeleton(vein: np.ndarray, grid: Grid) -> np.ndarray:
    """Thin a mask to its centre lines, (nx, ny, nz) bool.

    Thinning takes voxels off in the order of the axes. They are ordered by B0 and the voxel size before, so that the
    result does not depend on how the axes are stored. A mask that vanishes on the way keeps the voxel at its centre.

    Reference:
        Lee 1994, doi:10.1006/cgip.1994.1042, by scikit-image.
    """
    if not vein.any():
        return np.zeros(vein.shape, bool)
    order, flipped = _ordered_axes(vein, grid)
    turned = np.ascontiguousarray(np.flip(vein, flipped).transpose(order))
    thin = skeletonize(np.pad(turned, 1))[1:-1, 1:-1, 1:-1] != 0
    thin = np.flip(thin.transpose(np.argsort(order)), flipped).copy()
    if not thin.any():
        inside = np.argwhere(vein)
        thin[tuple(inside[((inside - inside.mean(0)) ** 2).sum(1).argmin()])] = True
    return thin


def _ordered_axes(vein: np.ndarray, grid: Grid) -> tuple[list[int], tuple[int, ...]]:
    """Return the axes in an order that does not depend on how they are stored, and those to flip."""
    extent = [np.ptp(np.flatnonzero(vein.any(axis=tuple(b for b in range(3) if b != a)))) for a in range(3)]
    order = sorted(range(3), key=lambda a: (-round(abs(grid.b0_dir[a]), 6), grid.voxel_size[a], extent[a]))
    return order, tuple(a for a in range(3) if grid.b0_dir[a] < -1e-6)


def centre_line(vein: np.ndarray, grid: Grid) -> CentreLine:
    """Compute the centre line of a mask of veins.

    The direction is that of the largest variance of the points nearby; the radius follows from the volume of the mask
    that is nearest to these points, and the length that they span.

    Args:
        vein: (nx, ny, nz) bool.
        grid: voxel size.
    """
    size = np.array(grid.voxel_size)
    edge = float(np.prod(size) ** (1 / 3))
    if not vein.any():
        return CentreLine(np.zeros((0, 3), int), np.zeros((0, 3)), np.zeros(0), np.zeros(0, int))
    voxels = np.argwhere(skeleton(vein, grid))
    order, flipped = _ordered_axes(vein, grid)
    signs = np.where(np.isin(range(3), flipped), -1, 1)
    voxels = voxels[np.lexsort((voxels * signs)[:, order[::-1]].T)]
    places = voxels * size
    tree = cKDTree(places)
    nearest = tree.query(np.argwhere(vein) * size)[1]
    volume = np.bincount(nearest, minlength=len(voxels)) * grid.voxel_volume
    direction, radius = np.zeros((len(voxels), 3)), np.zeros(len(voxels))
    for i, around in enumerate(tree.query_ball_point(places, NEAR * edge)):
        offsets = places[around] - places[around].mean(0)
        direction[i] = np.linalg.eigh(offsets.T @ offsets)[1][:, 2] if len(around) > 1 else grid.b0_dir
        along = offsets @ direction[i]
        length = along.max() - along.min() + edge
        radius[i] = np.sqrt(volume[around].sum() / (np.pi * length))
    return CentreLine(voxels, direction, radius, nearest)
