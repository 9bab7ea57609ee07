"""The reference board: written from a study, read as a study, joined with a study on the same scans."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml

from qsmbench.analysis.columns import column
from qsmbench.analysis.results import read_study
from qsmbench.data.score_table import COLUMNS
from qsmbench.errors import QsmbenchError
from qsmbench.gate.board import FINGERPRINTS_FILE, RUNS_FILE, joined, standing, write_board
from tests.invented_study import write_study

SUITE = {
    "study": "suite",
    "datasets": [{"phantom": "sphere", "protocol": "brain-3t", "set": {"voxel_size": 8}, "over": {"radius": [30, 35]}}],
    "chains": ["truth", "zero", "truth.tkd", "truth.l2"],
}


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    folder = tmp_path_factory.mktemp("board")
    (folder / "suite.yaml").write_text(yaml.safe_dump(SUITE))
    return folder


@pytest.fixture
def board(suite, command):
    """A board of two small scans, made once."""
    if not (suite / "board").is_dir():
        code, _, told = command("run", suite / "suite.yaml", "--results", suite, "--cores", 1)
        assert code == 0, told
        code, said, _ = command("board", suite / "suite", suite / "board")
        assert code == 0 and "2 scans, 4 chains" in said
    return suite / "board"


def test_a_board_reads_as_a_study_with_the_same_scores(suite, board):
    made, kept = read_study(suite / "suite"), read_study(board)
    assert kept.chains == made.chains and kept.name == "suite"
    assert kept.factors["radius"].tolist() == made.factors["radius"].tolist() == [30, 35]
    nrmse = column("nrmse", "%")
    pd.testing.assert_frame_equal(kept.sample(nrmse).values, made.sample(nrmse).values, rtol=1e-6)
    assert not list(board.glob("*/scan")) and (board / "scores.parquet").stat().st_size < 50_000


def test_a_chain_is_compared_with_the_board_without_running_it(suite, board, command):
    mine = suite / "mine"
    code, said, told = command(
        "run", suite / "suite.yaml", "--results", mine, "--cores", 1, "--chain", "truth.own", "--method",
        f"own={suite / 'own.py'}", "--against", board,
    )  # fmt: skip
    assert code == 2 and "own.py" in told
    (suite / "own.py").write_text(OWN)
    code, said, told = command(
        "run", suite / "suite.yaml", "--results", mine, "--cores", 1, "--chain", "truth.own", "--method",
        f"own={suite / 'own.py'}", "--against", board,
    )  # fmt: skip
    assert code == 0, told
    assert sorted(p.name for p in (mine / "suite" / read_study(mine / "suite").factors.index[0] / "chains").iterdir())
    assert "truth.own has rank" in said and "of 3 isolated chains by NRMSE" in said
    page = (mine / "suite" / "against" / "index.html").read_text()
    assert "truth.own" in page and "truth.l2" in page
    both = joined(read_study(mine / "suite"), board)
    values = both.sample(column("nrmse", "%")).values
    assert list(values) == ["truth.own", "truth", "zero", "truth.tkd", "truth.l2"] and values.notna().all(axis=None)


OWN = '''"""Half of the closed-form solution."""

from qsmbench.method import method
from qsmbench.methods.inversion.tkd import tkd


@method(produces="chi", reference="none")
def own(local_field, mask, grid):
    """Divide, and halve."""
    return 0.5 * tkd(local_field, mask, grid)
'''


def part_of(suite, folder, chains, factor=1.0):
    """A copy of the study as a run of some chains leaves it, with other scores."""
    shutil.copytree(suite / "suite", folder)
    table = pd.read_parquet(folder / "scores.parquet")
    table = table[table["chain"].isin(chains)]
    table.assign(value=factor * table["value"]).to_parquet(folder / "scores.parquet", index=False)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump({**config, "chains": chains, "results": "elsewhere"}))
    return folder


def edit(file, change):
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def test_a_run_of_one_chain_replaces_its_rows_alone(suite, board, command, tmp_path):
    own = shutil.copytree(board, tmp_path / "board")
    study = part_of(suite, tmp_path / "again", ["truth.l2"], factor=0.5)
    for file in study.glob("*/chains/truth.l2/run.json"):
        edit(file, lambda record: record["made_from"].update(code="changed"))
    edit(study / "versions.json", lambda versions: versions.update(numpy="99.0"))
    code, said, told = command("board", study, own)
    assert code == 0 and "2 scans, 4 chains, 3 of them kept" in said, told
    before, after = (read_study(b).sample(column("nrmse", "%")).values for b in (board, own))
    pd.testing.assert_frame_equal(after, before.assign(**{"truth.l2": before["truth.l2"] / 2}), rtol=1e-6)
    assert read_study(own).chains == read_study(board).chains
    first, second = json.loads((own / RUNS_FILE).read_text())["runs"]
    (made,) = json.loads((board / RUNS_FILE).read_text())["runs"]
    assert list(first["chains"]) == ["truth", "zero", "truth.tkd"] and list(second["chains"]) == ["truth.l2"]
    assert second["chains"]["truth.l2"] != made["chains"]["truth.l2"] and first["scoring"] == made["scoring"]
    assert first["chains"].items() < made["chains"].items()
    assert read_study(own).versions["numpy"] == f"{made['versions']['numpy']}, 99.0"
    assert "elsewhere" not in (own / "config.yaml").read_text() and "truth.tkd" in (own / "config.yaml").read_text()
    table = pd.read_parquet(own / "scores.parquet")
    assert table["dataset"].drop_duplicates().tolist() == read_study(board).factors.index.tolist()
    assert (
        table.groupby("dataset").size() == pd.read_parquet(board / "scores.parquet").groupby("dataset").size()
    ).all()


def test_rows_stay_if_the_code_that_scores_has_changed_but_not_what_it_gives(suite, board, command, tmp_path):
    """One chain of each kind of map, run again, shows it."""
    own = shutil.copytree(board, tmp_path / "board")
    study = part_of(suite, tmp_path / "again", ["truth.l2", "truth.tkd"])
    for file in study.glob("*/scores/*.json"):
        edit(file, lambda record: record["made_from"].update(code="changed"))
    table = pd.read_parquet(study / "scores.parquet")
    halved = table["value"].where(table["chain"] != "truth.l2", table["value"] / 2)
    table.assign(value=halved).to_parquet(study / "scores.parquet", index=False)
    code, said, told = command("board", study, own)
    assert code == 0 and "2 scans, 4 chains, 2 of them kept" in said, told
    first, second = json.loads((own / RUNS_FILE).read_text())["runs"]
    assert first["scoring"] == second["scoring"]


def another_scan(study, board):
    edit(board / FINGERPRINTS_FILE, lambda known: next(iter(known.values())).__setitem__(-1, 0.123))


def fewer_scans(study, board):
    table = pd.read_parquet(study / "scores.parquet")
    table[table["radius"] == 30].to_parquet(study / "scores.parquet", index=False)


def other_settings(study, board):
    config = yaml.safe_load((study / "config.yaml").read_text())
    (study / "config.yaml").write_text(yaml.safe_dump({**config, "time_limit": 7}))


def other_scoring(study, board):
    for file in study.glob("*/scores/*.json"):
        edit(file, lambda record: record["made_from"].update(code="changed"))
    table = pd.read_parquet(study / "scores.parquet")
    table.assign(value=1.001 * table["value"]).to_parquet(study / "scores.parquet", index=False)


def code_of_two_days(study, board):
    edit(next(study.glob("*/chains/truth.l2/run.json")), lambda record: record["made_from"].update(code="changed"))


def no_record(study, board):
    next(study.glob("*/chains/truth.l2/run.json")).unlink()


def no_runs(study, board):
    (board / RUNS_FILE).unlink()


def unfinished(study, board):
    next(study.glob("*radius-30_*/scores/truth.l2.json")).unlink()


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (another_scan, "is not a scan of"),
        (fewer_scans, "has no scan sphere_brain-3t_radius-35_seed-0, which"),
        (other_settings, "time_limit is 7"),
        (other_scoring, "truth was scored by other code; run it too, or another chain of chi whose"),
        (code_of_two_days, "truth.l2 ran with different code on its scans"),
        (no_record, "there is no such record"),
        (no_runs, f"has no {RUNS_FILE}"),
        (unfinished, "is not finished; 1 scores are missing on 1 scans (sphere_brain-3t_radius-30_seed-0)"),
    ],
)
def test_rows_that_do_not_belong_on_a_board_are_refused(suite, board, command, tmp_path, spoil, named):
    own = shutil.copytree(board, tmp_path / "board")
    study = part_of(suite, tmp_path / "again", ["truth.l2"])
    spoil(study, own)
    kept = (own / "scores.parquet").read_bytes()
    code, _, told = command("board", study, own)
    assert code == 2 and named in told and told.count("\n") == 1, told
    assert (own / "scores.parquet").read_bytes() == kept


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"set": {"voxel_size": 7}}, "voxel_size"),
        ({"protocol": "brain-7t"}, "has no such scan"),
        ({"over": {"radius": [30, 36]}}, "has no such scan"),
        ({"set_protocol": {"snr": 50}}, "snr"),
    ],
)
def test_other_scans_are_refused_before_they_are_simulated(suite, board, command, change, named):
    other = {**SUITE, "datasets": [{**SUITE["datasets"][0], **change}]}
    (suite / "other.yaml").write_text(yaml.safe_dump(other))
    code, _, told = command("run", suite / "other.yaml", "--results", suite / "other", "--against", board)
    assert code == 2 and named in told and told.count("\n") == 1
    assert not (suite / "other").exists()


def test_a_scan_that_differs_in_spite_of_its_definition_is_refused(suite, board, tmp_path):
    changed = tmp_path / "board"
    shutil.copytree(board, changed)
    known = json.loads((changed / FINGERPRINTS_FILE).read_text())
    name = next(iter(known))
    known[name][-1] += 1e-3
    (changed / FINGERPRINTS_FILE).write_text(json.dumps(known))
    with pytest.raises(QsmbenchError, match=f"{name}: is not the scan of"):
        joined(read_study(suite / "suite"), changed)


def test_what_is_no_board_is_refused(suite, board, command, tmp_path):
    for folder in (tmp_path, tmp_path / "none", suite / "suite"):
        code, _, told = command("run", suite / "suite.yaml", "--results", tmp_path / "r", "--against", folder)
        assert code == 2 and "is not a reference board" in told, folder
    code, _, told = command("board", tmp_path, tmp_path / "b")
    assert code == 2 and "no such file" in told


def test_a_board_of_a_study_with_a_failed_scan_is_refused(tmp_path):
    write_study(tmp_path / "s", invented(failed=True))
    with pytest.raises(QsmbenchError, match="a board needs all its scans"):
        write_board(tmp_path / "s", tmp_path / "board")


def invented(errors=None, *, failed=False):
    """The scores of chains on eight subjects, from their NRMSE by chain."""
    rows = []
    for subject in range(8):
        about = {"dataset": f"s{subject}", "group": f"g{subject}", "phantom": "head", "subject": subject, "seed": 0}
        for chain, values in (errors or {"a.b": np.ones(8)}).items():
            row = (about["dataset"], chain, "chi", "nrmse", "", "study", values[subject], "%", "")
            rows.append({**about, **dict(zip(COLUMNS, row, strict=True))})
    if failed:
        row = ("t", "", "", "status", "", "run", np.nan, "", "failed: no memory")
        rows.append({**about, **dict(zip(COLUMNS, row, strict=True))})
    return pd.DataFrame(rows)


def test_the_standing_of_a_chain_says_rank_and_difference(tmp_path):
    error = np.random.default_rng(0).uniform(30, 40, 8)
    write_study(
        tmp_path / "s", invented({"a.x": error, "a.y": 1.1 * error, "a.mine": 0.8 * error, "truth.z": error / 9})
    )
    said = standing(read_study(tmp_path / "s"), "a.mine", column("nrmse", "%"))
    assert said[0] == "a.mine has rank 1 (95 % interval 1 to 1) of 3 chains by NRMSE, over 8 subjects."
    assert "a.mine is better than a.x by 20.0 %" in said[1]
    said = standing(read_study(tmp_path / "s"), "a.y", column("nrmse", "%"))
    assert "rank 3" in said[0] and "a.mine" in said[1]
