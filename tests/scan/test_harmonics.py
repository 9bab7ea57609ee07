"""The shim's harmonics: they obey Laplace's equation, and the fit finds them."""

import numpy as np
import pytest

from qsmbench.grid import Grid
from qsmbench.scan.harmonics import COUNT, evaluate, fit, harmonics

GRID = Grid((12, 15, 10), (2, 1.5, 3))


def test_every_harmonic_is_harmonic():
    for h in harmonics(GRID):
        h = np.broadcast_to(h, GRID.shape)
        second = [(np.roll(h, 1, axis) - 2 * h + np.roll(h, -1, axis)) / d**2 for axis, d in enumerate(GRID.voxel_size)]
        assert np.abs(sum(second)[1:-1, 1:-1, 1:-1]).max() < 1e-9


@pytest.mark.parametrize("order", [0, 1, 2])
def test_fit_finds_the_coefficients(order):
    mask = np.random.default_rng(0).random(GRID.shape) > 0.5
    coefficients = np.random.default_rng(1).normal(size=COUNT[order])
    np.testing.assert_allclose(fit(evaluate(coefficients, GRID), mask, GRID, order), coefficients, atol=1e-5)


def test_planes_are_those_of_the_whole():
    coefficients = np.arange(9.0)
    whole = evaluate(coefficients, GRID)
    assert np.array_equal(evaluate(coefficients, GRID, slice(8, 24)), whole[8:])
