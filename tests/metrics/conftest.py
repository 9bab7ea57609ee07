"""A small head: a ball of tissue with nuclei, in air, on anisotropic voxels."""

from types import SimpleNamespace

import numpy as np
import pytest

from qsmbench.grid import Grid


@pytest.fixture(scope="session")
def head():
    """`truth` [ppm], `mask`, `eroded` mask, `labels`, `regions`, `grid`, and a noisy, damped `estimate`."""
    grid = Grid((40, 36, 32), (1.0, 1.2, 1.5))
    x, y, z = grid.axes()
    mask = x**2 + y**2 + z**2 < 17**2
    rng = np.random.default_rng(0)
    labels = np.zeros(grid.shape, np.uint8)
    truth = np.where(mask, rng.normal(0, 0.01, grid.shape), 9.0)
    regions = []
    for index, (name, group, centre, chi) in enumerate(
        [
            ("caudate", "dgm", (-8, 0, 0), 0.05),
            ("putamen", "dgm", (8, 0, 0), 0.09),
            ("pallidum", "dgm", (0, 8, 0), 0.13),
            ("vein", "vessel", (0, -8, 4), 0.3),
        ],
        start=1,
    ):
        there = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2 < 9
        labels[there], truth[there] = index, truth[there] + chi
        regions.append((index, name, group))
    estimate = np.where(mask, 0.7 * truth + 0.05 + rng.normal(0, 0.02, grid.shape), 0).astype(np.float32)
    eroded = x**2 + y**2 + z**2 < 14**2
    return SimpleNamespace(
        grid=grid,
        mask=mask,
        eroded=eroded,
        labels=labels,
        regions=regions,
        truth=truth.astype(np.float32),
        estimate=estimate,
    )
