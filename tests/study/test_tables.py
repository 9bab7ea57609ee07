"""The tables of a study: the scores of all chains in order, then how each chain went, with the factors of datasets."""

import numpy as np
import pandas as pd
from invented_study import rows_of

from qsmbench.data.score_table import COLUMNS
from qsmbench.run.specs import Record, TablesSpec, write_spec
from qsmbench.study.jobs import tables

CHAINS = ["truth", "truth.tkd", "truth.tv"]
DATASETS = [{"dataset": f"s_seed-{i}", "group": "s", "seed": i, "age": 30.5} for i in (1, 0)]


def table(dataset, chain, support):
    rows = [(dataset, chain, *row) for row in rows_of(chain, 0) if row[3] == support]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def write(study, without):
    """The records and scores of a study, but for the scores of one pair; return the tables of scores in their order."""
    found = []
    for name in (d["dataset"] for d in DATASETS):
        folder = study / name
        write_spec(folder / "scan.json", Record("scan", "ok"))
        (folder / "scores").mkdir()
        for chain in CHAINS:
            write_spec(folder / "chains" / chain / "run.json", Record("step", "ok", seconds=2.0, peak_memory=64.0))
            if (name, chain) != without:
                write_spec(folder / "scores" / f"{chain}.json", Record("score", "ok"))
                found.append(table(name, chain, "study"))
                found[-1].to_parquet(folder / "scores" / f"{chain}.parquet", index=False)
        common = table(name, CHAINS[1], "common") if name == "s_seed-0" else pd.DataFrame(columns=list(COLUMNS))
        common.to_parquet(folder / "common.parquet", index=False)
        found.append(common)
    return [t for t in found if len(t)]


def test_scores_are_joined_in_their_order_with_their_types(tmp_path):
    study, out = tmp_path / "study", tmp_path / "out"
    out.mkdir()
    expected = pd.concat(write(study, ("s_seed-0", "truth.tv")), ignore_index=True)
    steps = {c: ["truth", c] if c != "truth" else ["truth"] for c in CHAINS}
    artifacts = {c: ["chi"] for c in CHAINS}
    tables.run(TablesSpec(str(study), DATASETS, CHAINS, steps, artifacts, {}), out)
    found = pd.read_parquet(out / "scores.parquet")
    pd.testing.assert_frame_equal(found.loc[: len(expected) - 1, list(COLUMNS)], expected)
    assert found["seed"].tolist() == [1 if d == "s_seed-1" else 0 for d in found["dataset"]]
    assert (found["age"] == 30.5).all() and found["seed"].dtype.kind == "i"
    runs = found[len(expected) :].set_index(["dataset", "chain", "metric"])
    assert runs.loc[("s_seed-1", "truth.tkd", "time"), "value"] == 4.0  # of both steps
    assert runs.loc[("s_seed-0", "truth.tv", "status"), "reason"] == "failed: scoring: the job wrote no record"
    assert len(runs) == 2 * 6 + 1
    text = pd.read_csv(out / "scores.csv", keep_default_na=False, na_values={"value": [""]})
    assert np.array_equal(text["value"], found["value"], equal_nan=True)


def test_a_study_without_any_score_has_a_table(tmp_path):
    steps = {c: ["truth", c] for c in CHAINS}
    tables.run(TablesSpec(str(tmp_path / "none"), DATASETS, CHAINS, steps, {c: [] for c in CHAINS}, {}), tmp_path)
    found = pd.read_parquet(tmp_path / "scores.parquet")
    assert found["reason"].tolist() == ["missing: the job wrote no record"] * 2


def test_a_damaged_table_is_named_and_the_rest_is_there(tmp_path, monkeypatch):
    """A file that is cut short; and tables that are written a few rows at a time, as those of a large study are."""
    study, out = tmp_path / "study", tmp_path / "out"
    out.mkdir()
    expected = write(study, None)
    broken = study / "s_seed-1" / "scores" / "truth.tkd.parquet"
    broken.write_bytes(broken.read_bytes()[:-100])
    steps = {c: ["truth", c] if c != "truth" else ["truth"] for c in CHAINS}
    monkeypatch.setattr(tables, "ROWS", 7)
    tables.run(TablesSpec(str(study), DATASETS, CHAINS, steps, {c: ["chi"] for c in CHAINS}, {}), out)
    found = pd.read_parquet(out / "scores.parquet")
    left = pd.concat([t for i, t in enumerate(expected) if i != 1], ignore_index=True)
    pd.testing.assert_frame_equal(found.loc[: len(left) - 1, list(COLUMNS)], left)
    (row,) = found[found["metric"] == "status"].to_dict("records")
    assert (row["dataset"], row["chain"]) == ("s_seed-1", "truth.tkd")
    assert row["reason"].startswith("failed: s_seed-1/scores/truth.tkd.parquet cannot be read (")
    assert len(pd.read_csv(out / "scores.csv")) == len(found)
