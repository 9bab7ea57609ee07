"""The reference board of the head in this repository: it is of the suite, complete, and its scores are found again."""

import importlib.util

import pytest

from qsmbench.gate.board import read_board
from qsmbench.gate.margins import read_margins
from qsmbench.paths import data_dir
from qsmbench.study.against import check_same_scans
from qsmbench.study.config import load
from qsmbench.study.plan import Plan

ROOT = data_dir()
BOARD = ROOT / "results" / "board" / "head"
pytestmark = pytest.mark.skipif(not BOARD.is_dir(), reason="no board in results/board/head")


def test_the_board_is_of_the_suite_and_complete():
    suite = load(ROOT / "configs" / "board-head.yaml")
    check_same_scans(suite, BOARD)
    board, known = read_board(BOARD)
    assert set(known) == set(Plan(suite).datasets) == set(board.factors.index)
    assert all(known.values())
    assert set(board.chains) >= set(suite.chains)  # a new method may be added to the suite, with its rows
    scored = board.scores[board.scores["value"].notna() | (board.scores["reason"] != "")]
    pairs = scored[["dataset", "chain"]].drop_duplicates()
    assert len(pairs) == len(known) * len(board.chains)


@pytest.mark.slow
def test_three_scans_have_the_same_scores_again():
    spec = importlib.util.spec_from_file_location("recomputed_board", ROOT / "benchmarks" / "board.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    pairs = script.compared(BOARD, script.some_groups(BOARD, 3, seed=0), cores=1)
    assert len(pairs) > 1000 and pairs["difference"].max() <= read_margins().rounding.value
