"""Kept results and compiled loops are those of the code as it is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from qsmbench.dependencies import PACKAGE
from qsmbench.phantom.cache import keep, memory

COUNTED = """
from qsmbench.phantom.cache import keep
import qsmbench.phantom.{module} as module

calls = []
code = compile("lambda: calls.append(1)", module.__file__, "eval")
keep(eval(code), "key")
print(len(calls))
"""

CHANGED_CHANNEL = """
import numpy as np
from qsmbench.phantom.description.sources import Amounts, Factors
from qsmbench.phantom.painting.paint import _change_chi

stack = np.zeros((10, 1, 1, 1), np.float32)
one = np.float32(1)
_change_chi(one, Factors(*[one] * 5), Amounts(one, *[np.float32(0)] * 3), stack, 0, 0, 0)
print(int(stack.argmax()))
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package, to be changed."""
    shutil.copytree(PACKAGE, tmp_path / "qsmbench", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "qsmbench"


def run(package: Path, script: str) -> int:
    """What a script prints that runs on a copy of the package in a process of its own."""
    folders = {"PYTHONPATH": str(package.parent), "QSMBENCH_CACHE": str(package.parent / "cache")}
    kept = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}
    found = subprocess.run(
        [sys.executable, "-c", script], env={**kept, **folders}, cwd=package.parent, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr
    return int(found.stdout)


def test_result_is_computed_once_for_each_key(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("QSMBENCH_CACHE", str(tmp_path / "cache"))
    calls = []

    def compute() -> int:
        calls.append(1)
        return len(calls)

    file = tmp_path / "image"
    file.write_text("1")
    assert [keep(compute, "a", file), keep(compute, "a", file), keep(compute, "b", file)] == [1, 1, 2]
    other = tmp_path / "other"
    other.write_text("2")
    assert keep(compute, "a", other) == 3


def test_results_are_kept_where_that_is_possible(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("QSMBENCH_CACHE", str(tmp_path / "cache"))
    assert memory().location is not None
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("QSMBENCH_CACHE", str(tmp_path / "file" / "cache"))
    assert memory().location is None
    assert memory().cache(abs)(-1) == 1
    assert [keep(lambda n=n: n, "key") for n in (1, 2)] == [1, 2]


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("layers", "painting/distance.py"),
        ("layers", "warp.py"),
        ("veins.tree", "veins/growth.py"),
        ("veins.tree", "lookup.py"),
        ("painting.maps", "description/models.py"),
    ],
)
def test_result_is_computed_anew_after_a_change_of_what_its_module_imports(package: Path, module: str, imported: str):
    script = COUNTED.format(module=module)
    assert [run(package, script), run(package, script)] == [1, 0]
    with (package / "phantom" / imported).open("a") as file:
        file.write("\nADDED = 1\n")
    assert run(package, script) == 1


def test_loop_is_compiled_anew_after_a_change_of_a_constant_from_another_file(package: Path):
    species = package / "phantom" / "species.py"
    assert run(package, CHANGED_CHANNEL) == 0
    text = species.read_text()
    chi, protons = '*(Channel(name, "ppm") for name in CHI)', "*(channel for s in SPECIES for channel in s.channels)"
    assert text.count(f"({chi}, {protons})") == 1
    species.write_text(text.replace(f"({chi}, {protons})", f"({protons}, {chi})"))
    assert run(package, CHANGED_CHANNEL) == 8
