"""What docs/python.md shows works as it stands there."""

import re

import pytest

import qsmbench
from qsmbench.paths import data_dir

PAGE = data_dir() / "docs" / "python.md"
pytestmark = pytest.mark.skipif(not PAGE.is_file(), reason="the docs are in the repository, not in the package")


def test_the_page_runs_from_top_to_bottom(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S))
    names = {}
    exec(compile(text, str(PAGE), "exec"), names)
    assert 0 < names["nrmse"] < 100


def test_the_page_names_all_that_is_offered():
    named = set(re.findall(r"`qb\.(\w+)", PAGE.read_text()))
    assert named == set(qsmbench.__all__)
