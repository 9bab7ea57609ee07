"""R2*: exact without noise, at the Cramér–Rao bound with little, and not biased by the noise floor."""

import numpy as np
import pytest
import scipy.integrate
import scipy.optimize

from qsmbench.errors import NotApplicable, QsmbenchError
from qsmbench.method import collected
from qsmbench.methods.contrast.arlo import arlo
from qsmbench.methods.contrast.r2star_log import r2star_log
from qsmbench.methods.contrast.r2star_nonlinear import r2star_nonlinear
from qsmbench.ops.phase.rician import rician_mean

EVEN, UNEVEN = np.arange(1, 9) * 0.004, np.array([0.003, 0.007, 0.013, 0.018, 0.026])
METHODS = [r2star_log, arlo, r2star_nonlinear]
SHAPE = (21, 22, 23)


def decay(r2star, te, sigma=0.0, seed=0, amplitude=1.0):
    """Magnitude of exponentials with noise `sigma` in real and imaginary part."""
    rng = np.random.default_rng(seed)
    signal = (amplitude * np.exp(-np.asarray(r2star)[..., None] * te)).astype(complex)
    signal += sigma * (rng.standard_normal(signal.shape) + 1j * rng.standard_normal(signal.shape))
    return np.abs(signal).astype(np.float32)


@pytest.fixture(scope="module")
def rates():
    mask = np.ones(SHAPE, bool)
    mask[:, :2] = False
    return mask, np.broadcast_to(np.linspace(5, 120, SHAPE[2]), SHAPE) * mask


@pytest.mark.parametrize("te", [EVEN, UNEVEN])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 4e3])
def test_noise_free_rates_are_exact(te, scale, rates):
    mask, true = rates
    magnitude = decay(true, te, amplitude=scale)
    for method in (r2star_log, r2star_nonlinear):
        found = method(magnitude, mask, te)
        np.testing.assert_allclose(found, true, atol=2e-3)
        assert not found[~mask].any()


def test_arlo_is_as_exact_as_simpson_s_rule(rates):
    """Its error is that of the integral: of fourth order in R2*·spacing if even, of third if not."""
    mask, true = rates
    error = (arlo(decay(true, EVEN), mask, EVEN) - true)[mask]
    assert (np.abs(error) <= 1e-4 + (true[mask] * 0.004) ** 4 * true[mask] / 90).all()
    uneven = (arlo(decay(true, UNEVEN), mask, UNEVEN) - true)[mask]
    assert (np.abs(uneven) <= 1e-4 + (true[mask] * 0.008) ** 3 * true[mask] / 36).all()
    by_turns = np.cumsum([0.004, 0.004, 0.006, 0.004, 0.006, 0.004, 0.006])
    share = arlo(decay(np.full((1, 1, 1), 100.0), by_turns), np.ones((1, 1, 1), bool), by_turns)[0, 0, 0] / 100
    assert abs(share - 1) == pytest.approx(0.001, abs=2e-4)


@pytest.mark.parametrize(("te", "noted"), [(EVEN, False), (UNEVEN, True)])
def test_arlo_says_where_it_extends_the_publication(rates, te, noted):
    mask, true = rates
    with collected() as notes:
        arlo(decay(true, te), mask, te)
    assert ("echo spacing" in notes) == noted


def test_arlo_is_the_least_squares_prediction_of_the_third_echo():
    """As Pei defines it: of each triple the last echo is predicted from the two before it; found by search."""
    te = EVEN
    magnitude = decay(np.full((4, 1, 1), 40.0), te, 0.05)
    found = arlo(magnitude, np.ones((4, 1, 1), bool), te)
    third = (te[1] - te[0]) / 3
    for s, r in zip(magnitude[:, 0, 0].astype(float), found[:, 0, 0], strict=True):

        def cost(t2, s=s):
            predicted = ((t2 - third) * s[:-2] - 4 * third * s[1:-1]) / (t2 + third)
            return ((s[2:] - predicted) ** 2).sum()

        best = scipy.optimize.minimize_scalar(cost, bounds=(0.005, 0.2), method="bounded", options={"xatol": 1e-9}).x
        assert 1 / best == pytest.approx(r, rel=1e-3)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("te", [EVEN, UNEVEN])
def test_precision_at_good_signal(method, te):
    """Monte Carlo at SNR 100: at the bound; ARLO, which is no maximum of the likelihood, within a fifth of it."""
    sigma, rate = 0.01, 40.0
    magnitude = decay(np.full((30, 30, 30), rate), te, sigma)
    error = method(magnitude, np.ones((30, 30, 30), bool), te) - rate
    w = np.exp(-2 * rate * te) / sigma**2
    bound = np.sqrt(w.sum() / (w.sum() * (w @ te**2) - (w @ te) ** 2))
    assert error.std() == pytest.approx(bound, rel=0.2 if method is arlo else 0.03)
    assert abs(error.mean()) < 0.1 * bound + (0.004 * rate if method is arlo else 0)


@pytest.mark.parametrize("noise", [None, 0.02])
def test_noise_floor_is_no_slow_decay(noise):
    """SNR 50 and R2* = 200/s: the last echoes hold noise alone, and an exponential that is fitted to them is slow."""
    rate, te, sigma = 200.0, EVEN, 0.02
    magnitude = decay(np.full((30, 30, 30), rate), te, sigma)
    mask = np.ones((30, 30, 30), bool)
    found = r2star_nonlinear(magnitude, mask, te, noise=noise)
    plain = r2star_nonlinear(magnitude, mask, te, noise=0.0)
    assert plain.mean() < 0.97 * rate
    assert found.mean() == pytest.approx(rate, rel=0.01)
    assert np.median(found) == pytest.approx(rate, rel=0.005)
    assert r2star_log(magnitude, mask, te).mean() < 0.97 * rate


def test_nonlinear_fit_reaches_the_minimum():
    """Against a general solver from several starts, at low signal, on uneven echoes."""
    sigma = 0.1
    magnitude = decay(np.linspace(10, 150, 40)[:, None, None], UNEVEN, sigma)
    found = r2star_nonlinear(magnitude, np.ones((40, 1, 1), bool), UNEVEN, noise=sigma, r2star_max=400.0)

    def cost(p, signal):
        return ((signal - rician_mean(p[0] * np.exp(-p[1] * UNEVEN), sigma)[0]) ** 2).sum()

    for signal, r in zip(magnitude[:, 0, 0].astype(float), found[:, 0, 0], strict=True):
        bounds = [(1e-3, 10), (0, 400)]
        best = min(
            scipy.optimize.minimize(cost, (1, start), args=(signal,), bounds=bounds).fun for start in (5, 60, 200)
        )
        inner = scipy.optimize.minimize_scalar(lambda a: cost((a, r), signal), bounds=(1e-3, 10), method="bounded").fun  # noqa: B023
        assert inner <= best + 1e-5


def test_rician_mean_is_the_mean():
    """Against the integral over the distribution, and its derivative against a difference."""
    sigma = 0.7
    for signal in (0.0, 0.2, 1.0, 5.0):

        def magnitude(y, x, signal=signal):
            return np.hypot(x + signal, y) * np.exp(-(x**2 + y**2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)

        expected = scipy.integrate.dblquad(magnitude, -6, 6, -6, 6)[0]
        mean, derivative = rician_mean(np.array([signal]), sigma)
        assert mean[0] == pytest.approx(expected, rel=1e-5)
        step = rician_mean(np.array([signal + 1e-5, max(signal - 1e-5, 0)]), sigma)[0]
        assert derivative[0] == pytest.approx((step[0] - step[1]) / (2e-5 if signal else 1e-5), abs=1e-4)
    assert rician_mean(np.array([0.0]), 1.0)[0][0] == pytest.approx(np.sqrt(np.pi / 2))
    np.testing.assert_allclose(rician_mean(np.array([3e5]), 1e-3)[0], 3e5)


@pytest.mark.parametrize("method", METHODS)
def test_voxels_without_signal_and_growing_ones_stay_in_bounds(method):
    magnitude = decay(np.full((5, 5, 5), 50.0), EVEN)
    magnitude[0] = 0
    magnitude[1, ..., 1:] = 0
    magnitude[2] = magnitude[2, ..., ::-1]
    found = method(magnitude, np.ones((5, 5, 5), bool), EVEN, r2star_max=700.0)
    assert np.isfinite(found).all() and found.min() >= 0 and found.max() <= 700
    assert not found[0].any() and not found[2].any()
    np.testing.assert_allclose(found[3:], 50, rtol=1e-4)


@pytest.mark.parametrize(("method", "n"), [(r2star_log, 1), (r2star_nonlinear, 1), (arlo, 2)])
def test_too_few_echoes(method, n):
    with pytest.raises(NotApplicable, match=r"needs at least (two|three) echoes"):
        method(np.ones((2, 2, 2, n), np.float32), np.ones((2, 2, 2), bool), EVEN[:n])


def test_negative_noise_is_refused():
    with pytest.raises(QsmbenchError, match="noise is -1"):
        r2star_nonlinear(np.ones((2, 2, 2, 3), np.float32), np.ones((2, 2, 2), bool), EVEN[:3], noise=-1)
