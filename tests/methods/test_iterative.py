"""CGLS, RTS, iLSQR, STAR, NDI and MEDI: against dense and slow minimisers, limits, and published properties."""

import sys

import numpy as np
import oracles
import pytest
from calls import B0, TE, invert
from scipy.ndimage import gaussian_filter
from scipy.sparse.linalg import LinearOperator, lsmr

from qsmbench.grid import Grid
from qsmbench.methods.inversion.cgls import cgls
from qsmbench.methods.inversion.ilsqr import ilsqr
from qsmbench.methods.inversion.medi import medi
from qsmbench.methods.inversion.ndi import ndi
from qsmbench.methods.inversion.rts import rts
from qsmbench.methods.inversion.star import star
from qsmbench.methods.inversion.tv import tv
from qsmbench.ops.arrays.difference import gradient, gradient_adjoint
from qsmbench.ops.arrays.fft import convolve
from qsmbench.ops.kernels.dipole import dipole_kernel
from qsmbench.ops.masks import edges
from qsmbench.ops.solvers import total_variation
from qsmbench.ops.solvers.residual import conjugate_residual
from qsmbench.ops.solvers.weight import effective_echo_time, field_weight
from qsmbench.units import rad_per_ppm

SIZE, OBLIQUE = (1.0, 1.2, 2.0), (0.36, -0.48, 0.8)
SHORT = np.array([1e-6])  # an echo time [s] at which every phase is small


def noisy(head, sigma=0.001, seed=0):
    noise = sigma * np.random.default_rng(seed).standard_normal(head.mask.shape)
    return ((head.local_field + noise) * head.mask).astype(np.float32)


@pytest.fixture
def tiny():
    """A mask that is no box, its kernel as a dense matrix, and a field and magnitude at random."""
    grid = Grid((9, 8, 6), SIZE, OBLIQUE)  # sizes that suit the FFT: the window is the volume
    rng = np.random.default_rng(0)
    x, y, z = (a / np.abs(a).max() for a in grid.axes())
    mask = x**2 + y**2 + z**2 < 1.3
    units = np.eye(mask.size, dtype=np.float32).reshape(-1, *grid.shape)
    kernel = dipole_kernel(grid, grid.shape)
    dense = np.stack([convolve(u, kernel).ravel() for u in units], axis=1).astype(float)
    field = (0.1 * rng.standard_normal(grid.shape) * mask).astype(np.float32)
    magnitude = ((0.5 + rng.random((*grid.shape, 1))) * mask[..., None]).astype(np.float32)
    return type("Tiny", (), {"grid": grid, "mask": mask, "dense": dense, "field": field, "magnitude": magnitude})


def referred(chi, tiny):
    return np.where(tiny.mask, chi - chi[tiny.mask].mean(), 0)


def test_cgls_is_the_weighted_minimiser_in_the_mask(tiny):
    found = invert(
        cgls, tiny.field, tiny.mask, tiny.grid, SHORT, tiny.magnitude, regularisation=0.01, tolerance=1e-6,
        max_iterations=500, pad=0,
    )  # fmt: skip
    inside = tiny.mask.ravel()
    weight = field_weight(tiny.magnitude, SHORT, tiny.mask)[tiny.mask].astype(float)
    assert weight.std() > 0.1
    model = weight[:, None] * tiny.dense[np.ix_(inside, inside)]
    right = model.T @ (weight * tiny.field[tiny.mask])
    expected = np.zeros(tiny.mask.shape)
    expected[tiny.mask] = np.linalg.solve(model.T @ model + 0.01 * np.eye(inside.sum()), right)
    np.testing.assert_allclose(found, referred(expected, tiny), atol=1e-4 * np.abs(expected).max())


def test_stopping_cgls_early_smooths(head):
    sizes = [
        np.linalg.norm(invert(cgls, noisy(head), head.mask, head.grid, regularisation=0, tolerance=0, max_iterations=n))
        for n in (2, 5, 10, 20)
    ]
    assert sizes == sorted(sizes)
    assert sizes[-1] > 1.2 * sizes[0]


@pytest.mark.parametrize("method", [cgls, ndi, medi])
def test_voxels_without_signal_do_not_matter(method, head):
    rng = np.random.default_rng(0)
    dark = head.mask & (rng.random(head.mask.shape) < 0.02)
    magnitude = np.exp(-25 * TE) * np.where(dark, 0, head.mask)[..., None]
    spoilt = np.where(dark, rng.uniform(-1, 1, dark.shape), noisy(head)).astype(np.float32)
    clean = invert(method, noisy(head), head.mask, head.grid, magnitude=magnitude)
    np.testing.assert_allclose(
        invert(method, spoilt, head.mask, head.grid, magnitude=magnitude), clean, atol=1e-4 * np.abs(clean).max()
    )


@pytest.mark.parametrize(("method", "settings"), [(ndi, {"n_linear": 0}), (medi, {})])
def test_whole_turns_in_the_field_do_no_harm(method, settings, head):
    magnitude = np.exp(-25 * TE) * head.mask[..., None].astype(float)
    turn = 2 * np.pi / rad_per_ppm(B0, effective_echo_time(magnitude, TE, head.mask))
    wrong = head.mask & (np.random.default_rng(0).random(head.mask.shape) < 0.05)
    wrapped = (noisy(head) + turn * wrong).astype(np.float32)
    plain = invert(method, noisy(head), head.mask, head.grid, magnitude=magnitude, **settings)
    found = invert(method, wrapped, head.mask, head.grid, magnitude=magnitude, **settings)
    assert oracles.relative(found, plain) < 0.03
    # without the nonlinear data term the error is large
    assert oracles.relative(tv(wrapped, head.mask, head.grid), tv(noisy(head), head.mask, head.grid)) > 5


@pytest.mark.parametrize("method", [ndi, medi])
def test_fields_beyond_half_a_turn_are_followed(method, head):
    """Echoes so late that the field of the strongest sources is more than a turn."""
    te = np.array([0.08])
    assert rad_per_ppm(B0, 0.08) * np.abs(head.local_field).max() > 2 * np.pi
    late = invert(method, noisy(head), head.mask, head.grid, te)
    early = invert(method, noisy(head), head.mask, head.grid, SHORT)
    assert oracles.relative(late, early) < 0.15


def misfit(chi, field, weight, kernel, scale):
    """½‖W(exp(i·s·Dχ) − exp(i·s·field))‖²/s², with Dχ and the norm in double precision."""
    apart = convolve(chi, kernel).astype(float) - field
    return float((weight**2 * (1 - np.cos(scale * apart))).sum()) / scale**2


def test_ndi_is_linear_at_small_phases(tiny):
    found = invert(
        ndi, tiny.field, tiny.mask, tiny.grid, SHORT, tiny.magnitude, regularisation=0.01, n_iterations=300, pad=0
    )
    weight = field_weight(tiny.magnitude, SHORT, tiny.mask).ravel().astype(float)
    model = weight[:, None] * tiny.dense
    expected = np.linalg.solve(
        model.T @ model + 0.01 * np.eye(weight.size), model.T @ (weight * tiny.field.ravel())
    ).reshape(tiny.mask.shape)
    np.testing.assert_allclose(found, referred(expected, tiny), atol=1e-3 * np.abs(expected).max())


def test_ndi_descends_faster_than_gradient_descent(head):
    """Fifteen steps go below what the authors' fixed steps reach in a hundred."""
    inner = (slice(12, 44), slice(12, 42), slice(12, 36))
    grid = Grid((32, 30, 24), head.grid.voxel_size, head.grid.b0_dir)
    mask = np.ones(grid.shape, bool)
    field = convolve(head.chi[inner] - head.chi[inner].mean(), dipole_kernel(grid, grid.shape))
    magnitude = np.exp(-25 * TE) * mask[..., None]
    weight = field_weight(magnitude, TE, mask)
    scale = rad_per_ppm(B0, effective_echo_time(magnitude, TE, mask))
    kernel = dipole_kernel(grid, grid.shape)
    values = [
        misfit(invert(ndi, field, mask, grid, pad=0, n_iterations=n, regularisation=0), field, weight, kernel, scale)
        for n in (1, 2, 4, 8, 15)
    ]
    assert values == sorted(values, reverse=True)
    chi = np.zeros(grid.shape, np.float32)
    for _ in range(100):
        chi -= 2 * convolve(weight**2 * np.sin(scale * (convolve(chi, kernel) - field)) / scale, kernel)
    assert values[-1] < misfit(chi, field, weight, kernel, scale)


def test_the_first_step_of_rts_is_lsmr(head):
    grid = Grid((16, 15, 12), SIZE, OBLIQUE)
    field = gaussian_filter(np.random.default_rng(0).standard_normal(grid.shape), 0.7).astype(np.float32)
    kernel = dipole_kernel(grid, grid.shape)

    def apply(x):
        return convolve(x.reshape(grid.shape).astype(np.float32), kernel).ravel()

    operator = LinearOperator((field.size, field.size), matvec=apply, rmatvec=apply, dtype=float)
    for n in (1, 4, 9):
        expected = lsmr(operator, field.ravel().astype(float), atol=0, btol=0, conlim=0, maxiter=n)[0].reshape(
            grid.shape
        )
        # with no frequency left to fill in, nor penalised, step 2 returns step 1
        found = rts(field, np.ones(grid.shape, bool), grid, threshold=-1, regularisation=1e-9, n_least_squares=n, pad=0)
        np.testing.assert_allclose(found, expected, atol=2e-3 * np.abs(expected).max())


def test_conjugate_residuals_are_lsmr_on_the_normal_equations():
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((60, 60)).astype(np.float32)
    data = rng.standard_normal(60).astype(np.float32)
    normal, right = matrix.T @ matrix, (matrix.T @ data).reshape(5, 4, 3)
    for n in (1, 3, 8):
        found = conjugate_residual(lambda x: (normal @ x.ravel()).reshape(5, 4, 3), right.copy(), 0, n)
        expected = lsmr(matrix.astype(float), data.astype(float), atol=0, btol=0, conlim=0, maxiter=n)[0]
        np.testing.assert_allclose(found.ravel(), expected, atol=1e-3 * np.abs(expected).max())


def test_rts_fills_the_cone_with_the_least_variation(head):
    """Against many iterations of plain ADMM, and against χ moved within the cone."""
    inner = (slice(12, 44), slice(12, 42), slice(12, 36))
    grid = Grid((32, 30, 24), head.grid.voxel_size, head.grid.b0_dir)
    mask, chi = np.ones(grid.shape, bool), head.chi[inner] - head.chi[inner].mean()
    kernel = dipole_kernel(grid, grid.shape)
    field = convolve(chi, kernel)
    kept = np.abs(kernel) > 0.15
    first = rts(field, mask, grid, threshold=-1, regularisation=1e-9, pad=0)

    def objective(x, regularisation=1e-3):
        apart = convolve(x - first, kept.astype(np.float32))
        return 0.5 * oracles.inner(apart, apart) + regularisation * np.abs(gradient(x, grid.voxel_size)).sum()

    def run(**settings):
        return rts(field, mask, grid, regularisation=1e-3, pad=0, **settings)

    slow = run(penalty=40.0, relaxation=1.0, tolerance=0, max_iterations=2000)
    best = objective(slow)
    assert best <= objective(run()) < 1.05 * best
    assert objective(run(tolerance=1e-4, max_iterations=1000)) == pytest.approx(best, rel=2e-3)
    rng = np.random.default_rng(0)
    for size in (1e-3, 1e-2):
        move = convolve(rng.standard_normal(grid.shape).astype(np.float32), (~kept).astype(np.float32))
        assert objective(slow + np.float32(size) * move) > best
    zero = 1 - kept  # the frequencies that step 1 does not determine
    assert np.linalg.norm(np.fft.rfftn(run()) * zero) > 0.3 * np.linalg.norm(np.fft.rfftn(chi) * zero)


def module(method):
    return sys.modules[method.function.__module__]


def cone_share(chi, grid, threshold=0.1):
    """Share of the energy of χ that lies where |D| is below the threshold."""
    power = np.abs(np.fft.rfftn(chi)) ** 2
    return float(power[np.abs(dipole_kernel(grid, chi.shape)) < threshold].sum() / power.sum())


def test_ilsqr_subtracts_the_best_fit_of_streaks(head):
    """The streaks lie in the cone, and no other volume in the cone explains more of the gradient."""
    inner = (slice(12, 44), slice(12, 42), slice(12, 36))
    grid = Grid((32, 30, 24), head.grid.voxel_size, head.grid.b0_dir)
    rng = np.random.default_rng(0)
    chi = head.chi[inner] + 0.02 * rng.standard_normal(grid.shape).astype(np.float32)
    flat = rng.random((3, *grid.shape)).astype(np.float32)
    kernel = dipole_kernel(grid, grid.shape)
    streaks = module(ilsqr)._streaks(chi, flat, kernel, grid, 0.1, 1e-5, 500)
    cone = (np.abs(kernel) < 0.1).astype(np.float32)
    outside = np.fft.rfftn(streaks) * (1 - cone)
    assert np.linalg.norm(outside) < 1e-3 * np.linalg.norm(np.fft.rfftn(streaks))

    def slope(x):
        return convolve(gradient_adjoint(flat * gradient(x, grid.voxel_size), grid.voxel_size), cone)

    assert np.linalg.norm(slope(chi - streaks)) < 1e-3 * np.linalg.norm(slope(chi))


def test_ilsqr_takes_streaks_out(head):
    field = noisy(head)
    plain = ilsqr(field, head.mask, head.grid, threshold=0.0)
    cleaned = ilsqr(field, head.mask, head.grid)
    assert oracles.nrmse(cleaned, head.chi, head.mask) < 0.9 * oracles.nrmse(plain, head.chi, head.mask)
    assert oracles.relative(cleaned, plain) > 0.1
    left, before = (
        cone_share(c - (head.chi - head.chi[head.mask].mean()) * head.mask, head.grid) for c in (cleaned, plain)
    )
    assert left < before


def test_star_has_fewer_streaks_about_a_strong_source(head):
    """A bleed of 1 ppm: at the λ that keeps weak contrast, the first level spares the rest its streaks."""
    x, y, z = head.grid.axes()
    bleed = ((x + 8) ** 2 + (y - 12) ** 2 + (z - 8) ** 2 < 5**2).astype(np.float32)
    chi = head.chi + bleed
    field = noisy(head) + oracles.free_space_field(bleed, head.grid.voxel_size, head.grid.b0_dir)
    noise = 0.1 * bleed * np.random.default_rng(1).standard_normal(head.mask.shape)  # no signal left in it
    field = ((field + noise) * head.mask).astype(np.float32)
    tissue = head.mask & ((x + 8) ** 2 + (y - 12) ** 2 + (z - 8) ** 2 > 7**2)
    two = star(field, head.mask, head.grid)
    for regularisation in (1e-4, 2e-4, 2e-3):
        one = tv(field, head.mask, head.grid, regularisation=regularisation)
        assert oracles.nrmse(two, chi, tissue) < 0.7 * oracles.nrmse(one, chi, tissue)
    assert two[bleed > 0].mean() == pytest.approx(1, abs=0.2)


def test_star_without_strong_sources_is_tv(head):
    """Nothing is set apart; both refer to the whole mask."""
    found = star(noisy(head), head.mask, head.grid, source=10.0, weak=2e-4, pad=25.0)
    expected = tv(noisy(head), head.mask, head.grid, regularisation=2e-4, pad=25.0)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def slow_medi(tiny, weight, smooth, regularisation):
    """The minimiser of ½‖W(Dχ − field)‖² + λ‖M∇χ‖₁ by dense reweighted least squares, in double precision."""
    units = np.eye(tiny.mask.size, dtype=np.float32).reshape(-1, *tiny.grid.shape)
    slopes = np.stack([gradient(u, SIZE).ravel() for u in units], axis=1).astype(float)[smooth.ravel()]
    model = weight.ravel()[:, None].astype(float) * tiny.dense
    right = model.T @ (weight.ravel() * tiny.field.ravel())
    chi, floor = np.zeros(tiny.mask.size), 1e-2
    for _ in range(120):
        size = np.sqrt((slopes @ chi) ** 2 + floor**2)
        normal = model.T @ model + regularisation * slopes.T @ (slopes / size[:, None])
        chi = np.linalg.solve(normal + 1e-9 * np.eye(chi.size), right)
        floor = max(0.85 * floor, 1e-7)
    return chi


def test_medi_minimises_its_objective(tiny):
    regularisation = 2e-3
    weight = field_weight(tiny.magnitude, SHORT, tiny.mask)
    smooth = edges.away_from_edges(tiny.magnitude[..., 0], tiny.mask, SIZE, 0.3)

    def objective(chi):
        apart = weight.ravel() * (tiny.dense @ chi.ravel() - tiny.field.ravel())
        slopes = gradient(chi.reshape(tiny.grid.shape).astype(np.float32), SIZE)[smooth]
        return 0.5 * apart @ apart + regularisation * np.abs(slopes).sum()

    best = slow_medi(tiny, weight, smooth, regularisation)
    settings = {"regularisation": regularisation, "merit": False, "pad": 0, "tolerance": 0, "max_iterations": 3000}
    found = invert(medi, tiny.field, tiny.mask, tiny.grid, SHORT, tiny.magnitude, penalty=30.0, **settings)
    np.testing.assert_allclose(found, referred(best.reshape(tiny.mask.shape), tiny), atol=0.02 * np.abs(best).max())
    assert objective(best) < 0.8 * objective(np.zeros_like(best))


def test_medi_without_edges_is_tv_at_small_phases(head):
    settings = {"regularisation": 5e-4, "tolerance": 1e-4, "max_iterations": 400}
    found = invert(medi, noisy(head), head.mask, head.grid, SHORT, edges=0.0, merit=False, **settings)
    expected = tv(noisy(head), head.mask, head.grid, **settings)
    assert oracles.relative(found, expected) < 0.01


def test_medi_stops_near_the_minimum(head):
    """Objective of a block that fills its volume, nonlinear, with edges: what the default tolerance costs."""
    inner = (slice(12, 44), slice(12, 42), slice(12, 36))
    grid = Grid((32, 30, 24), head.grid.voxel_size, head.grid.b0_dir)
    mask, chi = np.ones(grid.shape, bool), head.chi[inner] - head.chi[inner].mean()
    kernel = dipole_kernel(grid, grid.shape)
    field = convolve(chi, kernel) + 0.003 * np.random.default_rng(0).standard_normal(grid.shape).astype(np.float32)
    magnitude = np.exp(-25 * TE) * (1 + 3 * chi)[..., None]
    weight = field_weight(magnitude, TE, mask)
    scale = rad_per_ppm(B0, effective_echo_time(magnitude, TE, mask))
    combined = np.sqrt((magnitude**2).sum(axis=-1)).astype(np.float32)
    smooth = edges.away_from_edges(combined, mask, grid.voxel_size, 0.3)

    def objective(**settings):
        x = invert(medi, field, mask, grid, magnitude=magnitude, regularisation=1e-3, merit=False, pad=0, **settings)
        variation = np.abs(gradient(x, grid.voxel_size))[smooth].sum()
        return misfit(x, field, weight, kernel, scale) + 1e-3 * float(variation)

    best = objective(tolerance=0, max_iterations=2000, relaxation=1.0, penalty=50.0)
    assert objective(tolerance=1e-4, max_iterations=1000) == pytest.approx(best, rel=2e-3)
    assert best <= objective() < 1.05 * best


def test_medi_keeps_the_edges_of_the_magnitude(head):
    """Where the magnitude has the edges of χ, jumps keep more of their height than under total variation."""
    magnitude = np.exp(-25 * TE) * ((1 + 3 * head.chi) * head.mask)[..., None]
    iron = head.chi > 0.15
    heights = [
        invert(medi, noisy(head), head.mask, head.grid, magnitude=magnitude, regularisation=2e-3, edges=e)[iron].mean()
        for e in (0.0, 0.3)
    ]
    assert heights[1] > 1.05 * heights[0]
    errors = [
        oracles.nrmse(
            invert(medi, noisy(head), head.mask, head.grid, magnitude=magnitude, edges=e), head.chi, head.mask
        )
        for e in (0.0, 0.3)
    ]
    assert errors[1] < 0.9 * errors[0]


def test_merit_ignores_corrupted_voxels(head):
    rng = np.random.default_rng(0)
    spoilt = head.mask & (rng.random(head.mask.shape) < 0.002)
    field = noisy(head) + 0.1 * spoilt.astype(np.float32)
    plain = invert(medi, noisy(head), head.mask, head.grid)
    harm = [oracles.relative(invert(medi, field, head.mask, head.grid, merit=m), plain) for m in (False, True)]
    assert harm[1] < 0.6 * harm[0]


def test_edges_are_the_stated_share(head):
    image = gaussian_filter(np.random.default_rng(0).standard_normal(head.mask.shape), 1).astype(np.float32)
    for fraction in (0.0, 0.3, 1.0):
        smooth = edges.away_from_edges(image, head.mask, head.grid.voxel_size, fraction)
        assert 1 - smooth[:, head.mask].mean() == pytest.approx(fraction, abs=1e-3)
    steep = np.abs(gradient(image, head.grid.voxel_size))[:, head.mask]
    smooth = edges.away_from_edges(image, head.mask, head.grid.voxel_size, 0.3)[:, head.mask]
    assert steep[smooth].max() <= steep[~smooth].min()


@pytest.mark.parametrize("threads", ["1", "3"])
def test_edge_variation_shrinks_away_from_edges_alone(threads, monkeypatch):
    monkeypatch.setenv("QSMBENCH_THREADS", threads)
    rng = np.random.default_rng(0)
    shape = (7, 6, 5)
    chi, previous = rng.standard_normal((2, *shape)).astype(np.float32)
    dual = rng.standard_normal((3, *shape)).astype(np.float32)
    smooth = rng.random(dual.shape) < 0.6
    t, relaxation = 0.4, 1.7

    def shrunk(s):
        return np.where(smooth, np.sign(s) * np.maximum(np.abs(s) - t, 0), s)

    expected = dual + relaxation * (gradient(chi, SIZE) - shrunk(dual))
    change = total_variation.step(dual, chi, previous, SIZE, t, relaxation, smooth)
    np.testing.assert_allclose(dual, expected, atol=1e-5)
    assert change == pytest.approx(np.linalg.norm(chi - previous) / np.linalg.norm(chi), rel=1e-5)
    out, plain = np.empty((2, *shape), np.float32)
    total_variation.adjoint(dual, out, SIZE, t, where=smooth)
    np.testing.assert_allclose(out, gradient_adjoint(2 * shrunk(dual) - dual, SIZE), atol=1e-5)
    everywhere = np.ones_like(smooth)
    total_variation.adjoint(dual, out, SIZE, t, where=everywhere)
    total_variation.adjoint(dual, plain, SIZE, t)
    np.testing.assert_allclose(out, plain, atol=1e-6)


def test_more_regularisation_gives_less_variation(head):
    for method, values in (
        (medi, (5e-5, 5e-4, 5e-3)),
        (cgls, (1e-3, 1e-2, 0.1)),
        (star, None),
        (rts, (1e-5, 1e-3, 0.1)),
    ):
        settings = [{"regularisation": v} for v in values] if values else [{"weak": v} for v in (5e-5, 5e-4, 5e-3)]
        variation = [
            np.abs(gradient(invert(method, noisy(head), head.mask, head.grid, **s), head.grid.voxel_size)).sum()
            for s in settings
        ]
        assert variation[0] > variation[1] > variation[2]
