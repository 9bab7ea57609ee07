"""The section on endpoints: what a scenario asks, and what each chain answers."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from html_page import Page, text_of
from invented_study import CHAINS, scores, write_study

from qsmbench.analysis.results import read_study
from qsmbench.analysis.trials import answers
from qsmbench.data.score_table import COLUMNS, FACTORS, source_name
from qsmbench.data.source_table import PlacedSource, write_sources
from qsmbench.report import build

SHIFT = 0.03
GAIN = {"truth": 1.0, "tv": 0.8, "tkd": 0.5}


def lesion(index, part_of=0):
    shell = 1.0 if part_of else 0.0
    return PlacedSource(index, "iron", "in", "", "plaque", "white", 1, 0, 0, 0, 20, 2, shell, part_of, "scenario")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two cases of an invented scenario in five people; plaques with a rim in one of them."""
    rng = np.random.default_rng(0)
    base, table, groups = rng.normal(0.1, 0.01, 5), [], []
    for case in ("control", "patient"):
        for subject in range(1, 6):
            group = f"invented-{case}_subject-{subject}"
            groups.append((group, case))
            factors = (group, group, "head", "invented", case, str(subject), "brain-3t", 0, "")
            for chain, gain in GAIN.items():
                true = base[subject - 1] + (SHIFT if case == "patient" else 0)
                made = gain * true + 0.001 * rng.normal() * (chain != "truth")
                rows = [("mean", "nigra", made), ("bias", "nigra", made - true), ("nrmse", "", 50 * (1 - gain))]
                rows += [("rim_contrast", source_name(i), gain * 0.01 * i * (case == "patient")) for i in (1, 2)]
                table += [(*factors, chain, "chi", m, r, "study", v, "ppm", "") for m, r, v in rows]
                table.append((*factors, chain, "", "time", "", "run", 1.0, "s", ""))
    made = write_study(
        tmp_path_factory.mktemp("results") / "invented",
        pd.DataFrame(table, columns=[*FACTORS, *COLUMNS[1:]]),
        pictures=False,
    )
    for group, case in groups:
        truth = made / group / "truth"
        truth.mkdir(parents=True)
        scenario = {"scenario": "invented", "case": case, "controls": ["control"], "question": "Is it <ill>?",
                    "endpoint": "mean of the nigra", "endpoints": ["group_auc", "dose_slope", "rim_auc"],
                    "regions": ["nigra"], "source": "invented", "assumed": True}  # fmt: skip
        (truth / "scenario.json").write_text(json.dumps(scenario))
        rims = [lesion(3, 1), lesion(4, 2)] if case == "patient" else []
        write_sources(truth / "sources.tsv", [lesion(1), lesion(2), *rims])
    return made


@pytest.fixture(scope="module")
def html(folder, tmp_path_factory):
    return build(folder, tmp_path_factory.mktemp("report")).read_text()


def test_the_cases_of_a_scenario_are_one_answer(folder):
    (answer,) = answers(read_study(folder))
    assert answer.subjects == 5
    assert list(answer.values) == ["group_auc", "dose_slope", "rim_auc"]
    slopes = {v.chain: v.value for v in answer.values["dose_slope"]}
    assert slopes["truth"] == pytest.approx(1)
    assert slopes["tv"] == pytest.approx(0.8, abs=0.05)
    rims = {v.chain: (v.value, v.n) for v in answer.values["rim_auc"]}
    assert rims == dict.fromkeys(GAIN, (1.0, 5))


def test_the_report_shows_question_and_values(html):
    page = Page(html)
    assert page.open == [] and len(page.ids) == len(set(page.ids))
    assert "endpoints" in page.ids
    section = re.search(r'<section id="endpoints".*?</section>', html, re.S)[0]
    assert "Is it &lt;ill&gt;?" in section
    text = text_of(section)
    assert "10 lesions with a rim, 10 without" in text
    assert re.search(r"group_auc.*dose_slope.*rim_auc", text, re.S)
    tv = re.search(
        r'<code>dose_slope.*?<th scope="row">tv</th>\s*<td[^>]*>(0\.[78]\d*)<small> (\S+) … (\S+)</small>',
        section,
        re.S,
    )
    assert float(tv[2]) < float(tv[1]) < float(tv[3])


def test_sources_are_no_regions(folder, html):
    study = read_study(folder)
    assert study.nuclei(study.groups[0]) == ["nigra"]
    assert "source 1" not in html


def test_a_study_without_scenarios_has_no_such_section(tmp_path):
    made = write_study(tmp_path / "quick", scores(CHAINS), pictures=False)
    assert answers(read_study(made)) == []
    assert 'id="endpoints"' not in build(made, tmp_path / "report").read_text()
