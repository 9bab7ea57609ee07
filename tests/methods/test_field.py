"""Fits over echoes: exact without noise, at the Cramér–Rao bound with it; the noise map against what is observed."""

import numpy as np
import pytest
import scipy.ndimage
import scipy.optimize

from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid
from qsmbench.methods.field.fit import fit
from qsmbench.methods.field.nonlinear_fit import nonlinear_fit
from qsmbench.methods.unwrap.romeo import romeo
from qsmbench.ops.arrays.smooth import smooth_phase, smoothing_weights
from qsmbench.ops.phase.echo_line import echo_agreement, fit_line
from qsmbench.ops.phase.noise import noise_from_magnitude, noise_from_residuals, noise_from_texture
from qsmbench.units import rad_per_ppm

B0 = 3.0
EVEN, UNEVEN = [0.005, 0.010, 0.015, 0.020], [0.004, 0.009, 0.016, 0.022, 0.030]
GRID = Grid((23, 20, 17), (1.0, 1.2, 2.0))
RAD = rad_per_ppm(B0, 1.0)


@pytest.fixture(scope="module")
def smooth():
    """A mask, a field [ppm] that wraps but by less than π from voxel to voxel, and the phase of the coils [rad]."""
    x, y, z = GRID.axes()
    mask = (x / 10.5) ** 2 + (y / 11) ** 2 + (z / 15) ** 2 < 1
    field = 0.4 * np.sin(x / 5) * np.cos(y / 6) + 0.03 * z
    offset = 0.8 + 0.02 * x - 0.015 * y + 0.01 * z
    return mask, (field * mask).astype(np.float32), offset * mask


def measure(field, te, amplitude, sigma, seed=0, offset=0.0, r2star=30.0):
    """Wrapped phase, magnitude and true phase of a field [ppm], with noise `sigma` in real and imaginary part."""
    rng = np.random.default_rng(seed)
    te = np.array(te)
    true = np.asarray(offset)[..., None] + RAD * field[..., None] * te
    signal = np.asarray(amplitude)[..., None] * np.exp(-r2star * te + 1j * true)
    signal = signal + sigma * (rng.standard_normal(true.shape) + 1j * rng.standard_normal(true.shape))
    return np.angle(signal).astype(np.float32), np.abs(signal).astype(np.float32), true


def fitted(method, phase, magnitude, true, mask, te, grid=GRID, **settings):
    """`fit` of the phase, unwrapped with the truth's turns, or `nonlinear_fit` of the wrapped phase."""
    te = np.array(te)
    if method is nonlinear_fit:
        return nonlinear_fit(phase, magnitude, mask, grid, te, B0, **settings)
    unwrapped = true + np.angle(np.exp(1j * (phase - true)))
    return fit(unwrapped.astype(np.float32), magnitude, mask, grid, te, B0, **settings)


def bound(te, amplitude, sigma, free, r2star=30.0):
    """Cramér–Rao bound of the field's standard deviation [ppm], the phase at TE = 0 being free or known."""
    te = np.array(te)
    w = (np.asarray(amplitude)[..., None] * np.exp(-r2star * te)) ** 2 / sigma**2
    s0, s1, s2 = w.sum(-1), w @ te, w @ te**2
    return np.sqrt(s0 / (s0 * s2 - s1**2) if free else 1 / s2) / RAD


@pytest.mark.parametrize("method", [fit, nonlinear_fit])
@pytest.mark.parametrize("te", [[0.006], [0.004, 0.011], EVEN, UNEVEN])
def test_noise_free_field_is_exact(method, te, smooth):
    mask, field, offset = smooth
    offset = offset if len(te) > 1 else 0 * offset
    phase, magnitude, true = measure(field, te, mask, 0.0, offset=offset)
    assert np.abs(true[mask]).max() > np.pi
    found, noise = fitted(method, phase, magnitude, true, mask, te, offset_smoothing=0.0)
    np.testing.assert_allclose(found, field, atol=2e-5)
    assert noise.max() < 1e-3
    assert not found[~mask].any() and not noise[~mask].any()


@pytest.mark.parametrize("method", [fit, nonlinear_fit])
def test_smooth_offset_is_taken_off(method, smooth):
    """A kernel that is even keeps what is linear, but for the rim."""
    mask, field, offset = smooth
    phase, magnitude, true = measure(field, UNEVEN, mask, 0.0, offset=offset)
    found, _ = fitted(method, phase, magnitude, true, mask, UNEVEN, offset_smoothing=1.5)
    inner = scipy.ndimage.distance_transform_edt(mask, sampling=GRID.voxel_size) > 6
    assert np.abs(found - field)[inner].max() < 1e-4
    assert np.abs(found - field)[mask].max() < 2e-3


@pytest.mark.parametrize("method", [fit, nonlinear_fit])
@pytest.mark.parametrize("te", [EVEN, UNEVEN])
@pytest.mark.parametrize("smoothing", [0.0, 5.0])
def test_variance_reaches_the_bound_and_the_noise_map_says_it(method, te, smoothing, smooth):
    """Monte Carlo: in each voxel, over draws of the noise, with an amplitude that differs by a factor 4."""
    mask, field, offset = smooth
    x, _, z = GRID.axes()
    amplitude = mask * (1 + 0.6 * np.tanh(x / 4) + 0 * z)
    draws = []
    for seed in range(40):
        phase, magnitude, true = measure(field, te, amplitude, 0.01, seed, offset)
        draws.append(fitted(method, phase, magnitude, true, mask, te, offset_smoothing=smoothing))
    fields, noise = (np.array([d[i][mask] for d in draws]) for i in range(2))
    expected = bound(te, amplitude[mask], 0.01, free=smoothing == 0)
    observed = fields.std(axis=0, ddof=1)
    # 40 draws leave 11 % of scatter in each voxel; the root mean square over thousands of voxels has next to none
    assert np.sqrt(np.mean((observed / expected) ** 2)) == pytest.approx(1, abs=0.04)
    for part in (amplitude[mask] < 0.7, amplitude[mask] > 1.3):
        ratio = np.sqrt(np.mean((observed / noise.mean(axis=0))[part] ** 2))
        assert ratio == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("te", [[0.012], [0.005, 0.014], [0.004, 0.008, 0.016]])
def test_noise_map_of_few_echoes(te, smooth):
    """One echo leaves no residual, two do if the offset is smooth; the magnitude's anatomy must not count as noise."""
    mask, field, _ = smooth
    x, y, z = GRID.axes()
    amplitude = mask * (1 + 0.2 * np.sign(np.sin(x / 2) * np.cos(y / 3)) + 0.1 * np.sin(z))
    draws = [measure(field, te, amplitude, 0.02, seed) for seed in range(40)]
    for method in (fit, nonlinear_fit):
        results = [fitted(method, *draw, mask, te, offset_smoothing=3.0) for draw in draws]
        fields, noise = (np.array([r[i][mask] for r in results]) for i in range(2))
        ratio = fields.std(axis=0, ddof=1) / noise.mean(axis=0)
        assert np.sqrt(np.mean(ratio**2)) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("method", ["romeo.fit", "nonlinear_fit"])
@pytest.mark.parametrize(("sigma", "r2star"), [(0.14, 60.0), (0.12, 80.0), (0.02, 40.0)])
def test_noise_map_knows_that_weak_echoes_may_be_whole_turns_off(method, sigma, r2star, smooth):
    """First-echo SNR of 6 to 40, the last of eight near zero: rare errors of the turns hold much of the scatter.

    The noise of the phase alone is 0.5 to 0.8 of it in the weaker scans.
    """
    mask, field, offset = smooth
    te = 0.005 * np.arange(1, 9)
    fields, noise = [], []
    for seed in range(8):
        phase, magnitude, _ = measure(field / 2, te, mask, sigma, seed, offset, r2star)
        if method == "nonlinear_fit":
            found, spread = nonlinear_fit(phase, magnitude, mask, GRID, te, B0)
        else:
            found, spread = fit(romeo(phase, magnitude, mask, GRID, te), magnitude, mask, GRID, te, B0)
        fields.append(found[mask])
        noise.append(spread[mask])
    ratio = np.sqrt(np.mean(np.square(noise)) / np.mean(np.var(fields, axis=0, ddof=1)))
    assert 0.85 < ratio < 1.25


def test_noise_map_of_a_fit_without_weights(smooth):
    mask, field, _ = smooth
    draws = []
    for seed in range(40):
        phase, magnitude, true = measure(field, UNEVEN, mask, 0.01, seed, r2star=60.0)
        draws.append(fitted(fit, phase, magnitude, true, mask, UNEVEN, weighting="none"))
    fields, noise = (np.array([d[i][mask] for d in draws]) for i in range(2))
    observed = np.sqrt(np.mean(fields.var(axis=0, ddof=1)))
    assert observed == pytest.approx(noise.mean(), rel=0.06)
    assert observed > 1.3 * bound(UNEVEN, 1.0, 0.01, free=False, r2star=60.0)  # the weights earn their place


@pytest.mark.parametrize("method", [fit, nonlinear_fit])
def test_late_echoes_that_do_not_agree_lose_their_weight(method, smooth):
    """In a third of the volume the last four of eight echoes are wrong by up to two radians, as beside a strong source.

    With weights by magnitude alone, the field was wrong by 25 times its noise there. The first four echoes alone give
    the bound.
    """
    mask, field, offset = smooth
    te = [0.005 * i for i in range(1, 9)]
    wrong = (mask & (GRID.axes()[0] > 4))[..., None] * np.array([0, 0, 0, 0, 0.6, 0.9, -1.1, 2.0])
    errors, noises = [], []
    for seed in range(8):
        phase, magnitude, true = measure(field, te, mask, 0.01, seed, offset)
        phase = np.angle(np.exp(1j * (phase + wrong))).astype(np.float32)
        found, noise = fitted(method, phase, magnitude, true, mask, te, offset_smoothing=0.0)
        errors.append(found - field)
        noises.append(noise)
    for part, good in ((wrong.any(-1), te[:4]), (mask & ~wrong.any(-1), te)):
        rms = np.sqrt(np.mean(np.square(errors)[:, part]))
        assert rms < 1.1 * bound(good, 1.0, 0.01, free=True)
        assert rms == pytest.approx(np.sqrt(np.mean(np.square(noises)[:, part])), rel=0.1)


@pytest.mark.parametrize("n", [4, 6])
def test_late_echoes_that_are_wrong_together_do_not_outvote_the_early_ones(n):
    """They continue a line from the first echo, which the second is not on: the first two are kept."""
    te = np.float32(0.005) * np.arange(1, n + 1, dtype=np.float32)
    rng = np.random.default_rng(0)
    values = 100 * te + rng.normal(0, 0.01, (500, n))
    values[:, 2:] += 0.3 * np.arange(2, n)  # some of these agree with each other …
    values[:, -1] += 0.2 * (n > 4)  # … but not all
    magnitude = np.ones(values.shape, np.float32)
    factor = echo_agreement(values.astype(np.float32), magnitude, te, 0.01)
    assert factor[:, :2].mean() > 0.95
    assert factor[:, 2:].max() < 0.05


def test_an_early_echo_that_is_whole_turns_off_loses_its_weight():
    te = np.array([0.005, 0.01, 0.015, 0.02], np.float32)
    values = (100 * te + np.random.default_rng(0).normal(0, 0.01, (500, 4))).astype(np.float32)
    values[:, 1] -= np.float32(2 * np.pi)
    factor = echo_agreement(values, np.ones_like(values), te, 0.01)
    assert factor[:, 1].mean() < 0.02
    assert factor[:, [0, 2, 3]].mean() > 0.95


@pytest.mark.parametrize("method", [fit, nonlinear_fit])
@pytest.mark.parametrize("echo", [0, 1, 2, 4])
def test_a_single_echo_that_does_not_agree_loses_its_weight(method, echo, smooth):
    """The other four echoes give the bound."""
    mask, field, offset = smooth
    bad = mask & (np.random.default_rng(0).random(mask.shape) < 0.1)
    errors = []
    for seed in range(5):
        phase, magnitude, true = measure(field, UNEVEN, mask, 0.01, seed, offset)
        phase[bad, echo] += 0.4
        phase = np.angle(np.exp(1j * phase)).astype(np.float32)
        found, noise = fitted(method, phase, magnitude, true, mask, UNEVEN, offset_smoothing=0.0)
        errors.append((found - field)[bad] / noise[bad])
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("method", [fit, nonlinear_fit])
def test_noise_map_knows_voxels_that_follow_no_line(method, smooth):
    """With three echoes there is no telling which is wrong, but their noise is no longer that of the others."""
    mask, field, offset = smooth
    te = [0.004, 0.009, 0.016]
    phase, magnitude, true = measure(field, te, mask, 0.01, offset=offset)
    bad = mask & (np.random.default_rng(0).random(mask.shape) < 0.05)
    phase[bad, 1] += 0.3
    phase = np.angle(np.exp(1j * phase)).astype(np.float32)
    settings = {"offset_smoothing": 0.0, "robust": False}
    found, noise = fitted(method, phase, magnitude, true, mask, te, **settings)
    plain = bound(te, 1.0, 0.01, free=True)
    assert np.median(noise[bad]) > 5 * plain
    assert np.median(noise[mask & ~bad]) == pytest.approx(plain, rel=0.1)
    assert np.median(np.abs(found - field)[bad] / noise[bad]) < 2


def test_noise_from_residuals_is_robust_to_some_voxels():
    """A tenth of the voxels, whose phase is no line over TE, moves the estimate by a few per cent."""
    te = np.array(UNEVEN, np.float32)
    field = np.zeros((40, 40, 10))
    phase, magnitude, _ = measure(field, te, np.ones_like(field), 0.02)
    values, signal = phase.reshape(-1, te.size), magnitude.reshape(-1, te.size)
    assert noise_from_residuals(values, signal, te) == pytest.approx(0.02, rel=0.02)
    values[::10, 2] += 1.0
    assert noise_from_residuals(values, signal, te) == pytest.approx(0.02, rel=0.12)
    signal[::3] = 0
    assert noise_from_residuals(values, signal, te) == pytest.approx(0.02, rel=0.12)


@pytest.mark.parametrize("shape", [(30, 30, 30), (220, 190, 1)])
def test_noise_from_texture_is_that_of_the_noise(shape):
    rng = np.random.default_rng(1)
    image = rng.standard_normal(shape) * 0.03 + 5
    image += np.arange(shape[0])[:, None, None] ** 2 + (np.arange(shape[1]) % 5 > 2)[:, None]
    assert noise_from_texture(image, np.ones(shape, bool)) == pytest.approx(0.03, rel=0.03)
    assert noise_from_texture(image, np.zeros(shape, bool)) == 0


def test_noise_from_magnitude_takes_the_air_where_there_is_more_anatomy(smooth):
    mask, field, _ = smooth
    rng = np.random.default_rng(2)
    amplitude = mask * (1 + 0.3 * rng.standard_normal(mask.shape))  # all texture
    magnitude = measure(field, [0.005], amplitude, 0.02)[1][..., 0]
    assert noise_from_texture(magnitude, mask) > 0.2
    assert noise_from_magnitude(magnitude, mask) == pytest.approx(0.02, rel=0.05)
    blank = magnitude * mask
    assert noise_from_magnitude(blank, mask) == noise_from_texture(blank, mask)
    assert noise_from_magnitude(magnitude, np.ones_like(mask)) > 0


def test_noise_map_where_there_is_no_signal_is_that_of_unknown_phase(smooth):
    mask, field, _ = smooth
    amplitude = mask.astype(float)
    amplitude[10:13, 9:12, 7:10] = 0
    phase, magnitude, true = measure(field, EVEN, amplitude, 0.0)
    for method in (fit, nonlinear_fit):
        _, noise = fitted(method, phase, magnitude, true, mask, EVEN)
        unknown = np.pi / np.sqrt(3 * (np.array(EVEN) ** 2).sum()) / RAD
        np.testing.assert_allclose(noise[11, 10, 8], unknown, rtol=0.05)
        assert np.isfinite(noise).all()


def test_smoothing_weights_are_those_of_the_smoothing():
    """Against the smoothing of an impulse and of noise, both small, so that the phase's smoothing is linear."""
    grid, sigma = Grid((41, 37, 31), (1.0, 1.2, 2.0)), 3.0
    own, squares = smoothing_weights(grid, sigma)
    impulse = np.zeros(grid.shape, np.float32)
    impulse[20, 18, 15] = 0.1
    everywhere = np.ones(grid.shape, bool)
    answer = smooth_phase(impulse, np.ones_like(impulse), everywhere, grid, sigma) / 0.1
    assert answer[20, 18, 15] == pytest.approx(own, rel=0.02)
    assert (answer**2).sum() == pytest.approx(squares, rel=0.02)
    np.testing.assert_allclose(smoothing_weights(grid, 0.0), (1, 1))


def test_fit_line_is_the_weighted_least_squares_line():
    rng = np.random.default_rng(3)
    te = np.array(UNEVEN)
    values, weight = rng.standard_normal((6, 5)), rng.uniform(0.1, 2, (6, 5))
    intercept, slope, information = fit_line(values, weight, te)
    for v, w, a, b, i in zip(values, weight, intercept, slope, information, strict=True):
        design = np.stack([np.ones(5), te], axis=1)
        normal = design.T @ (w[:, None] * design)
        np.testing.assert_allclose([a, b], np.linalg.solve(normal, design.T @ (w * v)), rtol=1e-9)
        np.testing.assert_allclose(1 / i, np.linalg.inv(normal)[0, 0], rtol=1e-9)


def test_nonlinear_fit_reaches_the_minimum(smooth):
    """Against a dense search of both parameters, refined, at SNR 7 in the first echo and 3 in the last."""
    mask, field, offset = smooth
    te = np.array(UNEVEN)
    phase, magnitude, _ = measure(field, te, mask, 0.12, offset=offset)
    found, _ = nonlinear_fit(phase, magnitude, mask, GRID, te, B0, offset_smoothing=0.0, iterations=40)
    worse = 0
    chosen = np.argwhere(mask)[::97]
    for i, j, k in chosen:
        signal = magnitude[i, j, k] * np.exp(1j * phase[i, j, k].astype(float))

        def cost(p, signal=signal):
            return -np.abs(np.vdot(np.exp(1j * p * te), np.abs(signal) * signal))  # the best offset is built in

        slopes = RAD * found[i, j, k] + np.linspace(-300, 300, 601)
        best = slopes[np.argmin([cost(p) for p in slopes])]
        reference = scipy.optimize.minimize_scalar(cost, bounds=(best - 2, best + 2), method="bounded").fun
        scale = (np.abs(signal) ** 2).sum()
        worse += cost(RAD * found[i, j, k]) > reference + 1e-4 * scale
    assert worse <= 0.02 * len(chosen)


def test_nonlinear_fit_is_the_linear_one_where_noise_is_small(smooth):
    mask, field, offset = smooth
    phase, magnitude, true = measure(field, UNEVEN, mask, 0.002, offset=offset)
    linear, linear_noise = fitted(fit, phase, magnitude, true, mask, UNEVEN)
    nonlinear, noise = fitted(nonlinear_fit, phase, magnitude, true, mask, UNEVEN)
    difference = (nonlinear - linear)[mask]
    assert difference.std() < 0.02 * (linear - field)[mask].std()
    np.testing.assert_allclose(noise[mask], linear_noise[mask], rtol=1e-2)


def test_nonlinear_fit_does_not_mind_turns_of_late_echoes(smooth):
    """Where R2* leaves the last echoes at SNR 1, half of them lie on a wrong turn of a line that is fitted to them."""
    mask, field, _ = smooth
    phase, magnitude, true = measure(field, UNEVEN, mask, 0.05, r2star=100.0)
    found, _ = fitted(nonlinear_fit, phase, magnitude, true, mask, UNEVEN)
    expected = bound(UNEVEN, 1.0, 0.05, free=False, r2star=100.0)
    assert (found - field)[mask].std() < 1.1 * expected
    turned = phase.copy()
    turned[..., 3:] += np.float32(2 * np.pi)
    again, _ = fitted(nonlinear_fit, turned, magnitude, true, mask, UNEVEN)
    np.testing.assert_allclose(again, found, atol=1e-4)


def test_unknown_weighting_is_refused(smooth):
    mask, field, _ = smooth
    phase, magnitude, true = measure(field, EVEN, mask, 0.0)
    with pytest.raises(QsmbenchError, match="weighting is 'snr'; choose from magnitude, none"):
        fitted(fit, phase, magnitude, true, mask, EVEN, weighting="snr")
