"""Scores and pictures of several chains: volumes that they share are read once, and one bad chain costs no other."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qsmbench import metrics
from qsmbench.data import folders
from qsmbench.data.score_table import COLUMNS
from qsmbench.run.specs import RUN_FILE, CommonSpec, PicturesSpec, Record, ScoreSpec, write_spec
from qsmbench.study import scoring
from qsmbench.study.jobs import common, pictures, score

CHAINS = ("a", "b", "c")


@pytest.fixture
def specs(scan_folder, small):
    """Three chains that end in χ; the last two worked on a smaller mask and were fed the same field."""
    grid, chi = small["params"].grid, small["truth"]["chi"]
    eroded = small["scan"]["mask"].copy()
    eroded[:10] = False
    folders.write(scan_folder, {"mask": eroded, "local_field": small["truth"]["local_field"]}, grid)
    folders.write(scan_folder / "truth", {"mask": small["scan"]["mask"]}, grid)
    found = []
    for i, chain in enumerate(CHAINS):
        result = scan_folder / chain
        folders.write(result, {"chi": (1 - i / 4) * chi}, grid)
        write_spec(result / RUN_FILE, Record(chain, "ok"))
        place = str(scan_folder / "scan") if i == 0 else str(scan_folder)
        field = None if i == 0 else str(scan_folder)
        truth, scan = str(scan_folder / "truth"), str(scan_folder / "scan")
        found.append(ScoreSpec("d", chain, ["chi"], str(result), place, field, scan, truth))
    return found


@pytest.fixture
def reads(monkeypatch):
    """How often each volume is read."""
    counted: Counter[str] = Counter()

    def read(folder, name, grid=None):
        counted[f"{Path(folder).name}/{name}"] += 1
        return folders.read(folder, name, grid)

    monkeypatch.setattr(scoring, "read", read)
    return counted


def test_what_chains_share_is_read_once(specs, reads, tmp_path):
    for job, kind in ((common, CommonSpec), (pictures, PicturesSpec)):
        reads.clear()
        out = tmp_path / kind.kind
        out.mkdir()
        assert job.run(kind([s.to_json() for s in specs]), out)["failed_chains"] == {}
        assert set(reads) >= {"a/chi", "b/chi", "c/chi", "truth/chi", "truth/mask", "scan/mask"}
        assert set(reads.values()) == {1}
    assert len(list((tmp_path / "pictures" / "pictures").iterdir())) == 3


def test_scores_are_those_of_each_chain_by_itself(specs, small, tmp_path):
    grid, truth, mask = folders.read_params(tmp_path / "scan").grid, small["truth"], small["scan"]["mask"]
    chi = [folders.read(Path(s.result), "chi") for s in specs]
    true = truth["chi"].astype(np.float32)
    shared = folders.read(tmp_path, "mask")
    common.run(CommonSpec([s.to_json() for s in specs]), tmp_path)
    found = pd.read_parquet(tmp_path / "common.parquet")
    assert tuple(found.columns) == COLUMNS
    for i, spec in enumerate(specs):
        score.run(spec, tmp_path)
        alone = pd.read_parquet(tmp_path / f"{spec.chain}.parquet")
        support, field = (mask, None) if i == 0 else (shared, truth["local_field"].astype(np.float32))
        given = {"truth": true, "labels": truth["labels"], "regions": small["regions"], "grid": grid, "field": field}
        expected = metrics.score(chi[i], support & mask, mask, shared & mask, **given)
        for rows, where in ((alone, "study"), (found[found.chain == spec.chain], "common")):
            wanted = expected[expected.support == where]
            assert (rows.dataset == "d").all() and (rows.artifact == "chi").all()
            for column in metrics.COLUMNS:
                np.testing.assert_array_equal(rows[column].to_numpy(), wanted[column].to_numpy())


def test_a_chain_that_cannot_be_read_costs_no_other(specs, tmp_path):
    (Path(specs[1].result) / "chimap.nii.gz").write_bytes(b"rubbish")
    done = common.run(CommonSpec([s.to_json() for s in specs]), tmp_path)
    assert set(done["failed_chains"]) == {"b"} and "cannot be read as NIfTI" in done["failed_chains"]["b"]
    assert set(pd.read_parquet(tmp_path / "common.parquet").chain) == {"a", "c"}
    assert set(pictures.run(PicturesSpec([s.to_json() for s in specs]), tmp_path)["failed_chains"]) == {"b"}


def test_a_table_of_nothing_has_its_columns(tmp_path):
    assert common.run(CommonSpec([]), tmp_path) == {"failed_chains": {}, "transient": False}
    assert tuple(pd.read_parquet(tmp_path / "common.parquet").columns) == COLUMNS
