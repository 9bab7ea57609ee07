"""What every inversion keeps, and the direct ones: against dense minimisers, symmetry laws, a phantom of known χ."""

import numpy as np
import oracles
import pytest
from calls import invert
from scipy.ndimage import gaussian_filter

from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid
from qsmbench.methods.inversion.cgls import cgls
from qsmbench.methods.inversion.ilsqr import ilsqr
from qsmbench.methods.inversion.l2 import l2
from qsmbench.methods.inversion.medi import medi
from qsmbench.methods.inversion.ndi import ndi
from qsmbench.methods.inversion.rts import rts
from qsmbench.methods.inversion.star import star
from qsmbench.methods.inversion.tkd import tkd
from qsmbench.methods.inversion.tsvd import tsvd
from qsmbench.methods.inversion.tv import tv
from qsmbench.metrics.xsim import xsim
from qsmbench.ops.arrays.difference import gradient, gradient_adjoint
from qsmbench.ops.arrays.fft import convolve
from qsmbench.ops.kernels.dipole import dipole_kernel

METHODS = [tkd, tsvd, l2, tv, cgls, rts, ilsqr, star, ndi, medi]
SIZE, OBLIQUE = (1.0, 1.2, 2.0), (0.36, -0.48, 0.8)


def noisy(head, sigma=0.003, seed=0):
    noise = sigma * np.random.default_rng(seed).standard_normal(head.mask.shape)
    return ((head.local_field + noise) * head.mask).astype(np.float32)


@pytest.mark.parametrize("method", METHODS)
def test_chi_has_the_right_sign_and_size(method, head):
    chi = invert(method, noisy(head, 0.001), head.mask, head.grid)
    assert chi.dtype == np.float32
    assert not chi[~head.mask].any()
    assert abs(chi[head.mask].mean()) < 1e-6
    slope = np.polyfit(head.chi[head.mask], chi[head.mask], 1)[0]
    assert 0.5 < slope < 1.1
    iron, calcification = head.chi > 0.15, head.chi < -0.35
    assert chi[iron].mean() > 0.1
    assert chi[calcification].mean() < -0.15


@pytest.mark.parametrize("method", METHODS)
def test_no_field_means_no_susceptibility(method, head):
    assert not invert(method, np.zeros_like(head.local_field), head.mask, head.grid).any()


def test_the_established_order_appears_at_a_high_signal_to_noise_ratio(head):
    """Variation before squares before division, in NRMSE and in XSIM."""
    field = noisy(head, sigma=0.0005)
    maps = [invert(m, field, head.mask, head.grid) for m in (medi, tv, l2, tkd)]
    errors = [oracles.nrmse(m, head.chi, head.mask) for m in maps]
    likeness = [xsim(m, head.chi, head.mask) for m in maps]
    assert max(errors[:2]) < 0.6 * errors[2] and errors[2] < errors[3]
    assert min(likeness[:2]) > 1.2 * likeness[2] and likeness[2] > likeness[3]


def test_variation_beats_squares(head):
    field = noisy(head, sigma=0.005)
    errors = [oracles.nrmse(m(field, head.mask, head.grid), head.chi, head.mask) for m in (tv, l2, tkd)]
    assert errors[0] < 0.8 * min(errors[1:])


def test_the_gradient_is_the_better_penalty_if_the_field_is_known_everywhere(head):
    """Whether L2 or TKD is better depends on the field outside the mask."""
    chi = np.where(head.mask, head.chi - head.chi[head.mask].mean(), 0).astype(np.float32)
    everywhere = convolve(np.pad(chi, 8), dipole_kernel(head.grid, tuple(n + 16 for n in chi.shape)))
    everywhere += 0.001 * np.random.default_rng(0).standard_normal(everywhere.shape).astype(np.float32)
    grid = Grid(everywhere.shape, head.grid.voxel_size, head.grid.b0_dir)
    mask = np.pad(head.mask, 8)

    def least(method, support, values, **settings):
        """The smallest error over the values of a setting, with the field known in `support`."""
        name = "threshold" if method is tkd else "regularisation"
        maps = (method(everywhere, support, grid, **{name: v}, **settings) for v in values)
        return min(oracles.nrmse(m, np.pad(chi, 8), mask) for m in maps)

    thresholds, identity = (0.05, 0.1, 0.15, 0.2), (0.001, 0.003, 0.01)
    gradient_weights = (0.0001, 0.001, 0.01, 0.1)
    known = np.ones(mask.shape, bool)
    best = least(tkd, known, thresholds)
    assert least(l2, known, gradient_weights, penalty="gradient") < 0.9 * best
    cut = least(tkd, mask, thresholds)
    assert cut > 1.3 * best
    assert least(l2, mask, gradient_weights, penalty="gradient") > 1.05 * cut
    assert least(l2, mask, identity) < 1.02 * cut


@pytest.mark.parametrize("method", [tkd, tsvd, l2])
def test_direct_methods_are_linear(method, head):
    x, y = noisy(head), noisy(head, 0.01, seed=1)
    oracles.check_linear(lambda field: method(field, head.mask, head.grid), x, y)


@pytest.mark.parametrize("method", METHODS)
def test_renaming_the_axes_changes_nothing(method, head):
    def turned(field, grid):
        order = [head.grid.shape.index(n) for n in field.shape]
        return invert(method, field, np.ascontiguousarray(head.mask.transpose(order)), grid)

    def grid_of(order):
        g = head.grid
        return Grid(*(tuple(v[a] for a in order) for v in (g.shape, g.voxel_size, g.b0_dir)))

    oracles.check_permutation_equivariant(turned, noisy(head), grid_of, rtol=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_moving_the_head_in_the_volume_moves_chi(method, head):
    move = ((4, 1), (0, 6), (2, 3))
    field, mask = np.pad(noisy(head), move), np.pad(head.mask, move)
    wide = Grid(mask.shape, head.grid.voxel_size, head.grid.b0_dir)
    chi = invert(method, field, mask, wide)[4:-1, :-6, 2:-3]
    np.testing.assert_allclose(chi, invert(method, noisy(head), head.mask, head.grid), atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_what_lies_outside_the_mask_does_not_matter(method, head):
    outside = np.where(head.mask, 0, 5).astype(np.float32)
    expected = invert(method, noisy(head), head.mask, head.grid)
    np.testing.assert_array_equal(invert(method, noisy(head) + outside, head.mask, head.grid), expected)


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


@pytest.mark.parametrize(
    ("method", "name", "values"),
    [
        (tkd, "threshold", (0.05, 0.1, 0.2)),
        (tsvd, "threshold", (0.05, 0.1, 0.2)),
        (l2, "regularisation", (1e-3, 1e-2, 0.1)),
    ],
)
def test_streaks_fall_with_regularisation(method, name, values, head):
    """The error near the cone, of a field so noisy that streaks are most of it."""
    near = np.abs(dipole_kernel(head.grid, head.grid.shape)) < 0.1
    truth = np.where(head.mask, head.chi - head.chi[head.mask].mean(), 0)
    errors = [method(noisy(head, 0.02), head.mask, head.grid, **{name: v}) - truth for v in values]
    streaks = [np.linalg.norm(np.fft.rfftn(e)[near]) for e in errors]
    assert streaks[0] > 1.2 * streaks[1] > 1.2**2 * streaks[2]


def test_tsvd_is_division_where_the_kernel_is_large():
    grid = Grid((15, 16, 12), SIZE, OBLIQUE)
    field = np.random.default_rng(0).standard_normal(grid.shape).astype(np.float32)
    d = dipole_kernel(grid, grid.shape).astype(float)
    inverse = np.divide(1, d, out=np.zeros_like(d), where=np.abs(d) > 0.1)
    expected = np.fft.irfftn(np.fft.rfftn(field) * inverse, grid.shape, axes=(0, 1, 2))
    found = tsvd(field, np.ones(grid.shape, bool), grid, threshold=0.1, pad=0)
    np.testing.assert_allclose(found, expected - expected.mean(), atol=1e-4)


@pytest.mark.parametrize(("penalty", "order"), [("identity", 0), ("gradient", 1), ("laplacian", 2)])
def test_l2_is_the_minimiser(penalty, order):
    grid = Grid((15, 16, 12), SIZE, OBLIQUE)
    mask = np.ones(grid.shape, bool)
    rng = np.random.default_rng(0)
    field = gaussian_filter(rng.standard_normal(grid.shape), 1).astype(np.float32)
    d = dipole_kernel(grid, grid.shape)
    chi = l2(field, mask, grid, penalty=penalty, regularisation=0.05, pad=0)

    def slope(x):
        curved = x
        for _ in range(order):
            curved = gradient_adjoint(gradient(curved, SIZE), SIZE)
        return convolve(convolve(x, d) - field, d) + 0.05 * curved

    assert np.linalg.norm(slope(chi)) < 1e-4 * np.linalg.norm(slope(np.zeros_like(chi)))


def test_unknown_penalties_are_named(head):
    with pytest.raises(QsmbenchError, match="penalty is 'tv'; choose from identity, gradient, laplacian"):
        l2(head.local_field, head.mask, head.grid, penalty="tv")


def test_more_regularisation_gives_less_variation(head):
    for method, values in ((l2, (0.003, 0.03, 0.3)), (tv, (1e-4, 5e-4, 2e-3))):
        variation = [
            np.abs(gradient(method(noisy(head), head.mask, head.grid, regularisation=v), SIZE)).sum() for v in values
        ]
        assert variation[0] > variation[1] > variation[2]
