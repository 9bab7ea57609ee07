"""TKD, L2 and TV: against dense minimisers, symmetry laws, and a phantom of known χ."""

import numpy as np
import oracles
import pytest
from scipy.ndimage import gaussian_filter

from qsmbench.grid import Grid
from qsmbench.methods.inversion.l2 import l2
from qsmbench.methods.inversion.tkd import tkd
from qsmbench.methods.inversion.tv import tv
from qsmbench.ops.difference import gradient, gradient_adjoint
from qsmbench.ops.dipole import dipole_kernel
from qsmbench.ops.fft import convolve

METHODS = [tkd, l2, tv]
SIZE, OBLIQUE = (1.0, 1.2, 2.0), (0.36, -0.48, 0.8)


def noisy(head, sigma=0.003, seed=0):
    noise = sigma * np.random.default_rng(seed).standard_normal(head.mask.shape)
    return ((head.local_field + noise) * head.mask).astype(np.float32)


@pytest.mark.parametrize("method", METHODS)
def test_chi_has_the_right_sign_and_size(method, head):
    chi = method(noisy(head), head.mask, head.grid)
    assert chi.dtype == np.float32
    assert not chi[~head.mask].any()
    assert abs(chi[head.mask].mean()) < 1e-6
    slope = np.polyfit(head.chi[head.mask], chi[head.mask], 1)[0]
    assert 0.5 < slope < 1.1
    iron, calcification = head.chi > 0.15, head.chi < -0.35
    assert chi[iron].mean() > 0.1
    assert chi[calcification].mean() < -0.15


def test_l2_beats_tkd_with_noise(head):
    field = noisy(head, sigma=0.005)
    errors = [oracles.nrmse(m(field, head.mask, head.grid), head.chi, head.mask) for m in (l2, tkd)]
    assert errors[0] < 0.95 * errors[1]


@pytest.mark.parametrize("method", [tkd, l2])
def test_direct_methods_are_linear(method, head):
    x, y = noisy(head), noisy(head, 0.01, seed=1)
    oracles.check_linear(lambda field: method(field, head.mask, head.grid), x, y)


@pytest.mark.parametrize("method", METHODS)
def test_renaming_the_axes_changes_nothing(method, head):
    def turned(field, grid):
        order = [head.grid.shape.index(n) for n in field.shape]
        return method(field, np.ascontiguousarray(head.mask.transpose(order)), grid)

    def grid_of(order):
        g = head.grid
        return Grid(*(tuple(v[a] for a in order) for v in (g.shape, g.voxel_size, g.b0_dir)))

    oracles.check_permutation_equivariant(turned, noisy(head), grid_of, rtol=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_moving_the_head_in_the_volume_moves_chi(method, head):
    move = ((4, 1), (0, 6), (2, 3))
    field, mask = np.pad(noisy(head), move), np.pad(head.mask, move)
    wide = Grid(mask.shape, head.grid.voxel_size, head.grid.b0_dir)
    chi = method(field, mask, wide)[4:-1, :-6, 2:-3]
    np.testing.assert_allclose(chi, method(noisy(head), head.mask, head.grid), atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_what_lies_outside_the_mask_does_not_matter(method, head):
    outside = np.where(head.mask, 0, 5).astype(np.float32)
    expected = method(noisy(head), head.mask, head.grid)
    np.testing.assert_array_equal(method(noisy(head) + outside, head.mask, head.grid), expected)


def test_tkd_is_division_by_the_thresholded_kernel():
    grid = Grid((15, 16, 12), SIZE, OBLIQUE)
    mask = np.ones(grid.shape, bool)
    field = np.random.default_rng(0).standard_normal(grid.shape).astype(np.float32)
    d = dipole_kernel(grid, grid.shape).astype(float)
    kept = np.where(np.abs(d) < 0.1, np.where(d < 0, -0.1, 0.1), d)
    kept[0, 0, 0] = np.inf
    expected = np.fft.irfftn(np.fft.rfftn(field) / kept, grid.shape, axes=(0, 1, 2))
    plain = tkd(field, mask, grid, threshold=0.1, rescale=False, pad=0)
    np.testing.assert_allclose(plain, expected, atol=1e-4)
    # Rescaled, a point keeps its height.
    point = np.zeros(grid.shape, np.float32)
    point[7, 8, 6] = 1
    found = tkd(convolve(point, d.astype(np.float32)), mask, grid, threshold=0.1, rescale=True, pad=0)
    assert found[7, 8, 6] - found.min() > 0.98
    assert found[7, 8, 6] == pytest.approx(1, abs=0.01)


def test_l2_is_the_minimiser():
    grid = Grid((15, 16, 12), SIZE, OBLIQUE)
    mask = np.ones(grid.shape, bool)
    rng = np.random.default_rng(0)
    field = gaussian_filter(rng.standard_normal(grid.shape), 1).astype(np.float32)
    d = dipole_kernel(grid, grid.shape)
    chi = l2(field, mask, grid, regularisation=0.05, pad=0)

    def slope(x):
        return convolve(convolve(x, d) - field, d) + 0.05 * gradient_adjoint(gradient(x, SIZE), SIZE)

    assert np.linalg.norm(slope(chi)) < 1e-4 * np.linalg.norm(slope(np.zeros_like(chi)))


def test_more_regularisation_gives_less_variation(head):
    for method, values in ((l2, (0.003, 0.03, 0.3)), (tv, (1e-4, 5e-4, 2e-3))):
        variation = [
            np.abs(gradient(method(noisy(head), head.mask, head.grid, regularisation=v), SIZE)).sum() for v in values
        ]
        assert variation[0] > variation[1] > variation[2]
