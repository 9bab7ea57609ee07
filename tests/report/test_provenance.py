"""The report says which scores depend on assumed values, and shows the scenario's question."""

import re
from dataclasses import replace

import pandas as pd
import pytest
from invented_study import CHAINS, GROUP, scores, write_study

from qsmbench.analysis import results
from qsmbench.data.folders import write_json
from qsmbench.data.provenance import PROVENANCE_FILE, SCENARIO_FILE, SourcedValue, write_provenance
from qsmbench.report import build
from qsmbench.report._provenance import provenance

ROWS = [
    SourcedValue("caudate", "chi", "chi_para of caudate", "0.06", "ppm", "Smith 2001", "table", False),
    SourcedValue("putamen", "chi", "chi_para of putamen", "0.1", "ppm", "a <guess>", "table", True),
    SourcedValue("putamen", "r2star", "chi_para of putamen", "0.1", "ppm", "a <guess>", "table", True),
    SourcedValue("putamen", "chi", "chi_dia of putamen", "0.01", "ppm", "overridden", "user", False),
    SourcedValue("caudate", "r2star", "r2 of caudate", "12", "1/s", "another guess", "table", True),
    SourcedValue("vein", "chi", "haematocrit", "0.42", "", "head.yaml", "phantom", True),  # no voxel of it is scored
    SourcedValue("", "chi", "texture: iron in dgm", "0.1", "share of the mean", "assumed", "phantom", True),
]
SCENARIO = {
    "scenario": "parkinson",
    "case": "early",
    "question": "Is it <Parkinson> disease?",
    "endpoint": "AUC of the mean χ",
    "regions": ["putamen"],
    "source": "Murakami 2015",
    "assumed": True,
}


@pytest.fixture
def folder(tmp_path):
    """A study whose truth tells what it depends on."""
    study = write_study(tmp_path / "s", scores(CHAINS), pictures=False)
    truth = study / GROUP / "truth"
    truth.mkdir(parents=True)
    write_provenance(truth / PROVENANCE_FILE, ROWS)
    write_json(truth / SCENARIO_FILE, SCENARIO)
    return study


def page(folder, tmp_path):
    return build(folder, tmp_path / "out").read_text()


def words(html):
    return " ".join(re.sub(r"<[^>]+>", "", html).split())


def test_regions_are_counted_and_named_by_who_states_the_value(folder, tmp_path):
    text = words(page(folder, tmp_path))
    assert "χ of 1 of 3 scored regions depends on assumed values: values of tissues and sources (putamen)." in text
    assert "Also assumed: texture." in text
    assert "Set by the user: χ− of putamen." in text


def test_only_the_assumed_region_is_marked(folder, tmp_path):
    html = page(folder, tmp_path)
    heads = dict(re.findall(r'<th scope="col">(caudate|putamen|pallidum)(.*?)</th>', html))
    assert {name: "†" in rest for name, rest in heads.items()} == {"caudate": False, "putamen": True, "pallidum": False}
    assert "† depends on an assumed χ." in words(html)


def test_every_assumed_value_is_listed_once_with_its_source(folder, tmp_path):
    html = page(folder, tmp_path)
    assert "<summary>4 assumed values behind the truth</summary>" in html
    start = html.index("<details>")
    table = html[start : html.index("</details>", start)]
    assert table.count("χ+ of putamen") == 1
    assert "a &lt;guess&gt;" in table and "χ, R2*" in table and "haematocrit" in table
    assert "Smith 2001" not in table


def test_scenario_stands_at_the_head(folder, tmp_path):
    html = page(folder, tmp_path)
    text = words(html[html.index('<section id="s0"') : html.index("Every seed")])
    assert text.index("Question") < text.index("depends on assumed values") < text.index("chain")
    assert "parkinson, case early" in text and "Is it &lt;Parkinson&gt; disease?" in text
    assert "AUC of the mean χ, in putamen" in text and "Murakami 2015" in text
    assert "assumed</span></dd>" in html
    write_json(folder / GROUP / "truth" / SCENARIO_FILE, {**SCENARIO, "assumed": False})
    assert "assumed</span></dd>" not in page(folder, tmp_path)


def test_nothing_is_said_without_truth(folder, tmp_path):
    for name in (PROVENANCE_FILE, SCENARIO_FILE):
        (folder / GROUP / "truth" / name).unlink()
    html = page(folder, tmp_path)
    assert "†" not in html and "<details>" not in html and "scored region" not in html and "Question" not in html


def test_a_phantom_without_scenario_shows_none(folder, tmp_path):
    write_json(folder / GROUP / "truth" / SCENARIO_FILE, {})
    assert "Question" not in page(folder, tmp_path)


@pytest.mark.parametrize(
    ("artifact", "symbol", "assumed", "marked"),
    [
        ("chi", "χ", ["putamen"], ["putamen"]),
        ("r2star", "R2*", ["caudate", "putamen"], ["caudate", "putamen"]),
        ("local_field", "χ", ["putamen"], []),  # of all regions' χ, so that none is marked for its own
        ("fat_fraction", "fat fraction", [], []),
    ],
)
def test_each_artifact_depends_on_its_property(folder, artifact, symbol, assumed, marked):
    study = results.read_study(folder)
    study.scores["artifact"] = artifact
    found = provenance(study, GROUP, artifact)
    assert (found.symbol, found.assumed) == (symbol, assumed)
    assert [r for r in found.regions if found.marked(r)] == marked
    assert len(found.regions) == 3


def test_long_lists_are_cut(folder):
    study = results.read_study(folder)
    many = [f"region{i}" for i in range(12)]
    rows = [SourcedValue(name, "chi", "v", "1", "", "guess", "table", True) for name in many]
    write_provenance(folder / GROUP / "truth" / PROVENANCE_FILE, rows)
    one = study.scores[study.scores["metric"] == "mean"].iloc[:1]
    scored = replace(study, scores=pd.concat([one.assign(region=name) for name in many]))
    ((_, listed),) = provenance(scored, GROUP, "chi").statements
    assert listed == ", ".join(many[:8]) + " and 4 more"
