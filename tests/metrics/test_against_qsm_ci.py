"""Agreement with the scorer of QSM-CI where it computes the same, and why ours differs where it does not."""

import numpy as np
import pytest

from qsmbench.metrics import find

qsm_ci = pytest.importorskip("qsm_ci.qsm_eval")


def test_nrmse_agrees(head):
    theirs, _ = qsm_ci.nrmse_challenge(head.estimate.astype(float), head.truth.astype(float), head.mask)
    assert find("nrmse")(head.estimate, head.truth, head.mask) == pytest.approx(theirs, rel=1e-6)


def test_correlation_agrees(head):
    theirs = qsm_ci.correlation(head.estimate.astype(float), head.truth.astype(float), head.mask)
    assert find("correlation")(head.estimate, head.truth, head.mask) == pytest.approx(theirs, rel=1e-6)


def test_dgm_slope_agrees(head):
    nuclei = np.where(head.labels <= 3, head.labels, 0)
    theirs = qsm_ci.dgm_linearity(head.estimate.astype(float), head.truth.astype(float), nuclei)
    ours = find("dgm_slope")(head.estimate, head.truth, head.mask, head.labels, head.regions)
    assert abs(1 - ours) == pytest.approx(theirs, rel=1e-6)


def test_fitting_in_the_wrong_direction_raises_the_error_it_should_lower(head):
    """Regressing the reconstruction on the truth, then inverting the line, amplifies the noise."""
    plain, theirs = qsm_ci.nrmse_challenge(head.estimate.astype(float), head.truth.astype(float), head.mask)
    ours = find("detrended_nrmse")(head.estimate, head.truth, head.mask)
    assert theirs > plain > ours
    # With correlation r, the best line leaves √(1 − r²) and the inverted one √(1/r² − 1).
    r = find("correlation")(head.estimate, head.truth, head.mask)
    assert ours == pytest.approx(100 * np.sqrt(1 - r**2), rel=1e-6)
    assert theirs == pytest.approx(100 * np.sqrt(1 / r**2 - 1), rel=1e-6)


def test_unmasked_edges_leak_into_their_hfen(head):
    """The air around the head fills both norms: every masked reconstruction scores about 100 %."""
    good = np.where(head.mask, head.truth, 0)  # perfect inside the mask
    assert qsm_ci.hfen(good, head.truth, head.mask) > 95
    assert find("hfen")(good, head.truth, head.mask) == 0
    bad = head.estimate
    assert qsm_ci.hfen(bad, head.truth, head.mask) == pytest.approx(100, abs=1)
    assert 20 < find("hfen")(bad, head.truth, head.mask) < 90


def test_hfen_agrees_once_both_maps_are_masked(head):
    """What is left is the kernel: 15 voxels with sum zero here, 17 there."""
    cut = [np.where(head.mask, v - v[head.mask].mean(), 0) for v in (head.estimate, head.truth)]
    ours = find("hfen")(head.estimate, head.truth, head.mask)
    assert ours == pytest.approx(qsm_ci.hfen(*cut, head.mask), rel=5e-3)


def test_unmasked_air_leaks_into_their_xsim(head):
    good = np.where(head.mask, head.truth, 0)
    assert qsm_ci.xsim(good, head.truth, head.mask) < 0.85
    assert find("xsim")(good, head.truth, head.mask) == 1


def test_xsim_differs_by_its_window_only(head):
    """Same constants: deep inside the mask, Gaussian 7³ and uniform 5³ windows rank and size alike."""
    cut = [np.where(head.mask, v - v[head.mask].mean(), 0).astype(float) for v in (head.estimate, head.truth)]
    theirs = qsm_ci.xsim(*cut, head.mask)
    assert find("xsim")(head.estimate, head.truth, head.mask) == pytest.approx(theirs, abs=0.05)
