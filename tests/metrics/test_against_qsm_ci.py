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


def scored(head, estimate):
    """What `qsm-ci run --truth` of version 0.6.2 prints."""
    return qsm_ci.score_arrays(estimate.astype(float), head.truth.astype(float), head.mask.astype(float), "chi")[0]


def without_offset(head):
    """The estimate with the mean of the truth."""
    return head.estimate - (head.estimate - head.truth)[head.mask].mean()


def test_hfen_differs_by_its_kernel(head):
    """15 voxels with sum zero here, 17 there; both maps are zero outside the mask."""
    theirs = scored(head, without_offset(head))["hfen"]
    assert find("hfen")(head.estimate, head.truth, head.mask) == pytest.approx(theirs, rel=0.02)


def test_xsim_differs_by_its_window(head):
    """Same constants; a Gaussian window of 7³ here, as its authors published it, and a uniform one of 5³ there."""
    theirs = scored(head, without_offset(head))["xsim"]
    assert find("xsim")(head.estimate, head.truth, head.mask) == pytest.approx(theirs, abs=0.1)


@pytest.mark.parametrize("name", ["hfen", "xsim"])
def test_a_constant_added_to_chi_counts_there_and_not_here(head, name):
    """χ is known up to a constant. There it makes a step at the edge of the mask."""
    more = np.where(head.mask, head.truth + 0.05, 0)
    ours, theirs = find(name)(more, head.truth, head.mask), scored(head, more)[name]
    assert ours == pytest.approx(find(name).best, abs=1e-4) and abs(theirs - ours) > 0.1
    good = np.where(head.mask, head.truth, 0)
    assert scored(head, good)[name] == pytest.approx(find(name).best)


def test_coverage_agrees(head):
    theirs = scored(head, np.where(head.eroded, head.estimate, 0))["coverage"]
    assert find("coverage")(head.eroded, head.mask) == pytest.approx(100 * theirs)
