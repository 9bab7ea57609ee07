"""A smooth displacement that gives the parts of a head their volumes.

Where a part is to grow, the map from world to template must contract. The displacement that does so is the gradient of
a potential whose Laplacian is the logarithm of the volume's change in each part (as in simulations of atrophy: Karaçali
2006, doi:10.1109/TMI.2006.873221). Small displacements follow one another until all volumes are right, so that nothing
folds; what lies between the parts gives way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage

from qsmbench.compiled import compiled
from qsmbench.phantom.lookup import cell

ROUNDS = 40
"""Most corrections of the volumes."""

CLOSE = 0.01
"""Largest relative error of a volume that is not corrected further."""

STEP = 0.35
"""Largest change of the logarithm of a volume in one correction."""


@dataclass(frozen=True)
class Parts:
    """Parts of a template, and the volumes that they are to have.

    Attributes:
        which: (nx, ny, nz) uint8, number of the part that each voxel belongs to; 0: none.
        to_index: (3, 4) float64, template mm → voxel index in `which`; its axes are those of the world.
        volumes: (n,) mm³, of each part from 1 on; 0 and what is not a part of its own have nan.
    """

    which: np.ndarray
    to_index: np.ndarray
    volumes: np.ndarray


@compiled()
def _sample(moved, origin, spacing, which, to_index, values, shares, field):
    # the share of each part about each point, summed up over all points, and the mean of the parts' `values` there
    nx, ny, nz = which.shape
    flat = which.ravel()
    for i in range(field.shape[0]):
        for j in range(field.shape[1]):
            for k in range(field.shape[2]):
                x = origin[0] + spacing * i + moved[0, i, j, k]
                y = origin[1] + spacing * j + moved[1, i, j, k]
                z = origin[2] + spacing * k + moved[2, i, j, k]
                u = to_index[0, 0] * x + to_index[0, 3]
                v = to_index[1, 1] * y + to_index[1, 3]
                w = to_index[2, 2] * z + to_index[2, 3]
                s, a, b, c = cell(nx, ny, nz, u, v, w)
                total = 0.0
                for corner in range(8):
                    p, q, r = corner // 4, corner // 2 % 2, corner % 2
                    share = (a if p else 1 - a) * (b if q else 1 - b) * (c if r else 1 - c)
                    part = flat[s + (p * ny + q) * nz + r]
                    shares[part] += share
                    total += share * values[part]
                field[i, j, k] = total


def reach(moved: np.ndarray, origin: np.ndarray, spacing: float, parts: Parts) -> None:
    """Change a displacement so that each part has its volume, in place.

    Args:
        moved: (3, nx, ny, nz) mm, template − world, on a lattice.
        origin: (3,) world mm of the lattice's first point.
        spacing: mm between its points.
        parts: of the template.
    """
    field = np.zeros(moved.shape[1:])
    wanted = np.isfinite(parts.volumes)
    for _ in range(ROUNDS):
        shares = np.zeros(len(parts.volumes))
        _sample(moved, origin, spacing, parts.which, parts.to_index, shares.copy(), shares, field)
        growth = np.zeros(len(shares))
        growth[wanted] = np.log(parts.volumes[wanted] / np.maximum(shares[wanted] * spacing**3, spacing**3))
        if np.abs(growth).max() < CLOSE:
            break
        _sample(moved, origin, spacing, parts.which, parts.to_index, -np.clip(growth, -STEP, STEP), shares, field)
        moved[:] = _after(_gradient(field, spacing), moved, spacing)


def _after(first: np.ndarray, then: np.ndarray, spacing: float) -> np.ndarray:
    """Return the displacement of one map followed by another, (3, …) mm; small ones that do not fold stay so."""
    places = np.indices(first.shape[1:]) + first / spacing
    return first + np.stack([ndimage.map_coordinates(t, places, order=1, mode="nearest") for t in then])


def _gradient(source: np.ndarray, spacing: float) -> np.ndarray:
    """Return the gradient of the potential whose Laplacian is `source` less its mean; no flow through the faces."""
    x, y, z = (2 * (np.cos(np.pi * np.arange(n) / n) - 1) / spacing**2 for n in source.shape)
    laplacian = x[:, None, None] + y[:, None] + z
    laplacian[0, 0, 0] = 1
    potential = fft.dctn(source, type=2, norm="ortho", overwrite_x=False) / laplacian
    potential[0, 0, 0] = 0
    potential = fft.idctn(potential, type=2, norm="ortho", overwrite_x=True)
    return np.stack(np.gradient(potential, spacing))
