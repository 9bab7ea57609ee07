"""A study folder in memory: groups by their column, and what is missing."""

import numpy as np
import pandas as pd
import pytest
from invented_study import CHAINS, scores, write_study

from qsmbench.analysis.results import read_study
from qsmbench.analysis.summary import tables
from qsmbench.data.folders import write_regions
from qsmbench.errors import QsmbenchError


def test_replicates_are_grouped_by_their_column_whatever_their_names(tmp_path):
    both = pd.concat([scores(CHAINS), scores(CHAINS, group="abdomen_liver-1p5t")])
    both["dataset"] = "a_seed-_" + both["group"].str[:2] + both["seed"].astype(str)
    study = read_study(write_study(tmp_path / "s", both, pictures=False))
    assert study.groups == ["head_brain-3t", "abdomen_liver-1p5t"]
    assert study.datasets("abdomen_liver-1p5t") == ["a_seed-_ab0", "a_seed-_ab1"]
    assert [t.seeds for t in tables(study)] == [2, 2]


@pytest.mark.parametrize("column", ["group", "seed", "metric"])
def test_a_table_that_lacks_a_column_is_refused(column, tmp_path):
    folder = write_study(tmp_path / "s", scores(CHAINS), pictures=False)
    scores(CHAINS).drop(columns=column).to_parquet(folder / "scores.parquet")
    with pytest.raises(QsmbenchError, match=rf"scores\.parquet: has no column '{column}'; required: dataset, ") as e:
        read_study(folder)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": "good"}, r"value is of type (large_)?string; it must hold numbers"),
        ({"seed": "first"}, r"seed is of type (large_)?string; it must hold numbers"),
        ({"value": [[1.0]]}, r"value is of type list<.*>; it must hold numbers"),
        ({"value": np.inf}, r"coverage of truth on head_brain-3t_seed-0 is infinite; remove its row"),
        ({"chain": None}, r"row 1 names no dataset or no chain"),
        ({"dataset": None}, r"row 1 names no dataset or no chain"),
    ],
    ids=str,
)
def test_a_table_that_holds_no_scores_is_refused(change, message, tmp_path):
    table = scores(CHAINS)
    folder = write_study(tmp_path / "s", table, pictures=False)
    table.assign(**{k: v * len(table) if isinstance(v, list) else v for k, v in change.items()}).to_parquet(
        folder / "scores.parquet"
    )
    with pytest.raises(QsmbenchError, match=message) as e:
        read_study(folder)
    assert "\n" not in str(e.value)


def test_rows_that_repeat_another_are_refused(tmp_path):
    """A table was joined to itself: means and intervals would be of too many scans."""
    table = scores(CHAINS)
    folder = write_study(tmp_path / "s", table, pictures=False)
    again = table.iloc[[5, 7]].assign(value=3.0)
    pd.concat([table, again]).to_parquet(folder / "scores.parquet")
    row = table.iloc[5]
    with pytest.raises(
        QsmbenchError, match=f"2 rows repeat another, the first is {row.metric} of .*; remove them"
    ) as e:
        read_study(folder)
    assert row.chain in str(e.value) and row.dataset in str(e.value)


@pytest.mark.parametrize("seeds", [[np.nan] * 2, [None, 3], [0.0, 1.0], pd.array([0, None], "Int64")])
def test_measured_scans_have_no_seed(seeds, tmp_path):
    table = scores(CHAINS).groupby("seed").head(1).assign(seed=seeds)
    assert read_study(write_study(tmp_path / "s", table, pictures=False)).scores["seed"].dtype == float


def test_only_deep_grey_regions_where_a_key_names_them(tmp_path):
    study = write_study(tmp_path / "s", scores(CHAINS), pictures=False)
    assert read_study(study).nuclei("head_brain-3t") == ["caudate", "putamen", "pallidum"]
    folder = study / "head_brain-3t" / "truth"
    folder.mkdir(parents=True)
    write_regions(folder / "dseg.tsv", [(1, "caudate", "dgm"), (2, "putamen", "dgm"), (3, "pallidum", "")])
    assert read_study(study).nuclei("head_brain-3t") == ["caudate", "putamen"]
