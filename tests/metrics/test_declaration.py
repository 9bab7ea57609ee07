"""Metrics declare what they are, and are found by name."""

import math
import re
import subprocess
import sys

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
    assert math.isfinite(m.best) or name == "mean"


def test_all_metrics_are_there():
    expected = {"nrmse", "detrended_nrmse", "detrended_slope", "correlation", "hfen", "xsim", "mean", "bias"}
    expected |= {"dgm_slope", "dgm_intercept", "dgm_r2", "coverage", "data_consistency"}
    assert set(metrics.names()) >= expected


def test_unknown_metric_is_refused_with_the_legal_names():
    with pytest.raises(QsmbenchError, match=r"unknown metric 'ssim'; there are .*nrmse"):
        metrics.find("ssim")


def test_illegal_parameter_is_refused():
    def sharpness(estimate, magnetisation):
        return 0.0

    with pytest.raises(TypeError, match="metric sharpness: no 'magnetisation' to consume"):
        metrics.metric(unit="", best=0.0, higher_is_better=False, reference="")(sharpness)


def test_illegal_artifact_is_refused():
    def sharpness(estimate):
        return 0.0

    with pytest.raises(TypeError, match="'qsm' is no artifact"):
        metrics.metric(unit="", best=0.0, higher_is_better=False, reference="", artifacts=("qsm",))(sharpness)


def test_distance_and_unit():
    assert metrics.find("dgm_slope").distance(0.8) == pytest.approx(0.2)
    assert metrics.find("bias").unit_of("chi") == "ppm"
    assert metrics.find("bias").unit_of("r2star") == "1/s"
    assert metrics.find("nrmse").unit_of("r2star") == "%"


def test_import_is_cheap():
    code = "import sys, qsmbench.metrics as m; m.names(); sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
