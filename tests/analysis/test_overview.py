"""The overview: ranks, ties and what may be said, with many subjects, few, and one."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from invented_study import scores, write_study
from scipy import stats

from qsmbench.analysis.columns import column
from qsmbench.analysis.overview import overview
from qsmbench.analysis.results import read_study

CHAINS = ["truth", "romeo.a", "romeo.b", "romeo.c", "truth.a", "truth.b"]
RATIOS = {"romeo.a": 1.0, "romeo.b": 1.005, "romeo.c": 1.3, "truth.a": 0.5, "truth.b": 0.7}


def study(folder, subjects, protocols=("brain-3t", "brain-7t")):
    rng, tables = np.random.default_rng(0), []
    for protocol in protocols:
        for i in range(subjects):
            t = scores(CHAINS, seeds=2, group=f"head-subject-{i}_{protocol}")
            t["subject"], t["protocol"] = str(i), protocol
            for chain, ratio in RATIOS.items():
                own = (t["metric"] == "nrmse") & (t["chain"] == chain)
                t.loc[own, "value"] = 40 * ratio * np.exp(rng.normal(0, 0.03) + rng.normal(0, 0.005, own.sum()))
            tables.append(t)
    return read_study(write_study(folder / "s", pd.concat(tables), pictures=False))


def of(s):
    return overview(s, "chi", column("nrmse", "%"), "study")


def test_cells_are_geometric_means_over_subjects_with_intervals(tmp_path):
    s = study(tmp_path, 8)
    found = of(s)
    assert found.conditions == ["head_brain-3t", "head_brain-7t"] and found.subjects == [8, 8]
    rows = s.scores[(s.scores["metric"] == "nrmse") & (s.scores["support"] == "study")]
    rows = rows[(rows["chain"] == "romeo.c") & rows["group"].astype(str).str.endswith("_brain-7t")]
    logs = np.log(rows["value"]).groupby(rows["group"], observed=True).mean()
    (row,) = (r for r in found.others if r.chain == "romeo.c")
    low, high = stats.t.interval(0.95, 7, logs.mean(), stats.sem(logs))
    assert [row.cells[1].estimate, row.cells[1].low, row.cells[1].high] == pytest.approx(
        np.exp([logs.mean(), low, high])
    )


def test_ties_are_marked_and_said(tmp_path):
    found = of(study(tmp_path, 12))
    assert {r.chain: r.tied for r in found.others} == {"romeo.a": True, "romeo.b": True, "romeo.c": False}
    assert [r.chain for r in found.isolated] == ["truth.a", "truth.b"]
    assert "1 chain of 2 not shown to be worse" in found.sentences[0]
    assert any(t.startswith("truth.a is better than truth.b by ") for t in found.sentences)
    assert found.covers == "subjects" and [r.chain for r in found.controls] == ["truth"]


def test_too_few_subjects_for_a_test(tmp_path):
    found = of(study(tmp_path, 4))
    assert "cannot be tested: 3 comparisons would need at least 7 subjects" in found.sentences[0]
    assert not any(r.tied for r in found.others)


def test_one_subject_is_said_to_be_one(tmp_path):
    found = of(study(tmp_path, 1))
    assert found.covers == "noise" and "on the one subject of this study (4 scans)" in found.sentences[0]
    assert not any(r.tied for r in found.others) and np.isnan([r.low for r in found.others]).all()
    assert len([t for t in found.sentences if t.endswith("Other subjects may differ.")]) == 2
    a, b = (np.mean([np.log(cell.estimate) for cell in row.cells]) for row in found.others[:2])
    size = re.search(r"NRMSE of romeo\.\w is ([\d.]+) % lower", found.sentences[1])[1]
    assert float(size) == pytest.approx(100 * (1 - np.exp(a - b)), abs=0.06)


def test_a_chain_without_a_competitor_is_said_to_have_none(tmp_path):
    s = study(tmp_path, 2)
    alone = replace(s, scores=s.scores[s.scores["chain"].isin(["romeo.a", "truth"])])
    assert of(alone).sentences == ["romeo.a is the only chain in its ranking: there is nothing to compare it with."]
