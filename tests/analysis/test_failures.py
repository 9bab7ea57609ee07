"""What failed: one line a reason, however many chains and datasets it hit."""

import numpy as np
import pandas as pd
import pytest
from invented_study import CHAINS, scores, write_study

from qsmbench.analysis.failures import Missing, failures, not_scored
from qsmbench.analysis.results import read_study

HEAD = "head_brain-3t"


@pytest.fixture
def study_of(tmp_path):
    return lambda table: read_study(write_study(tmp_path / "s", table, pictures=False))


def test_nothing_is_missing(study_of):
    study = study_of(scores(CHAINS))
    assert failures(study) == not_scored(study) == []


def test_chains_that_fail_for_one_reason_are_joined(study_of):
    failed = [("romeo.a", None, "failed: no: image"), ("romeo.b", None, "failed: no: image"), ("c", 1, "odd")]
    assert failures(study_of(scores(CHAINS, failed=failed))) == [
        Missing((f"{HEAD}, seeds 0, 1",), ("romeo.a", "romeo.b"), "failed", "no: image"),
        Missing((f"{HEAD}, seed 1",), ("c",), "", "odd"),
    ]


def test_the_chains_of_a_data_set_that_could_not_be_made_are_not_listed(study_of):
    failed = [("", 1, "missing: scan.nii"), ("romeo.a", 1, "missing: scan.nii"), ("romeo.b", 0, "memory: 8 MiB")]
    assert failures(study_of(scores(CHAINS, failed=failed))) == [
        Missing((f"{HEAD}, seed 1",), (), "missing", "scan.nii"),
        Missing((f"{HEAD}, seed 0",), ("romeo.b",), "memory", "8 MiB"),
    ]


def test_several_groups_and_measured_scans(study_of):
    lost = [scores([], failed=[("", None, "failed: x")], group=g) for g in ("a", "b")]
    lost[1]["seed"] = np.nan
    assert failures(study_of(pd.concat(lost))) == [Missing(("a, seeds 0, 1", "b"), (), "failed", "x")]


def test_a_failure_is_no_lack_of_a_metric(study_of):
    study = study_of(scores(CHAINS, failed=[("b", 0, "failed: x")], not_scored=[("romeo", "unwrapped", "no metric")]))
    assert not_scored(study) == [Missing((f"{HEAD}, seeds 0, 1",), ("romeo",), "", "no metric")]
    assert [m.chains for m in failures(study)] == [("b",)]
