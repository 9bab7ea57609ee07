"""What must hold for every reconstruction: invariances and bounds."""

import numpy as np
import pytest

from qsmbench.errors import NotApplicable
from qsmbench.metrics import find

TRUTH_METRICS = ["nrmse", "detrended_nrmse", "detrended_slope", "correlation", "hfen", "xsim"]


def value(name, head, estimate, truth=None, mask=None):
    truth = head.truth if truth is None else truth
    return find(name)(estimate, truth, head.mask if mask is None else mask)


@pytest.mark.parametrize("name", TRUTH_METRICS)
def test_offset_does_not_matter(name, head):
    plain = value(name, head, head.estimate)
    shifted = value(name, head, head.estimate.astype(float) + 0.5, head.truth.astype(float) - 0.2)
    assert shifted == pytest.approx(plain, rel=1e-9)


@pytest.mark.parametrize("name", TRUTH_METRICS)
def test_what_lies_outside_the_mask_does_not_matter(name, head):
    garbage = np.where(head.mask, head.estimate, np.nan).astype(np.float32)
    beside = np.where(head.mask, head.truth, -1e6).astype(np.float32)
    assert value(name, head, garbage, beside) == value(name, head, head.estimate)


@pytest.mark.parametrize("name", ["nrmse", "detrended_nrmse", "detrended_slope", "correlation", "hfen"])
def test_unit_of_the_maps_does_not_matter(name, head):
    scaled = value(name, head, head.estimate.astype(float) * 1000, head.truth.astype(float) * 1000)
    assert scaled == pytest.approx(value(name, head, head.estimate), rel=1e-9)


@pytest.mark.parametrize("name", TRUTH_METRICS)
def test_axes_may_be_permuted_and_flipped(name, head):
    def turn(v):
        return np.ascontiguousarray(v.transpose(2, 0, 1)[::-1])

    turned = value(name, head, turn(head.estimate), turn(head.truth), turn(head.mask))
    assert turned == pytest.approx(value(name, head, head.estimate), rel=1e-9)


@pytest.mark.parametrize("name", TRUTH_METRICS)
def test_the_truth_is_perfect(name, head):
    assert value(name, head, head.truth) == pytest.approx(find(name).best, abs=1e-12)


@pytest.mark.parametrize("name", ["nrmse", "hfen", "xsim", "detrended_nrmse"])
def test_noise_makes_it_worse(name, head):
    noise = np.random.default_rng(2).normal(size=head.truth.shape).astype(np.float32)
    worse = [find(name).distance(value(name, head, head.truth + s * noise)) for s in (0.0, 0.01, 0.03, 0.1)]
    assert worse == sorted(worse) and len(set(worse)) == 4


@pytest.mark.parametrize("seed", range(10))
def test_detrended_error_never_exceeds_the_plain_one(seed, head):
    rng = np.random.default_rng(seed)
    scale, noise = rng.uniform(-2, 3), rng.uniform(0, 0.2)
    estimate = scale * head.truth + rng.normal(0, noise, head.truth.shape)
    assert value("detrended_nrmse", head, estimate) <= value("nrmse", head, estimate)
    assert value("detrended_nrmse", head, estimate) <= 100 * (1 + 1e-12)


@pytest.mark.parametrize("name", ["nrmse", "detrended_nrmse", "correlation", "hfen"])
def test_constant_truth_is_undefined(name, head):
    with pytest.raises(NotApplicable, match="the truth is constant within the mask"):
        value(name, head, head.estimate, np.full_like(head.truth, 0.1))


@pytest.mark.parametrize("name", ["correlation", "detrended_slope"])
def test_constant_reconstruction_is_undefined(name, head):
    with pytest.raises(NotApplicable, match="the reconstruction is constant within the mask"):
        value(name, head, np.full_like(head.truth, 0.1))


@pytest.mark.parametrize("name", TRUTH_METRICS)
def test_empty_mask_is_undefined(name, head):
    with pytest.raises(NotApplicable, match="the mask is empty"):
        value(name, head, head.estimate, mask=np.zeros_like(head.mask))


def test_an_empty_map_is_a_hundred_after_detrending_too(head):
    assert value("detrended_nrmse", head, np.zeros_like(head.truth)) == 100
