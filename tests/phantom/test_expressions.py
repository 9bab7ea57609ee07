"""Expressions of parameters: arithmetic and nothing else."""

from __future__ import annotations

import pytest
import yaml

from qsmbench.errors import QsmbenchError
from qsmbench.paths import data_dir
from qsmbench.phantom.description.expressions import evaluate
from qsmbench.phantom.load import load


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$a", 3), ("-$a", -3), ("$(a + 2*b)", 4), ("$(-a**2 / 2)", -4.5), ("$(max(a, b) - min(a, b, 1))", 2.5),
        ("$(sqrt(abs(-4)) + exp(0) + log(1) + cos(0) + sin(0))", 4), ("-$(a - b)", -2.5), ("$(1e-3)", 0.001),
    ],
)  # fmt: skip
def test_values(text, value):
    assert evaluate(text, {"a": 3, "b": 0.5}) == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("$c", "c is not a parameter; choose from a"),
        ("$(a +)", "not arithmetic"),
        ("$(__import__('os').getcwd())", "not arithmetic"),
        ("$(a.real)", "not arithmetic"),
        ("$(a if a else 1)", "not arithmetic"),
        ("$(True)", "not arithmetic"),
        ("$(1/0)", "cannot be computed"),
        ("$(9**9**9)", "cannot be computed"),
        ("$((0-1)**0.5)", "must be a finite number"),
        ("$(" + "(" * 400, "longer than"),
        ("$(" + "(" * 120 + "a" + ")" * 120 + ")", "not arithmetic|^$"),
        ("$(sqrt())", "cannot be computed"),
    ],
)
def test_anything_else_is_refused_in_one_line(text, message):
    try:
        evaluate(text, {"a": 3.0})
    except ValueError as e:
        import re

        assert re.search(message, str(e)) and "\n" not in str(e)
    else:
        assert message.endswith("^$")


def test_parameters_may_depend_on_earlier_ones_and_overrides_reach_them(tmp_path):
    content = yaml.safe_load((data_dir() / "phantoms" / "sphere.yaml").read_text())
    content["parameters"] = {
        "size": 4,
        "radius": "$(2*size)",
        **{k: v for k, v in content["parameters"].items() if k != "radius"},
    }
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    assert load(str(path)).description.parameters["radius"] == 8
    assert load(str(path), {"size": 5}).description.parameters["radius"] == 10
    assert load(str(path), {"radius": 3}).description.parameters["radius"] == 3
    content["parameters"] = {"radius": "$later", "later": 3, "delta_chi": 1}
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    with pytest.raises(QsmbenchError, match=r"own.yaml: \$later is not a parameter"):
        load(str(path))
