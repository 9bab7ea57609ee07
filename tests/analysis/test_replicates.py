"""Scores looked up by what they are about: the numbers that pandas gives of the rows filtered one by one."""

import numpy as np
import pandas as pd
import pytest
from invented_study import CHAINS, GROUP, scores

from qsmbench.analysis.columns import column
from qsmbench.analysis.replicates import ABOUT, Replicates

NRMSE, TIME, COVERAGE = column("nrmse", "%"), column("time", "s"), column("coverage", "%")


@pytest.mark.parametrize("seeds", [1, 2, 7, 8, 40, 300])
def test_means_and_deviations_are_those_of_pandas_to_the_last_bit(seeds):
    table = scores(CHAINS, seeds=seeds)
    rng = np.random.default_rng(seeds)
    table["value"] = np.where(rng.random(len(table)) < 0.2, np.nan, rng.standard_normal(len(table)))
    found = Replicates(table)
    for about, rows in table[table["region"] != ""].groupby(list(ABOUT)):
        values = rows["value"].dropna()
        cell = found.regional(*about)
        assert cell.n == len(values)
        assert (cell.mean, cell.sd) == pytest.approx((values.mean(), values.std()), rel=0, abs=0, nan_ok=True)


def test_values_come_in_the_order_of_the_datasets():
    found = Replicates(scores(CHAINS, seeds=3).sample(frac=1, random_state=1).sort_values("seed"))
    assert found.values(GROUP, "chi", CHAINS[2], NRMSE, "study").tolist() == [50.0, 51.0, 52.0]


def test_what_is_scored_once_counts_on_every_support_and_costs_for_every_artifact():
    table = scores(CHAINS)
    found = Replicates(pd.concat([table, table.replace({"artifact": {"chi": "chi_para"}})]))
    for support in ("study", "common"):
        assert found.values(GROUP, "chi_para", CHAINS[2], COVERAGE, support).tolist() == [90.0, 90.0]
        assert found.values(GROUP, "chi_para", CHAINS[2], TIME, support).tolist() == [13.0, 13.0]


def test_a_score_on_the_study_mask_never_stands_for_one_on_the_common_voxels():
    table = scores(CHAINS)
    table = table[~((table["chain"] == CHAINS[2]) & (table["support"] == "common"))]
    cells = Replicates(table).cells(GROUP, "chi", CHAINS[2], [NRMSE])
    assert cells["study"]["nrmse"].n == 2
    assert (cells["common"]["nrmse"].n, cells["common"]["nrmse"].reason) == (0, "not scored")


def test_a_cell_without_a_value_tells_each_reason_once():
    table = scores(CHAINS)
    cell = Replicates(table).cells(GROUP, "chi", "zero", [column("correlation", "")])["study"]["correlation"]
    assert (cell.n, cell.reason) == (0, "the reconstruction is constant within the mask")
    assert Replicates(table).cells("elsewhere", "chi", "zero", [NRMSE])["study"]["nrmse"].reason == "not scored"
