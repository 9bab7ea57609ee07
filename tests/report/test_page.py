"""The page: complete, self-contained, honest about what is missing."""

import re
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from html_page import Page, text_of
from invented_study import CHAINS, scores, write_study

from qsmbench.errors import QsmbenchError
from qsmbench.report import build
from qsmbench.report._summary import number, rank_text


@pytest.fixture(scope="module")
def html(study, tmp_path_factory):
    page = build(study, tmp_path_factory.mktemp("report"))
    assert page.name == "index.html"
    return page.read_text()


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def test_it_loads_nothing(html, page):
    assert page.loads
    assert all(load.startswith(("data:", "#", "pictures/")) for load in page.loads)
    assert not re.search(r"@import|url\(\s*['\"]?(?!#)", html)
    assert not re.search(r"\b(fetch|XMLHttpRequest|WebSocket|import)\s*\(", html)
    assert set(page.tags) & {"iframe", "object", "embed", "base"} == set()
    assert all(link.startswith(("#", "https://doi.org/", "data/")) for link in page.links)


def test_it_is_well_formed_with_unique_ids(page):
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert all(link[1:] in page.ids for link in page.links if link.startswith("#"))


def test_every_chain_and_its_pictures_are_there(html, page):
    for chain in CHAINS:
        assert f'<th scope="row">{chain}' in html
        assert html.count(f'data-chain="{chain}"') == 2
    assert sum(load.startswith("pictures/") for load in page.loads) == 8


def test_failures_show_their_reason(html):
    assert "docker image star:1.2 is not there" in html
    assert re.search(r"romeo\.pdf\.tv</b>: diverged at iteration 12 \(on 1 of 2 seeds\)", html)
    assert 'title="the reconstruction is constant within the mask"' in html


def test_mean_and_spread_over_the_seeds(html):
    # 50, 51 % on the study mask: mean 50.5, standard deviation 0.7
    assert re.search(r"50\.5\s*<small> ± 0\.7</small>", html)


def test_name_phrase_config_versions_and_convention(html):
    text = text_of(html)
    for expected in (
        "quick",
        "A first look.",
        "study: quick",
        "2.4.6",
        "Radiological convention",
        "not a significance test",
    ):
        assert expected in text


def test_definitions_come_with_their_references(html):
    assert "Norm of the error divided by the norm of the truth" in html
    assert "https://doi.org/10.1002/mrm.26830" in html


def test_it_is_the_same_page_twice(study, html, tmp_path):
    assert build(study, tmp_path).read_text() == html


def test_hostile_names_are_text(tmp_path):
    bad = '<script>alert("x")</script>$\\frac{a}$&amp'
    table = scores(["truth", bad], failed=[("b", None, "<img src=http://x.y/z>")])
    study = write_study(tmp_path / "s", table, pictures=False, config="study: '<b>&x</b>'\n")
    html = build(study, tmp_path / "out").read_text()
    page = Page(html)
    assert page.tags.count("script") == 1 and page.tags.count("img") == 0
    assert "<b>&x</b>" in "".join(page.text) and bad in "".join(page.text)
    assert page.open == []


def test_without_pictures(tmp_path):
    study = write_study(tmp_path / "s", scores(CHAINS), pictures=False)
    assert "There are no pictures." in build(study, tmp_path / "out").read_text()


def test_pictures_lie_beside_the_page(study, tmp_path):
    files = sorted(study.rglob("*.webp"))
    html = build(study, tmp_path).read_text()
    shown = [tmp_path / unquote(load) for load in Page(html).loads if load.startswith("pictures/")]
    assert sorted(f.read_bytes() for f in shown) == sorted(f.read_bytes() for f in files)
    assert "data:image/webp" not in html and "The pictures lie beside this page" in html


def test_pictures_are_part_of_a_page_to_mail(study, tmp_path):
    page = Page(build(study, tmp_path / "mail", single=True).read_text())
    assert sum(load.startswith("data:image/webp") for load in page.loads) == 8
    assert [f.name for f in (tmp_path / "mail").iterdir()] == ["index.html"]


def test_real_data_without_truth(tmp_path):
    table = scores(["romeo.vsharp.tkd", "romeo.pdf.tv"], seeds=1)
    blind = table["metric"].isin(["nrmse", "correlation", "bias"])
    table.loc[blind, "value"], table.loc[blind, "reason"] = np.nan, "there is no truth"
    html = build(write_study(tmp_path / "s", table), tmp_path / "out").read_text()
    text = text_of(html)
    assert "Not scored: NRMSE, correlation (there is no truth)." in text
    assert "A single dataset: differences may be chance." in text
    assert "nan" not in text.lower().split()


def test_a_study_in_which_everything_failed(tmp_path):
    table = scores([], failed=[("romeo.tkd", None, "memory: out of memory")])
    html = build(write_study(tmp_path / "s", table), tmp_path / "out").read_text()
    assert "out of memory" in html and "Nothing in this study has a score." in html
    page = Page(html)
    assert page.open == [] and all(link[1:] in page.ids for link in page.links if link.startswith("#"))


def test_a_study_in_which_no_data_set_could_be_made(tmp_path):
    table = scores([], failed=[("", None, "failed: the phantom has no voxel")])
    text = text_of(build(write_study(tmp_path / "s", table), tmp_path / "out").read_text())
    assert "Nothing in this study has a score." in text
    assert (
        "head_brain-3t, seeds 0, 1 the dataset itself, and therefore all chains failed the phantom has no voxel" in text
    )


def test_what_could_not_be_made_has_a_section_and_all_else_is_there(tmp_path):
    failed = [
        ("romeo.tkd", None, "skipped: romeo: <no echo>"),
        ("romeo.tv", None, "skipped: romeo: <no echo>"),
        ("romeo.l2", 1, "timeout: took longer than 60 s"),
    ]
    table = pd.concat([scores(CHAINS, failed=failed), scores([], failed=[("", 0, "missing: gone")], group="leg")])
    html = build(write_study(tmp_path / "s", table, pictures=False), tmp_path / "out").read_text()
    text = text_of(html[html.index('<section id="missing"') : html.index('<section id="pictures"')])
    assert "What failed" in text
    assert "leg, seed 0 the dataset itself, and therefore all chains missing gone" in text
    assert "head_brain-3t, seeds 0, 1 romeo.tkd, romeo.tv skipped romeo: <no echo>" in text
    assert "head_brain-3t, seed 1 romeo.l2 timeout took longer than 60 s" in text
    assert "50.5" in html and "dataset" in text_of(html)


def test_what_is_not_scored_is_no_failure(tmp_path):
    table = scores(CHAINS, not_scored=[("romeo", "unwrapped", "an unwrapped phase is only known up to 2π")])
    html = build(write_study(tmp_path / "s", table, pictures=False), tmp_path / "out").read_text()
    text = text_of(html)
    assert "What is not scored" in text and "only known up to 2π" in text
    assert "What failed" not in text and "no result" not in text


def test_chains_that_end_in_a_mask_have_a_table_of_their_own(tmp_path):
    masks = scores(["magnitude_mask"])
    masks = masks[masks["metric"].isin(["coverage", "time"])].replace({"artifact": {"chi": "mask"}})
    table = pd.concat([scores(CHAINS), masks])
    text = text_of(build(write_study(tmp_path / "s", table, pictures=False), tmp_path / "out").read_text())
    assert "head_brain-3t · mask" in text and "no result" not in text


def test_many_seeds_are_drawn_as_boxes(tmp_path):
    table = scores(CHAINS, seeds=6)
    html = build(write_study(tmp_path / "s", table, pictures=False), tmp_path / "out").read_text()
    assert "with quartiles" in text_of(html)


def test_only_the_config_may_be_missing(study, tmp_path):
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "scores.parquet").write_bytes((study / "scores.parquet").read_bytes())
    html = build(bare, tmp_path / "out").read_text()
    assert "<h1>bare</h1>" in html and "contains no <code>config.yaml</code>" in html


def test_missing_damaged_and_empty_scores_are_refused(tmp_path):
    with pytest.raises(QsmbenchError, match=r"scores\.parquet: no such file; run the study first"):
        build(tmp_path, tmp_path / "out")
    (tmp_path / "scores.parquet").write_bytes(b"PAR")
    with pytest.raises(QsmbenchError, match=r"scores\.parquet: cannot be read as Parquet"):
        build(tmp_path, tmp_path / "out")
    pd.DataFrame({"dataset": ["a"]}).to_parquet(tmp_path / "scores.parquet")
    with pytest.raises(QsmbenchError, match="has no column 'chain'"):
        build(tmp_path, tmp_path / "out")
    scores([]).to_parquet(tmp_path / "scores.parquet")
    with pytest.raises(QsmbenchError, match="contains no scores"):
        build(tmp_path, tmp_path / "out")


def test_notes_of_measured_scans_are_shown(study, tmp_path):
    import json

    scan = study / "head_brain-3t_seed-0" / "scan"
    scan.mkdir(parents=True)
    (scan / "notes.json").write_text(json.dumps({"notes": ["scanner units <0…4095> rescaled"]}))
    page = build(study, tmp_path).read_text()
    (scan / "notes.json").unlink()
    assert "Note on head_brain-3t_seed-0: scanner units &lt;0…4095&gt; rescaled" in page


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [(-0.04, 1, "0.0"), (-1.26, 1, "−1.3"), (float("nan"), 1, "–"), (3.2e9, 1, "3.2e+09"), (12.0, 0, "12")],
)
def test_numbers(value, decimals, text):
    assert number(value, decimals) == text


@pytest.mark.parametrize(("rank", "text"), [(1.0, "1"), (2.5, "2.5"), (15.025, "15"), (2.975, "3"), (1234.0, "1234")])
def test_ranks_have_one_decimal_at_most(rank, text):
    assert rank_text(rank) == text


def test_isolated_and_composed_chains_compete_apart(tmp_path):

    chains = ["truth", "zero", "truth.tkd", "truth.tv", "romeo.tkd", "romeo.tv"]
    page = build(write_study(tmp_path / "s", scores(chains)), tmp_path / "out").read_text()
    page = page[page.index('<section id="s0"') :]
    rows = {c: page.split(f">{c}<")[1].split("</tr>")[0] for c in chains[2:]}
    assert [" best" in rows[c] for c in chains[2:]] == [True, False, True, False]  # errors grow along the list


def test_no_spread_is_shown_that_rounds_to_nothing(tmp_path):
    table = scores(CHAINS)
    table.loc[table["metric"] == "nrmse", "value"] = table["value"] * 1e-6 + 40 * (table["metric"] == "nrmse")
    html = build(write_study(tmp_path / "s", table, pictures=False), tmp_path / "out").read_text()
    assert not re.search(r"± 0\.0*\D", html)


def test_groups_are_folded_if_there_are_several(tmp_path):
    table = pd.concat([scores(CHAINS, group=f"g{i}").assign(phantom=f"p{i}") for i in range(3)])
    html = build(write_study(tmp_path / "s", table, pictures=False), tmp_path / "out").read_text()
    assert html.count('<details class="group">') == 3 and 'class="group" open' not in html
    assert html.index('id="overview-1"') < html.index('id="s0"')
    single = build(write_study(tmp_path / "t", scores(CHAINS), pictures=False), tmp_path / "two").read_text()
    assert '<details class="group" open>' in single


def test_attribution_and_weighted_score_are_shown(tmp_path):
    table = scores([*CHAINS, "truth.tkd", "truth.noisy.tkd"])
    own = table[(table["chain"] == "romeo.vsharp.tkd") & (table["metric"] == "nrmse")]
    parts = {"field": 30.0, "background": 50.0, "inversion": 25.0, "coverage": -5.0}
    more = [own.assign(metric="attribution", region=r, value=v) for r, v in parts.items()]
    config = "study: s\nscore: {nrmse: 2, correlation: 1}\n"
    study = write_study(tmp_path / "s", pd.concat([table, *more]), pictures=False, config=config)
    html = build(study, tmp_path / "out").read_text()
    assert Page(html).open == []
    text = text_of(html)
    assert "romeo.vsharp.tkd 60.5 65.5 50.5 30.0 50.0 25.0 −5.0" in text  # oracle, with noise, whole chain, parts
    assert "with the weights nrmse 2, correlation 1" in text and "weighted score" in text
    assert "a single one, so that there are no intervals" in text


def test_robustness_over_a_crossed_number_is_shown(tmp_path):
    levels = [(snr, factor) for snr, factor in ((100, 1.0), (50, 1.05), (10, 1.5))]
    tables = []
    for snr, factor in levels:
        table = scores(CHAINS, group=f"g{snr}").assign(snr=snr)
        table.loc[(table["metric"] == "nrmse") & (table["chain"] == CHAINS[2]), "value"] = 40.0 * factor
        tables.append(table)
    html = build(write_study(tmp_path / "s", pd.concat(tables), pictures=False), tmp_path / "out").read_text()
    text = text_of(html[html.index('<section id="robustness"') : html.index('<section id="s0"')])
    assert "romeo.vsharp.tkd × 1.50 × 1.05 best 40.0 50, 100" in text
    assert "g10" in html and Page(html).open == []
