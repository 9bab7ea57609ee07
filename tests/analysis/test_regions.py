"""Regional means: those of χ are relative, and the truth is the mean minus the bias."""

import numpy as np
import pytest
from invented_study import CHAINS, GROUP, scores, write_study

from qsmbench.analysis.regions import regional
from qsmbench.analysis.results import read_study


@pytest.fixture
def study_of(tmp_path):
    return lambda table: read_study(write_study(tmp_path / "s", table, pictures=False))


def test_means_and_truth_over_the_replicates(study_of):
    found = regional(study_of(scores(CHAINS)), GROUP, "chi", "study", [*CHAINS[2:], "zero"])
    assert (found.regions, found.unit, found.relative) == (["caudate", "putamen", "pallidum"], "ppm", True)
    assert [r.chain for r in found.rows] == CHAINS[2:]
    assert [round(t.mean, 9) for t in found.truth.values()] == [0.05, 0.09, 0.13]
    cell = found.rows[0].cells["putamen"]  # of errors of 50 and 51 %
    assert (cell.mean, cell.sd, cell.n) == (pytest.approx(0.09 * 0.495), pytest.approx(0.09 * 0.01 / 2**0.5), 2)


def test_a_region_without_a_voxel_says_so(study_of):
    table = scores(CHAINS)
    table.loc[table["region"] == "putamen", "value"] = np.nan
    found = regional(study_of(table), GROUP, "chi", "common", CHAINS)
    assert (
        found.rows[0].cells["putamen"].reason == found.truth["putamen"].reason == "the region has no voxel in the mask"
    )
    assert np.isfinite(found.truth["caudate"].mean)


def test_a_map_with_a_zero_of_its_own_is_not_relative(study_of):
    table = scores(CHAINS).replace({"artifact": {"chi": "r2star"}})
    assert not regional(study_of(table), GROUP, "r2star", "study", CHAINS).relative
