"""The reference boards in this repository: each is of its suite, complete, and its scores are found again."""

import importlib.util

import pytest

from qsmbench.gate.board import read_board
from qsmbench.gate.margins import read_margins
from qsmbench.paths import data_dir
from qsmbench.study.against import check_same_scans
from qsmbench.study.config import load
from qsmbench.study.plan import Plan

ROOT = data_dir()
BOARDS = ROOT / "results" / "board"
pytestmark = pytest.mark.skipif(not BOARDS.is_dir(), reason="no boards in results/board")
each = pytest.mark.parametrize("name", sorted({"head", *(p.parent.name for p in BOARDS.glob("*/scores.parquet"))}))


def test_the_suite_of_the_abdomen_is_valid():
    """Whether or not its board is in the repository."""
    plan = Plan(load(ROOT / "configs" / "board-abdomen.yaml"))
    assert len(plan.datasets) == 24


@each
def test_the_board_is_of_the_suite_and_complete(name):
    suite = load(ROOT / "configs" / f"board-{name}.yaml")
    check_same_scans(suite, BOARDS / name)
    board, known = read_board(BOARDS / name)
    assert set(known) == set(Plan(suite).datasets) == set(board.factors.index)
    assert all(known.values())
    assert set(board.chains) >= set(suite.chains)  # a new method may be added to the suite, with its rows
    scored = board.scores[board.scores["value"].notna() | (board.scores["reason"] != "")]
    pairs = scored[["dataset", "chain"]].drop_duplicates()
    assert len(pairs) == len(known) * len(board.chains)


@pytest.mark.slow
@each
def test_three_scans_have_the_same_scores_again(name):
    spec = importlib.util.spec_from_file_location("recomputed_board", ROOT / "benchmarks" / "board.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    board = BOARDS / name
    pairs = script.compared(board, script.some_groups(board, 3, seed=0), cores=1)
    assert len(pairs) > 1000 and pairs["difference"].max() <= read_margins().rounding.value
