"""A large study: a page for each group, which holds what the one page of a small study does."""

import re
from urllib.parse import unquote

import pandas as pd
import pytest
from html_page import Page, text_of
from invented_study import CHAINS, scores, write_study

from qsmbench.report import build

GROUPS = ["head_brain-3t", "leg & <b>_3t"]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    lost = scores([], failed=[("romeo.pdf.tv", None, "failed: lost")], group="arm")
    phantoms = zip(GROUPS, ("head", "leg"), strict=True)
    table = pd.concat([*(scores(CHAINS, group=g).assign(phantom=p) for g, p in phantoms), lost])
    return write_study(tmp_path_factory.mktemp("results") / "large", table)


@pytest.fixture(scope="module")
def one(study, tmp_path_factory):
    return build(study, tmp_path_factory.mktemp("one")).read_text()


@pytest.fixture(scope="module")
def pages(study, tmp_path_factory):
    out = tmp_path_factory.mktemp("many")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("qsmbench.report.ROW_BUDGET", 7)
        build(study, out)
    return {f.name: f.read_text() for f in out.glob("*.html")} | {"": out}


def html_pages(pages):
    return {name: html for name, html in pages.items() if name}


def sections(html):
    """Sections of scores, without their ids, which are unique in a page; folded on a page with several."""
    found = re.findall(r'<section id="s\d+".*?</section>', html, re.DOTALL)
    found = [section.replace('<details class="group" open>', '<details class="group">') for section in found]
    return [re.sub(r'\bs\d+(-h)?"', '"', section) for section in found]


def test_the_tables_and_charts_are_those_of_the_one_page(one, pages):
    spread = [s for name in sorted(html_pages(pages)) for s in sections(pages[name])]
    assert spread == sections(one) and len(spread) == 2


def test_every_link_and_picture_leads_somewhere(study, pages):
    names, folder = html_pages(pages), pages[""]
    assert len(names) == 4
    shown = set()
    for html in names.values():
        page = Page(html)
        assert page.open == [] and len(page.ids) == len(set(page.ids))
        for link in page.links:
            inside = link[1:] in page.ids if link.startswith("#") else (folder / unquote(link)).is_file()
            assert inside or "doi.org" in link
        files = [load for load in page.loads if not load.startswith(("data:", "#"))]
        shown |= {(pages[""] / unquote(f)).read_bytes() and unquote(f) for f in files}
    assert len(shown) == len(list(study.rglob("*.webp"))) == 16
    linked = Page(names["index.html"]).links
    assert all(name in linked for name in names if name != "index.html")


def test_the_first_page_shows_the_leaders_and_every_chain_in_every_condition(pages):
    html = pages["index.html"]
    text = text_of(html)
    assert f"{GROUPS[0]} 2 4 0 – romeo.vsharp.tkd NRMSE 50.5 %" in text
    assert "arm no scores" in text and "failed lost" in text
    first = html[html.index('id="overview-1"') : html.index('id="groups"')]
    assert all(f'<th scope="row">{chain}' in first for chain in CHAINS)
    assert all(f'<a href="{name}">' in first for name in html_pages(pages) if name[0] in "12")
    shown = re.findall(r"<td data-value=[^>]+><span>([0-9.]+)<small>", first)
    assert shown.count("50.5") == 2  # on the study mask, in each group
    assert "<img" not in html


def test_a_study_of_one_group_stays_one_page(tmp_path, monkeypatch):
    monkeypatch.setattr("qsmbench.report.ROW_BUDGET", 1)
    build(write_study(tmp_path / "s", scores(CHAINS), pictures=False), tmp_path / "out")
    assert [f.name for f in (tmp_path / "out").glob("*.html")] == ["index.html"]
