"""What takes long to compile is announced, once, and only when it is compiled."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from qsmbench.dependencies import PACKAGE

LOOPS = """
import logging, sys
from qsmbench import compiled

logging.basicConfig(format="note: %(message)s", level=logging.INFO)
compiled.PATIENCE = float(sys.argv[1])

@compiled.compiled()
def double(n):
    total = 0
    for i in range(n):
        total += 2 * i
    return total

@compiled.compiled()
def several(n):
    return double(n) + double(n)

print(several(3), several(3.0 > 2))
"""


@pytest.fixture
def notes(tmp_path: Path):
    """Notes of a process that calls two loops, by the patience with it [s]."""
    script = tmp_path / "loops.py"
    script.write_text(LOOPS)

    def of(patience: float) -> str:
        command = [sys.executable, str(script), str(patience)]
        folders = {"NUMBA_CACHE_DIR": str(tmp_path / "kept"), "PYTHONPATH": str(PACKAGE.parent)}
        found = subprocess.run(command, env={**os.environ, **folders}, check=True, capture_output=True, text=True)
        assert found.stdout == "12 0\n"
        return found.stderr

    return of


def test_a_long_compilation_is_announced_once(notes):
    assert notes(0) == "note: compiling loops; they are cached for later runs\n"


def test_kept_loops_are_not_announced(notes):
    notes(0)
    assert notes(0) == ""


def test_a_short_compilation_is_not_announced(notes):
    assert notes(1000) == ""
