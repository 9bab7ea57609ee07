"""A small head with known fields, on anisotropic voxels under an oblique B0."""

from dataclasses import dataclass

import numpy as np
import oracles
import pytest

from qsmbench.grid import Grid


@dataclass(frozen=True)
class Head:
    grid: Grid
    mask: np.ndarray
    chi: np.ndarray
    local_field: np.ndarray
    background: np.ndarray


@pytest.fixture(scope="session")
def head() -> Head:
    """Ellipsoid of 42 × 46 × 41 voxels with tissue-like structures, and an air cavity below it.

    χ is laid out and its field computed on half the voxel size, then averaged: the methods' kernel is not exact.
    """
    grid = Grid((54, 57, 48), (1.5, 1.6, 2.0), (0.12, -0.16, float(np.sqrt(0.96))))
    fine = grid.refine((2, 2, 2))
    x, y, z = fine.axes()

    def ellipsoid(cx, cy, cz, rx, ry, rz):
        return ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 + ((z - cz) / rz) ** 2 < 1

    brain = ellipsoid(0, 0, 0, 33, 38, 41)
    chi = np.where(np.cos(x / 4) + np.sin(y / 5) + np.cos(z / 6) > 0, 0.02, -0.03) * brain
    for side in (-1, 1):
        chi[ellipsoid(side * 9, 6, 2, 4, 9, 7)] = 0.10
        chi[ellipsoid(side * 16, -4, 0, 4, 8, 8)] = 0.05
        chi[ellipsoid(side * 7, -14, -10, 3.5, 4, 5)] = 0.16
    chi[ellipsoid(0, 14, 14, 4, 12, 8)] = 0
    chi[ellipsoid(14, 16, 10, 2, 2, 14)] = 0.3
    chi[ellipsoid(-15, 16, -8, 3, 3, 3)] = -0.4
    mask = average(brain) > 0.99
    outer = 9.4 * ((ellipsoid(0, 22, -43, 14, 12, 11) | ellipsoid(33, -10, -30, 9, 9, 9)) & ~brain)
    local = oracles.free_space_field(chi - brain * chi[brain].mean(), fine.voxel_size, grid.b0_dir)
    background = oracles.free_space_field(outer, fine.voxel_size, grid.b0_dir)
    return Head(grid, mask, average(chi), average(local) * mask, average(background) * mask)


def average(fine: np.ndarray) -> np.ndarray:
    """Mean over blocks of 2 × 2 × 2."""
    nx, ny, nz = (n // 2 for n in fine.shape)
    return fine.reshape(nx, 2, ny, 2, nz, 2).mean(axis=(1, 3, 5)).astype(np.float32)
