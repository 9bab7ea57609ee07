"""What the README shows works as it stands there."""

import os
import re
import subprocess
import sys

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


PERSON = """
kind: shapes
field_of_view: {lower: [-40, -40, -40], upper: [40, 40, 40]}
voxel_size: 4
supersampling: 1
background: water
population: people.yaml
parameters: {delta_chi: 0.3}
mask: {shape: ellipsoid, radii: [34, 34, 34]}
layers:
  - region: ball
    shape: {shape: ellipsoid, radii: [12, 16, 14]}
    material: {chi: $delta_chi, pd: 1, t1: 1.5, r2star: 20}
"""

PEOPLE = """
age: {reference: 30, range: [20, 85], allowed: [1, 100]}
size: 0.03
proportions: 0.02
shape: []
parameters: {delta_chi: {scatter: 0.05}}
tissues: {}
sources: {}
"""


def test_its_comparison_ends_in_a_verdict(tmp_path):
    """The study of the README and its commands, with a person that is simulated faster than a head."""
    (tmp_path / "person.yaml").write_text(PERSON)
    (tmp_path / "people.yaml").write_text(PEOPLE)
    (text,) = (block for block in blocks("yaml") if "study: better" in block)
    assert len(text.splitlines()) <= 10
    text = text.replace("phantom: head", "phantom: person.yaml").replace("voxel_size: 4", "voxel_size: 6")
    (tmp_path / "better.yaml").write_text(text)
    commands = re.search(r"```\n(qsmbench run better\.yaml\n.*?)```", README.read_text(), re.S)[1]
    for command in commands.splitlines():
        ran = subprocess.run(
            [sys.executable, "-m", "qsmbench.cli", *command.split()[1:]],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(data_dir())},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
    said = " ".join(ran.stdout.split())
    verdict = r"truth\.noisy\.tv is (better|worse) than truth\.noisy\.tkd by [0-9.]+ % in NRMSE"
    assert re.search(
        rf"{verdict} \(95 % interval [0-9.]+ to [0-9.]+ %; 8 subjects, 8 scans; Hedges' g .*; signed-rank p", said
    )
