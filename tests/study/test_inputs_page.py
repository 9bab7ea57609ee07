"""What docs/inputs.md says of keys and units is what there is."""

import inspect
import re

import pytest
import typer
import yaml

import qsmbench as qb
from qsmbench import cli
from qsmbench.data.measured import Stated
from qsmbench.data.phase_units import UNITS
from qsmbench.paths import data_dir
from qsmbench.study import config
from qsmbench.study.datasets import Measured

PAGE = data_dir() / "docs" / "inputs.md"
pytestmark = pytest.mark.skipif(not PAGE.is_file(), reason="the docs are in the repository, not in the package")

STATED = set(Stated.__dataclass_fields__)


def table(heading):
    """The cells of the first column of the table that a heading begins, as code."""
    text = PAGE.read_text().split(f"\n## {heading}\n\n")[1]
    rows = re.findall(r"^\|([^|]*)\|", text.split("\n\n")[0], re.M)
    return [name for row in rows for name in re.findall(r"`(\w+)`", row)]


def test_every_key_is_on_the_page():
    assert set(table("Keys")) == set(Measured.model_fields) - {"bids"}
    assert set(Measured.model_fields) > STATED


def test_every_key_is_an_option_and_an_argument():
    options = {p.name for p in typer.main.get_command(cli.app).get_command(None, "reconstruct").params}
    assert options >= STATED
    assert set(inspect.signature(qb.load_scan).parameters) >= STATED
    page = PAGE.read_text()
    assert all(f"`--{key.replace('_', '-')}" in page for key in STATED)


def test_every_unit_is_on_the_page():
    assert table("The unit of phase") == list(UNITS)
    for text in (
        qb.load_scan.__doc__,
        qb.Scan.__doc__,
        typer.main.get_command(cli.app).get_command(None, "reconstruct"),
    ):
        shown = text if isinstance(text, str) else next(p.help for p in text.params if p.name == "phase_unit")
        assert all(unit in shown for unit in UNITS)


def test_its_study_is_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.S)
    content = {"study": "s", "chains": ["romeo.fit"], **yaml.safe_load(block)}
    assert len(config.parse(content, "inputs.md").datasets) == 2
