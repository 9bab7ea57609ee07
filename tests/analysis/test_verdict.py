"""`qsmbench compare`: the verdict on two chains of a study's folder."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from invented_study import scores, write_study

from qsmbench import cli
from qsmbench.analysis import verdict
from qsmbench.analysis.power import subjects_for
from qsmbench.analysis.results import read_study
from qsmbench.errors import FailedError, QsmbenchError

CHAINS = ["truth", "romeo.vsharp.tkd", "romeo.pdf.tv"]
B, A = CHAINS[1:]


def many_subjects(n, cases=("",), seeds=2):
    """Scores of several subjects and cases: the error of `A` is 0.9 times that of `B`, give or take 2 %."""
    rng, tables = np.random.default_rng(0), []
    for case in cases:
        for subject in range(n):
            t = scores(CHAINS, seeds=seeds, group=f"head{case}-subject-{subject}")
            t["subject"], t["case"] = str(subject), case
            error = t["metric"] == "nrmse"
            for chain, ratio in ((B, 1.0), (A, 0.9)):
                own = error & (t["chain"] == chain)
                t.loc[own, "value"] = 40 * ratio * np.exp(rng.normal(0, 0.02, own.sum()))
            tables.append(t)
    return pd.concat(tables, ignore_index=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("r") / "s", many_subjects(8, ("x", "y")), pictures=False)


def test_over_all_scans_and_in_each_condition(folder):
    found = verdict.compare_chains(read_study(folder), A, B)
    assert [(c.condition, c.interval.n, c.interval.scans) for c in found] == [
        ("", 8, 32),
        ("head-x_brain-3t", 8, 16),
        ("head-y_brain-3t", 8, 16),
    ]
    assert [c.family for c in found] == [1, 2, 2] and {c.verdict for c in found} == {"better"}
    assert found[0].interval.estimate == pytest.approx(0.9, abs=0.01)


def test_a_pair_chosen_afterwards_belongs_to_all_pairs(tmp_path):
    table = many_subjects(8)
    more = [table[table["chain"] == A].assign(chain=f"other-{i}") for i in range(8)]
    study = read_study(write_study(tmp_path / "s", pd.concat([table, *more]), pictures=False))
    (found,) = verdict.compare_chains(study, A, B, against_all=True)
    assert found.family == 45 and found.verdict == "undecided" and found.needed == 11
    assert verdict.outlook(found) == "With this spread between subjects, 11 subjects would show a difference of 5 %."
    assert verdict.outlook(verdict.compare_chains(study, A, B)[0]) == ""  # it is shown already


def test_a_difference_that_is_asked_for_has_its_power(folder):
    """With a spread of 2 % a difference of 20 % is found by the six subjects that a test needs at least."""
    found = verdict.compare_chains(read_study(folder), A, B)[0]
    said = verdict.outlook(found, 0.2)
    assert "6 subjects would show a difference of 20 % with a power of 80 % (6 at" in said
    assert said.endswith("with the 8 of this study, its power is 100 %.")
    # χ² with 7 degrees of freedom has its 5 % point at 2.167: the spread is at most 1.8 times as large
    wide = dataclasses.replace(found, spread=0.1)
    said = verdict.outlook(wide, 0.1)
    numbers = [subjects_for(1.1, s) for s in (0.1, 0.1 * math.sqrt(7 / 2.167))]
    assert f"{numbers[0]} subjects would" in said and f"({numbers[1]} at the spread's upper" in said
    assert numbers[1] > 2 * numbers[0]


def run(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["qsmbench", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return end.value.code or 0


def test_the_command_prints_the_sentence_and_writes_the_table(folder, tmp_path, monkeypatch, capsys):
    code = run(
        monkeypatch, "compare", folder, A, B, "--metric", "nrmse", "--metric", "time", "--csv", tmp_path / "t.csv"
    )
    out = capsys.readouterr().out
    assert code == 0 and f"{A} is better than {B} by " in out and "95 % interval" in out and "8 subjects" in out
    table = pd.read_csv(tmp_path / "t.csv")
    assert "Mixed model of NRMSE, all 2 conditions with the same weight: ratio 0.89" in out
    assert out.count("Mixed model") == 1  # the times are all the same
    assert len(table) == 6 and set(table["metric"]) == {"nrmse", "time"} and (table["sentence"].str.len() > 20).all()
    assert run(monkeypatch, "compare", folder, A, B) == 0
    assert (folder / f"compare_{A}_{B}.csv").is_file()
    assert run(monkeypatch, "compare", folder, A, B, "--metric", "time") == 0
    assert set(pd.read_csv(folder / f"compare_{A}_{B}_time.csv")["metric"]) == {"time"}
    assert set(pd.read_csv(folder / f"compare_{A}_{B}.csv")["metric"]) == {"nrmse"}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((A, "nosuch"), 2, "no such chain; choose from"),
        ((A, A), 2, "compared with itself"),
        ((A, B, "--metric", "nosuch"), 2, "no such score of chi; choose from"),
        ((A, B, "--metric", "mean"), 2, "no such score"),
        ((A, B, "--support", "all"), 2, "support is 'all'; choose from study, common"),
        ((A, B, "--margin", "x"), 2, "--margin 'x': must be a positive number"),
        ((A, B, "--margin", "nrmse=-1"), 2, "must be a positive number"),
        (("truth", B, "--metric", "correlation"), 0, "is better than" ),
    ],
)  # fmt: skip
def test_usage(folder, monkeypatch, capsys, arguments, code, message):
    assert run(monkeypatch, "compare", folder, *arguments) == code
    captured = capsys.readouterr()
    assert message in " ".join((captured.out + captured.err).split())


def test_nothing_in_common_is_a_failure(tmp_path):
    table = scores(CHAINS, seeds=2)
    gone = table["metric"].eq("nrmse") & table["chain"].eq(A)
    table.loc[gone, "value"] = np.nan
    study = read_study(write_study(tmp_path / "s", table, pictures=False))
    with pytest.raises(FailedError, match="no scan in common"):
        verdict.compare_chains(study, A, B, names=["nrmse"])
    table.loc[table["chain"] == A, "artifact"] = "total_field"
    study = read_study(write_study(tmp_path / "t", table, pictures=False))
    with pytest.raises(QsmbenchError, match=r"cannot be compared: romeo\.pdf\.tv produces total_field"):
        verdict.compare_chains(study, A, B)


def test_all_pairs_of_several_metrics_are_one_family(tmp_path):
    table = many_subjects(8)
    other = table[table["chain"] == A].assign(chain="other")
    study = read_study(write_study(tmp_path / "s", pd.concat([table, other]), pictures=False))
    for names, family in ((("nrmse",), 3), (("nrmse", "correlation"), 6)):
        found = verdict.compare_chains(study, A, B, names=names, against_all=True)
        assert {c.family for c in found if not c.condition} == {family}


def test_a_margin_of_the_whole_error_is_refused(folder):
    with pytest.raises(QsmbenchError, match="margin is 5; for NRMSE it is a share below 1"):
        verdict.compare_chains(read_study(folder), A, B, margins={"": 5.0})
