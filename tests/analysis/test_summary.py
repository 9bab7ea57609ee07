"""The summary: who is best, who failed, and which chains belong to a table."""

import pandas as pd
import pytest
from invented_study import CHAINS, scores, write_study

from qsmbench.analysis.results import read_study
from qsmbench.analysis.summary import tables


@pytest.fixture
def study_of(tmp_path):
    return lambda table: read_study(write_study(tmp_path / "s", table, pictures=False))


def test_the_best_is_marked_among_the_methods_only(study_of):
    failed = [("romeo.vsharp.star", None, "no image"), ("romeo.pdf.tv", 1, "diverged")]
    (table,) = tables(study_of(scores(CHAINS, failed=failed)))
    marked = [r.chain for r in (*table.methods, *table.controls) if r.cells["study"].get("nrmse").best]
    assert marked == ["romeo.vsharp.tkd"]
    assert [r.chain for r in table.methods] == ["romeo.vsharp.tkd", "romeo.pdf.tv"]
    assert [r.chain for r in table.controls] == ["truth", "zero"]
    assert [r.chain for r in table.failed] == ["romeo.vsharp.star"]


def test_chains_that_make_other_artifacts_have_a_table_of_their_own(study_of):
    fields = scores(["romeo.fit"]).assign(artifact="total_field")
    lost = scores([], failed=[("romeo.tkd", None, "out of memory")]).assign(artifact="chi")
    table = pd.concat([fields, scores(CHAINS), lost])
    chi, field = tables(study_of(table))
    assert (chi.artifact, field.artifact) == ("chi", "total_field")
    assert [r.chain for r in field.methods] == ["romeo.fit"] and field.failed == []
    assert [r.chain for r in chi.failed] == ["romeo.tkd"]
    assert "romeo.fit" not in {r.chain for r in chi.methods}


def test_a_chain_of_two_artifacts_costs_and_fails_once(study_of):
    chi = scores(["romeo.split"], failed=[("romeo.best", None, "memory: too much")])
    of_para = chi[chi["artifact"] == "chi"].assign(artifact="chi_para")
    (first, second) = tables(study_of(pd.concat([chi, of_para])))
    assert [t.methods[0].cells["study"]["time"].n for t in (first, second)] == [2, 2]
    assert [r.reasons for r in first.failed] == [["memory: too much"]]


def test_a_chain_whose_result_is_not_scored_stands_in_no_table(study_of):
    (table,) = tables(study_of(scores(CHAINS, not_scored=[("romeo", "unwrapped", "no metric applies")])))
    assert "romeo" not in {r.chain for r in (*table.methods, *table.failed)}


def test_replicates_that_could_not_be_made_are_not_counted(study_of):
    both = pd.concat([scores(CHAINS), scores([], seeds=3, failed=[("", 2, "failed: no memory")])])
    (table,) = tables(study_of(both))
    assert table.seeds == 2
    assert table.methods[0].cells["study"]["nrmse"].n == 2
