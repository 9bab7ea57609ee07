"""The baselines in this repository are of the suites in `configs/`; after a change of a suite, run `make baseline`."""

import pytest

from qsmbench.gate.baseline import read_baseline
from qsmbench.paths import data_dir
from qsmbench.study.config import load
from qsmbench.study.plan import Plan

ROOT = data_dir()
FOLDER = ROOT / "results" / "baseline"


@pytest.mark.skipif(not FOLDER.is_dir(), reason="no baselines in results/baseline")
@pytest.mark.parametrize("name", ["gate", "regression"])
def test_a_baseline_is_of_its_suite(name):
    kept, suite = read_baseline(FOLDER / f"{name}.parquet"), load(ROOT / "configs" / f"{name}.yaml")
    assert kept.study == name and set(kept.scans) == set(Plan(suite).datasets) and all(kept.scans.values())
    scored = kept.scores[kept.scores["value"].notna()]
    pairs = {(d, c) for d, c in scored[["dataset", "chain"]].itertuples(index=False)}
    assert pairs >= {(d, c) for d in kept.scans for c in suite.chains}
    assert kept.scores.loc[kept.scores["metric"] == "status", "reason"].tolist() == []
    assert not kept.stochastic
