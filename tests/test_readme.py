"""What the README shows works as it stands there."""

import re

import numpy as np
import pytest
import yaml

from qsmbench import cli
from qsmbench.paths import data_dir

README = data_dir() / "README.md"
pytestmark = pytest.mark.skipif(not README.is_file(), reason="the README is in the repository, not in the package")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(), re.S)


def test_the_two_commands_are_targets_of_the_makefile():
    targets = re.findall(r"^(\w+):", (data_dir() / "Makefile").read_text(), re.M)
    commands = blocks("")[0].split("\n")
    assert [c.split()[1] for c in commands if c] == ["benchmark", "test"]
    assert {"benchmark", "test"} <= set(targets)


def method():
    (text,) = (block for block in blocks("python") if "@method" in block)
    return text


def test_its_python_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (text,) = (block for block in blocks("python") if "import qsmbench as qb" in block)
    assert len(text.splitlines()) <= 25
    exec(compile(text, str(README), "exec"), {})
    assert {"chi.png", "chi.nii.gz"} == {f.name for f in tmp_path.iterdir()}
    assert "nrmse" in capsys.readouterr().out


def test_its_method_is_one(tmp_path, small):
    from qsmbench.run import registry

    (tmp_path / "mine.py").write_text(method())
    mine = registry.find(str(tmp_path / "mine.py"))
    field = small["truth"]["local_field"]
    assert np.array_equal(mine(field, small["scan"]["mask"], small["params"].grid, strength=2.0), 2 * field)


def test_its_study_is_legal(tmp_path, monkeypatch):
    from qsmbench.study import config

    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(method())
    study = config.parse(yaml.safe_load(blocks("yaml")[0]), "README.md")
    assert len(study.datasets) == 2


def test_its_commands_exist():
    lines = [line for line in blocks("")[1].splitlines() if line]
    verbs = {c.name or c.callback.__name__ for c in cli.app.registered_commands}
    verbs |= {g.name for g in cli.app.registered_groups}
    assert {line.split()[1] for line in lines} == verbs
