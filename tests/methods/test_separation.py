"""Separation of para- and diamagnetic sources: planted mixtures, a slow reference minimiser, limits and signs."""

from itertools import product

import numpy as np
import oracles
import pytest
import scipy.fft
from scipy.optimize import minimize

from qsmbench.grid import Grid
from qsmbench.methods.inversion.tv import tv
from qsmbench.methods.separation.chi_separation import chi_separation
from qsmbench.methods.separation.chi_separation_r2star import chi_separation_r2star
from qsmbench.methods.separation.trivial_split import trivial_split
from qsmbench.ops.arrays.difference import gradient
from qsmbench.ops.arrays.fft import Window, convolve
from qsmbench.ops.kernels.dipole import dipole_kernel
from qsmbench.ops.solvers import separation

DR = 137.0


@pytest.fixture(scope="module")
def mixture(head):
    """The head with sources of both signs in each voxel: χ⁺, χ⁻, local field with noise, R2′ with noise."""
    x, y, z = head.grid.axes()
    shared = 0.04 * (1 + np.cos(y / 6) * np.cos(z / 7)) * (np.abs(x) > 6) * head.mask
    para = (np.maximum(head.chi, 0) + shared).astype(np.float32) * head.mask
    dia = (np.maximum(-head.chi, 0) + shared).astype(np.float32) * head.mask
    rng = np.random.default_rng(0)
    field = (head.local_field + 0.002 * rng.standard_normal(head.mask.shape)) * head.mask
    rate = (DR * (para + dia) + rng.standard_normal(head.mask.shape)) * head.mask
    return para, dia, field.astype(np.float32), rate.astype(np.float32)


def test_mixtures_are_separated_where_the_sign_of_chi_cannot(head, mixture):
    para, dia, field, rate = mixture
    found_para, found_dia, chi = chi_separation(field, rate, head.mask, head.grid, 3.0)
    split_para, split_dia = trivial_split(tv(field, head.mask, head.grid), head.mask)
    for found, split, truth in ((found_para, split_para, para), (found_dia, split_dia, dia)):
        assert oracles.nrmse(found, truth, head.mask) < 0.5 * oracles.nrmse(split, truth, head.mask)
        assert oracles.nrmse(found, truth, head.mask) < 0.35
        assert (found - truth)[head.mask].mean() == pytest.approx(0, abs=0.01)
        assert found.min() >= 0
        assert not found[~head.mask].any()
    np.testing.assert_allclose(chi[head.mask], (c := (found_para - found_dia)[head.mask]) - c.mean(), atol=1e-6)
    assert oracles.nrmse(chi, head.chi, head.mask) < 1.1 * oracles.nrmse(
        tv(field, head.mask, head.grid), head.chi, head.mask
    )


def test_r2prime_scales_with_b0(head, mixture):
    _, _, field, rate = mixture
    plain = chi_separation(field, rate, head.mask, head.grid, 3.0)
    for other in (
        chi_separation(field, rate * np.float32(7 / 3), head.mask, head.grid, 7.0),
        chi_separation(field, rate * 2, head.mask, head.grid, 3.0, relaxivity=2 * DR),
    ):
        for a, b in zip(other, plain, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-4)


def test_exchanging_the_signs_exchanges_the_sources(head, mixture):
    _, _, field, rate = mixture
    para, dia, chi = chi_separation(field, rate, head.mask, head.grid, 3.0)
    other_para, other_dia, other_chi = chi_separation(-field, rate, head.mask, head.grid, 3.0)
    np.testing.assert_allclose(other_para, dia, atol=1e-4)
    np.testing.assert_allclose(other_dia, para, atol=1e-4)
    np.testing.assert_allclose(other_chi, -chi, atol=1e-4)


def test_renaming_the_axes_changes_nothing(head, mixture):
    _, _, field, rate = mixture
    order = (2, 0, 1)
    g = head.grid
    turned = Grid(*(tuple(v[a] for a in order) for v in (g.shape, g.voxel_size, g.b0_dir)))
    moved = [np.ascontiguousarray(v.transpose(order)) for v in (field, rate, head.mask)]
    for a, b in zip(chi_separation(*moved, turned, 3.0), chi_separation(field, rate, head.mask, g, 3.0), strict=True):
        assert oracles.relative(a, b.transpose(order)) < 5e-3


def test_without_r2prime_weight_or_mixture_the_field_alone_decides(head):
    """R2′ of one sign in each voxel agrees with the field: χ is that of the field, and no voxel mixes."""
    chi = head.chi - head.chi[~head.mask].mean()
    rate = (DR * np.abs(chi) * head.mask).astype(np.float32)
    para, dia, _ = chi_separation(head.local_field, rate, head.mask, head.grid, 3.0)
    assert np.minimum(para, dia)[head.mask].mean() < 0.1 * (para + dia)[head.mask].mean()


def test_the_nearest_pair_is_that_of_a_search():
    rng = np.random.default_rng(0)
    own = rng.uniform(-1, 1, (2, 500)).astype(np.float32)
    strength = rng.uniform(0, 1, 500).astype(np.float32)
    inside = np.ones(500, bool)
    ratio = rng.uniform(0.01, 1, 500).astype(np.float32)
    p, n = separation._nearest(np, *own, strength, 0.2 * ratio, inside, coupling=0.2)

    def cost(p, n):
        return (p - own[0]) ** 2 + (n - own[1]) ** 2 + ratio * (p + n - strength) ** 2

    assert min(p.min(), n.min()) >= 0
    best = np.min([cost(a, b) for a, b in product(np.linspace(0, 1.5, 61), repeat=2)], axis=0)
    assert (cost(p, n) <= best + 1e-6).all()
    assert (p == 0).any() and (n == 0).any() and ((p > 0) & (n > 0)).any()


def test_it_ends_at_the_minimum_that_a_slow_solver_finds():
    """A smoothed copy of the objective, minimised with bounds by L-BFGS-B in double precision."""
    rng = np.random.default_rng(0)
    grid = Grid((10, 9, 8), (1.0, 1.2, 2.0), (0.36, -0.48, 0.8))
    x, y, z = grid.axes()
    inside = (x / 4.6) ** 2 + (y / 5) ** 2 + (z / 7) ** 2 < 1
    field = (0.05 * rng.standard_normal(grid.shape) * inside).astype(np.float32)
    strength = (0.1 * rng.random(grid.shape) * inside).astype(np.float32)
    regularisation, smoothing = 2e-3, 1e-5
    weight = np.where(rng.random(grid.shape) < 0.3, 0.003, 0.3).astype(np.float32)
    kernel = dipole_kernel(grid, grid.shape).astype(float)

    def dipole(v):
        return scipy.fft.irfftn(kernel * scipy.fft.rfftn(v), v.shape)

    uniform = dipole(inside.astype(float)) * inside

    def cost(both):
        total = np.zeros((2, *grid.shape))
        total[:, inside] = both.reshape(2, -1)
        p, n = total
        misfit = (dipole(p - n) - field) * inside
        misfit -= uniform * ((uniform * misfit).sum() / (uniform**2).sum())
        apart = (p + n - strength) * inside
        value = 0.5 * (misfit**2).sum() + 0.5 * (weight * apart**2).sum()
        slope_difference, slope_sum = dipole(misfit), weight * apart
        slopes = [slope_sum + slope_difference, slope_sum - slope_difference]
        for volume, slope in zip((p, n), slopes, strict=True):
            for axis, d in enumerate(grid.voxel_size):
                g = (np.roll(volume, -1, axis) - volume) / d
                size = np.sqrt(g**2 + smoothing**2)
                value += regularisation * size.sum()
                s = regularisation * g / size / d
                slope += np.roll(s, 1, axis) - s
        return value, np.concatenate([s[inside] for s in slopes])

    count = 2 * int(inside.sum())
    best = minimize(
        cost, np.full(count, 0.02), jac=True, bounds=[(0, None)] * count, options={"maxiter": 5000, "maxfun": 10000}
    )
    settings = {"regularisation": regularisation, "penalty": 200.0, "coupling": 0.1}
    found = separation.separate(
        field, strength, weight, inside, grid, **settings, relaxation=1.8, tolerance=0, max_iterations=2000
    )
    values = np.concatenate([v[inside] for v in found]).astype(float)
    start = cost(np.zeros(count))[0]
    assert cost(values)[0] - best.fun < 2e-3 * (start - best.fun)
    assert oracles.relative(values, best.x) < 0.05
    quick = separation.separate(
        field, strength, weight, inside, grid, **settings, relaxation=1.8, tolerance=0.01, max_iterations=100
    )
    quick_cost = cost(np.concatenate([v[inside] for v in quick]).astype(float))[0]
    assert quick_cost - best.fun < 0.02 * (start - best.fun)


def test_more_regularisation_gives_less_variation(head, mixture):
    _, _, field, rate = mixture
    variation = []
    for value in (5e-5, 5e-4, 2e-3):
        para, dia, _ = chi_separation(field, rate, head.mask, head.grid, 3.0, regularisation=value)
        variation.append(sum(np.abs(gradient(v, head.grid.voxel_size)).sum() for v in (para, dia)))
    assert variation[0] > variation[1] > variation[2]


def test_the_field_of_a_uniform_chi_does_not_count(head, mixture):
    """A local field is known up to it: adding it leaves the sources as they are."""
    _, _, field, rate = mixture
    window = Window.around(head.mask, head.grid, 30.0)
    kernel = dipole_kernel(head.grid, window.shape)
    uniform = window.put(convolve(window.take(head.mask.astype(np.float32)), kernel), head.mask)
    plain, added = (
        chi_separation(f, rate, head.mask, head.grid, 3.0, tolerance=2e-3, max_iterations=300)
        for f in (field, field + np.float32(0.2) * uniform)
    )
    for a, b in zip(added, plain, strict=True):
        assert oracles.nrmse(a, b, head.mask) < 0.02


def test_a_vein_whose_r2prime_is_too_small_does_little_harm(head, mixture):
    """R2′ of blood is a third of Dr·χ; with full weight, it lowers χ of the vein, and spoils the tissue beside."""
    para, dia, field, rate = mixture
    x, y, _ = head.grid.axes()
    vein = ((x - 10) ** 2 + (y - 4) ** 2 < 2.5**2) & head.mask
    window = Window.around(head.mask, head.grid, 30.0)
    kernel = dipole_kernel(head.grid, window.shape)
    blood = np.where(vein, 0.45 - (para - dia), 0).astype(np.float32)
    field = field + window.put(convolve(window.take(blood), kernel), head.mask)
    true = np.where(vein, np.float32(0.45), para)
    rate = np.where(vein, np.float32(22), rate)
    found = chi_separation(field, rate, head.mask, head.grid, 3.0)[0]
    full_weight = chi_separation(field, rate, head.mask, head.grid, 3.0, reliable=(0.0, np.inf))[0]
    missing, unsaid = (0.45 - v[vein].mean() for v in (full_weight, found))
    assert missing > 0.2 * 0.45
    assert abs(unsaid) < 0.4 * missing
    beside = head.mask & ~vein & ((x - 10) ** 2 + (y - 4) ** 2 < 8**2)
    assert oracles.nrmse(found, true, beside) < oracles.nrmse(full_weight, true, beside)


def test_r2prime_beyond_its_limits_counts_a_tenth(head, mixture):
    """Where nothing is reliable, all is as with a hundredth of the weight: the residual counts a tenth."""
    _, _, field, rate = mixture
    none = chi_separation(field, rate, head.mask, head.grid, 3.0, reliable=(9.0, 10.0))
    little = chi_separation(
        field, rate, head.mask, head.grid, 3.0, reliable=(0.0, np.inf), weight=0.03 / 100, coupling=100.0
    )
    for a, b in zip(none, little, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_r2star_separates_as_r2prime_does_where_it_is_a_share_of_it(head, mixture):
    para, dia, field, rate = mixture
    exact = chi_separation_r2star(field, rate / np.float32(0.4), head.mask, head.grid, 3.0)
    for a, b in zip(exact, chi_separation(field, rate, head.mask, head.grid, 3.0), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
    r2 = np.where(para > dia, 10, 13) * head.mask  # R2 differs between tissues, and is no share of R2*
    found = chi_separation_r2star(field, (rate + r2).astype(np.float32), head.mask, head.grid, 3.0)
    split = trivial_split(tv(field, head.mask, head.grid), head.mask)
    for part, control, truth in zip(found, split, (para, dia), strict=False):
        assert oracles.nrmse(part, truth, head.mask) < oracles.nrmse(control, truth, head.mask)


def test_the_trivial_split_is_the_sign():
    mask = np.ones((1, 2, 2), bool)
    mask[0, 1, 1] = False
    para, dia = trivial_split(np.array([[[0.2, -0.1], [0.0, 3.0]]], np.float32), mask)
    np.testing.assert_array_equal(para, np.array([[[0.2, 0], [0, 0]]], np.float32))
    np.testing.assert_array_equal(dia, np.array([[[0, 0.1], [0, 0]]], np.float32))
