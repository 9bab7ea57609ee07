"""Metrics declare what they are, and are found by name."""

import math
import re
import subprocess
import sys

import numpy as np
import pytest

from qsmbench import metrics
from qsmbench.errors import QsmbenchError


@pytest.mark.parametrize("name", metrics.names())
def test_every_metric_declares_itself(name):
    m = metrics.find(name)
    assert m.name == name
    assert m.label
    assert m.definition.count("\n") >= 0 and "Args" not in m.definition
    assert re.search(r"doi:10\.\d+/", m.reference) or m.reference == "qsmbench"
    without_best = {"mean", "lesion_contrast", "lesion_chi_total", "oef_asymmetry", "rim_contrast"}
    assert math.isfinite(m.best) or name in without_best


def test_all_metrics_are_there():
    expected = {"nrmse", "detrended_nrmse", "detrended_slope", "correlation", "hfen", "xsim", "mean", "bias"}
    expected |= {"dgm_slope", "dgm_intercept", "dgm_r2", "coverage", "data_consistency", "dice"}
    expected |= {"own_nrmse", "rim_nrmse", "deep_nrmse"}
    assert set(metrics.names()) >= expected


def test_unknown_metric_is_refused_with_the_legal_names():
    with pytest.raises(QsmbenchError, match=r"unknown metric 'ssim'; choose from .*nrmse"):
        metrics.find("ssim")


def test_illegal_parameter_is_refused():
    def sharpness(estimate, magnetisation):
        return 0.0

    with pytest.raises(TypeError, match="metric sharpness: unknown parameter 'magnetisation'"):
        metrics.metric(unit="", best=0.0, higher_is_better=False, reference="")(sharpness)


def test_illegal_artifact_is_refused():
    def sharpness(estimate):
        return 0.0

    with pytest.raises(TypeError, match="'qsm' is not an artifact"):
        metrics.metric(unit="", best=0.0, higher_is_better=False, reference="", artifacts=("qsm",))(sharpness)


def test_distance_and_unit():
    assert metrics.find("dgm_slope").distance(0.8) == pytest.approx(0.2)
    assert metrics.find("bias").unit_of("chi") == "ppm"
    assert metrics.find("bias").unit_of("r2star") == "1/s"
    assert metrics.find("nrmse").unit_of("r2star") == "%"


def test_import_is_cheap():
    code = "import sys, qsmbench.metrics as m; m.names(); sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def rms(estimate, truth, mask):
    """Root mean square of the error.

    Returns:
        float.
    """
    return float(np.sqrt(np.mean((estimate[mask] - truth[mask]) ** 2)))


@pytest.mark.parametrize(("artifact", "expected"), [("chi", 0.0), ("total_field", 0.0), ("r2star", 7.0)])
def test_a_metric_of_others_need_not_know_which_maps_have_a_zero_of_their_own(head, artifact, expected):
    declared = metrics.metric(unit=None, best=0.0, higher_is_better=False, reference="")(rms)
    found = declared(head.truth.astype(float) + 7, head.truth, head.mask, artifact=artifact)
    assert found == pytest.approx(expected, abs=1e-9)
    assert declared.definition == "Root mean square of the error."


@pytest.mark.parametrize(("centred", "expected"), [(None, 7.0), (True, 0.0), (False, 7.0)])
def test_a_metric_may_say_how_it_takes_maps(head, centred, expected):
    declared = metrics.metric(unit=None, best=0.0, higher_is_better=False, reference="", centred=centred)(rms)
    found = declared(head.truth.astype(float) + 7, head.truth, head.mask, artifact="r2star")
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", metrics.names())
def test_the_definition_is_all_that_is_said_before_the_sections(name):
    definition = metrics.find(name).definition
    assert definition and not re.search(r"^(Args|Returns|Raises):", definition, re.MULTILINE)
