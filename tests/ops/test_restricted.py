"""Systems restricted to a mask: against dense solutions, and how few steps they need."""

import numpy as np
import oracles
import pytest

from qsmbench.grid import Grid
from qsmbench.ops.arrays.difference import laplacian_spectrum
from qsmbench.ops.arrays.fft import convolve
from qsmbench.ops.kernels.sphere import smv_kernel
from qsmbench.ops.masks.morphology import without_boundary
from qsmbench.ops.solvers import restricted

GRID = Grid((13, 12, 9), (1.0, 1.2, 1.7), (0.36, -0.48, 0.8))


def spectra():
    passed = 1 - smv_kernel(GRID, GRID.shape, 2.5)
    return {"laplacian": laplacian_spectrum(GRID, GRID.shape), "mean": passed, "squared": passed**2 + 1e-3}


@pytest.fixture(scope="module")
def inside():
    x, y, z = GRID.axes()
    return (x / 5) ** 2 + (y / 6) ** 2 + (z / 5) ** 2 < 1


@pytest.mark.parametrize("kind", ["laplacian", "mean", "squared"])
def test_it_is_the_dense_solution(kind, inside):
    spectrum = spectra()[kind]
    rng = np.random.default_rng(0)
    right = (rng.standard_normal(GRID.shape) * inside).astype(np.float32)
    columns = []
    for voxel in np.argwhere(inside):
        unit = np.zeros(GRID.shape, np.float32)
        unit[tuple(voxel)] = 1
        columns.append(convolve(unit, spectrum)[inside].astype(float))
    expected = np.linalg.solve(np.array(columns), right[inside])
    x = restricted.solve_restricted(spectrum, inside, right.copy(), 1e-6, 200)
    assert not x[~inside].any()
    assert oracles.relative(x[inside], expected) < 1e-4
    assert oracles.relative(convolve(x, spectrum)[inside], right[inside]) < 1e-4


def test_steps_hardly_grow_with_the_volume(monkeypatch):
    """Plain conjugate gradients need twice as many on twice as fine a grid."""
    steps = []
    for n in (16, 32, 64):
        grid = Grid((n, n, n), (64 / n,) * 3)
        x, y, z = grid.axes()
        inside = (x / 22) ** 2 + (y / 26) ** 2 + (z / 28) ** 2 < 1
        right = (np.sin(x / 3) * np.cos(y / 5 + z / 4) * inside).astype(np.float32)
        calls = []
        monkeypatch.setattr(restricted, "convolve", lambda v, k, calls=calls: calls.append(1) or convolve(v, k))
        restricted.solve_restricted(laplacian_spectrum(grid, grid.shape), inside, right, 1e-3, 100)
        steps.append(len(calls) / 2)
    assert steps[-1] < 1.6 * steps[0] + 2
    assert steps[-1] < 25


def test_nothing_to_solve_is_zero(inside):
    x = restricted.solve_restricted(spectra()["mean"], inside, np.zeros(GRID.shape, np.float32), 1e-3, 10)
    assert not x.any()


def test_boundary_is_a_voxel_with_a_neighbour_outside():
    mask = np.zeros((6, 6, 6), bool)
    mask[1:5, 1:5, 1:5] = True
    mask[2, 2, 1] = False
    inner = without_boundary(mask)
    expected = np.zeros_like(mask)
    expected[2:4, 2:4, 2:4] = True
    expected[2, 2, 2] = False
    np.testing.assert_array_equal(inner, expected)
