"""The page of each method: what it declares, where its chains stand, what it took, where it failed, and every link."""

import re
from types import SimpleNamespace
from urllib.parse import unquote

import numpy as np
import pytest
from html_page import Page, text_of
from invented_study import GROUP, scores, write_study

from qsmbench.report import build
from qsmbench.report._endpoints import EndpointTable
from qsmbench.report._method_pages import linked, method_content, page_names, with_doi_links
from qsmbench.run.specs import RUN_FILE, Record, prefixes, write_spec

CHAINS = ["truth", "zero", "truth.tkd", "romeo.vsharp.tkd", "romeo.vsharp.mine", "romeo.pdf.tkd", "romeo.lbv.tkd"]
DATASETS = [f"{GROUP}_seed-{seed}" for seed in (0, 1)]
TKD = {
    "references": "Shmueli 2009, doi:10.1002/mrm.22135; (the correction: Schweser 2013, doi:10.1002/mrm.24405).",
    "takes": {"local_field": "(nx, ny, nz) ppm: field of sources <inside>", "mask": "(nx, ny, nz) bool: where"},
    "optional": ["mask"],
    "gives": {"chi": "(nx, ny, nz) ppm: susceptibility"},
    "settings": {"threshold": [0.19, "|D| below which k-space is clipped"], "pad": [30.0, "zeros around, mm"]},
}


def write_run(folder, dataset, chain, record):
    place = folder / dataset / "chains" / chain / RUN_FILE
    write_spec(place, record)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    table = scores(CHAINS[:-1], failed=[("romeo.lbv.tkd", None, "skipped: romeo.lbv: no ball fits")])
    folder = write_study(tmp_path_factory.mktemp("results") / "quick", table)
    for seed, dataset in enumerate(DATASETS):
        for chain in dict.fromkeys(p for c in CHAINS for p in prefixes(c)):
            name = chain.rpartition(".")[2]
            details = {"chain": chain, "method": name, "settings": {}, "used": {}, "notes": {}, "reference": "control"}
            if name == "tkd":
                details |= {"used": {"threshold": 0.3, "pad": 30.0}, "settings": {"threshold": 0.3}, "declared": TKD}
                details |= {"summary": "Divide, but not by <small> values", "differences": "A padded\n\nkernel <b>."}
                details |= {"reference": "Shmueli 2009, doi:10.1002/mrm.22135", "notes": {"clipped": f"{seed} %"}}
            if name == "mine":
                details |= {"method": "/my/file.py", "used": {"k": 3}, "reference": "yours"}
            seconds = 1.0 + seed + (chain == "romeo.vsharp.tkd")
            record = Record(f"step {chain}", "ok", seconds=seconds, peak_memory=100.0 + seed, details=details)
            if name == "lbv":
                record = Record(f"step {chain}", "skipped", "romeo.lbv: no ball fits", details={"method": "lbv"})
            if chain == "romeo.lbv.tkd":  # as `study/jobs` leaves it
                record = Record("x", "skipped", "romeo.lbv: no ball fits", details={"because": "skipped"})
            write_run(folder, dataset, chain, record)
    return folder


@pytest.fixture(scope="module")
def report(study, tmp_path_factory):
    return build(study, tmp_path_factory.mktemp("my reports")).parent


@pytest.fixture(scope="module")
def tkd(report):
    return (report / "method_tkd.html").read_text()


def section(html, name):
    return re.search(rf'<section id="{name}".*?</section>', html, re.DOTALL)[0]


def test_every_method_has_a_page_and_every_link_leads_somewhere(report, study):
    names = ["truth", "zero", "tkd", "romeo", "vsharp", "mine", "pdf", "lbv"]
    assert sorted(f.name for f in report.glob("method_*")) == sorted(f"method_{n}.html" for n in names)
    pages = {f.name: Page(f.read_text()) for f in report.glob("*.html")}
    for name, page in pages.items():
        assert page.open == [] and len(page.ids) == len(set(page.ids))
        for link in page.links:
            file, _, anchor = unquote(link).partition("#")
            if not link.startswith("https://doi.org/"):
                assert (report / (file or name)).is_file(), link
                assert not anchor or anchor in pages[file or name].ids, link
        files = [unquote(load) for load in page.loads if not load.startswith(("data:", "#"))]
        assert all(f.startswith("pictures/") and (report / f).is_file() for f in files)
    assert len(list(report.rglob("*.webp"))) == len(list(study.rglob("*.webp")))  # none is there twice
    assert {f"method_{n}.html" for n in names} <= set(pages["index.html"].links)


def test_chains_of_the_tables_lead_to_the_pages(report):
    html = (report / "index.html").read_text()
    for part in ("overview-1", "s0"):
        heads = re.findall(r'<th scope="row">(.*?)</th>', section(html, part))
        row = next(h for h in heads if text_of(h).replace(" ", "").startswith("romeo.vsharp.mine"))
        assert re.findall(r'href="(.*?)"', row) == [f"method_{n}.html" for n in ("romeo", "vsharp", "mine")]


def test_the_chains_with_the_method_stand_as_on_the_first_page(study, report, tkd):
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", section(tkd, "standing"), re.DOTALL)
    found = {text_of(re.search(r"<th.*?</th>", r)[0]).replace(" ", ""): r for r in rows if 'scope="row"' in r}
    assert list(found) == ["romeo.vsharp.tkd", "romeo.pdf.tkd", "truth.tkdisolated"]
    # 40, 41 % and 5 % more for each chain before it; the mean is geometric
    for name, i in (("romeo.vsharp.tkd", 3), ("romeo.pdf.tkd", 5), ("truth.tkdisolated", 2)):
        (shown,) = set(re.findall(r"<td data-value=\"([0-9.]+)\"><span>", found[name]))
        # the last of both supports; on the common voxels errors are a tenth smaller
        assert float(shown) == pytest.approx(0.9 * np.sqrt((40 + 5 * i) * (41 + 5 * i)))
        first_page = (report / "index.html").read_text()
        assert re.search(r"<td data-value.*?</td>", found[name])[0] in section(first_page, "overview-1")
    text = text_of(section(tkd, "standing"))
    best = "2 of 3 chains that are ranked contain tkd. The best of them by NRMSE is romeo.vsharp.tkd, rank 1; "
    assert best + "the best without it romeo.vsharp.mine, rank 2." in text
    assert "1 of 1 isolated chains that are ranked contain tkd." in text


def test_the_picture_is_that_of_the_best_chain(tkd):
    (shown,) = [load for load in Page(tkd).loads if load.startswith("pictures/")]
    assert unquote(unquote(shown)) == f"pictures/{DATASETS[0]},romeo.vsharp.tkd.webp"


def test_it_says_what_the_method_declares(tkd):
    text = text_of(tkd)
    assert "Divide, but not by <small> values" in text and "kernel <b>." in text
    assert "local_field (nx, ny, nz) ppm: field of sources <inside>" in text
    assert "mask (nx, ny, nz) bool: where (optional)" in text and "gives chi (nx, ny, nz) ppm" in text
    rows = text_of(section(tkd, "settings"))
    assert "threshold 0.3 (set) 0.19 |D| below which k-space is clipped" in rows
    assert "pad 30 30 zeros around, mm" in rows and "clipped: 0 %; 1 %" in rows
    assert "<b>0.3</b> (set)" in tkd and "<b>30</b>" not in tkd
    links = [link for link in Page(section(tkd, "source")).links if link.startswith("https://doi.org/")]
    assert links == ["https://doi.org/10.1002/mrm.22135", "https://doi.org/10.1002/mrm.24405"]


def test_time_and_memory_are_the_range_of_the_runs_with_a_result(tkd):
    # 1 and 2 s, and 2 and 3 s after vsharp; 100 and 101 MiB; two of the eight runs have no result
    assert f"{GROUP} 1–3 101 8 2" in text_of(section(tkd, "cost"))


def test_failures_have_their_reason_and_place(report, tkd):
    assert f"{GROUP}, seeds 0, 1 romeo.lbv.tkd skipped romeo.lbv: no ball fits" in text_of(section(tkd, "missing"))
    lbv = (report / "method_lbv.html").read_text()
    assert f"{GROUP}, seeds 0, 1 romeo.lbv skipped romeo.lbv: no ball fits" in text_of(section(lbv, "missing"))
    assert f"{GROUP} – – 2 2" in text_of(section(lbv, "cost")) and 'id="standing"' not in lbv
    assert 'id="missing"' not in (report / "method_pdf.html").read_text()


def test_the_page_of_a_users_method_has_what_is_known(report):
    html = (report / "method_mine.html").read_text()
    text = text_of(html)
    assert "it is the method file.py" in text and "my/" not in text and "k 3" in text_of(section(html, "settings"))
    assert "No difference from its source is stated." in text
    assert "No difference" not in text_of((report / "method_romeo.html").read_text())  # a control has no source
    assert 'id="volumes"' not in html and "default</th>" not in html
    assert "romeo.vsharp.mine" in text_of(section(html, "standing")).replace(" . ", ".")


def test_a_page_to_mail_has_the_table_alone(study, tmp_path):
    page = Page(build(study, tmp_path / "mail", single=True).read_text())
    assert [f.name for f in (tmp_path / "mail").iterdir()] == ["index.html"]
    assert "#method-tkd" in page.links
    assert all(link[1:] in page.ids for link in page.links if link.startswith("#"))
    assert all(link.startswith(("#", "https://doi.org/", "data:")) for link in page.links)


def test_groups_of_a_large_study_link_to_the_pages_and_back(study, tmp_path, monkeypatch):
    import pandas as pd

    table = pd.concat(
        [pd.read_parquet(study / "scores.parquet"), scores(CHAINS[:4], group="leg").assign(phantom="leg")]
    )
    folder = write_study(tmp_path / "s", table, pictures=False)
    for dataset in (*DATASETS, "leg_seed-0"):
        details = {"method": "tkd", "used": {}, "settings": {}}
        write_run(folder, dataset, "truth.tkd", Record("x", "ok", seconds=5.0, details=details))
    monkeypatch.setattr("qsmbench.report.ROW_BUDGET", 7)
    out = build(folder, tmp_path / "out").parent
    page = (out / "method_tkd.html").read_text()
    assert "leg 5 – 1 0" in text_of(section(page, "cost")) and f"{GROUP} 5 – 2 0" in text_of(section(page, "cost"))
    groups = [f.name for f in out.glob("[12]_*.html")]
    assert len(groups) == 2 and set(groups) <= set(Page(section(page, "cost")).links)
    assert all('href="method_tkd.html"' in (out / name).read_text() for name in groups)


def test_names_make_safe_files_that_differ_where_case_does_not():
    names = ["tv", "TV", "a/../b", "tv+lcurve", "a/..;b"]
    found = page_names([SimpleNamespace(name=n) for n in names])
    assert list(found) == names
    assert list(found.values()) == [
        "method_tv.html",
        "method_TV-1.html",
        "method_a-..-b.html",
        "method_tv+lcurve.html",
        "method_a-..-b-1.html",
    ]


def test_hostile_names_are_text():
    steps = linked({"<i>": "method_-i-.html"})
    assert steps("<i>.<b>") == ('<span class="steps"><a href="method_-i-.html">&lt;i&gt;</a>.<wbr>&lt;b&gt;</span>')
    assert steps("<b>.c") == "&lt;b&gt;.c"


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("a < b, doi:10.1/x.y; c", 'a &lt; b, <a href="https://doi.org/10.1/x.y" rel="noreferrer">doi:10.1/x.y</a>; c'),
        ("(doi:10.1/x).", '(<a href="https://doi.org/10.1/x" rel="noreferrer">doi:10.1/x</a>).'),
        ("doi:10.1/S(98)8-1.", '<a href="https://doi.org/10.1/S(98)8-1" rel="noreferrer">doi:10.1/S(98)8-1</a>.'),
        ('doi:10.1/"><b>', '<a href="https://doi.org/10.1/&#34;&gt;&lt;b&gt;" rel="noreferrer">'),
        ("control", "control"),
    ],
)
def test_publications_become_links(text, html):
    assert with_doi_links(text).startswith(html)


def test_endpoints_are_those_of_its_chains_and_of_the_truth():
    method = SimpleNamespace(name="tkd", references="")
    chains = ["truth", "romeo.tv", "romeo.tkd", "truth.tkd"]
    tables = [
        EndpointTable("a", "", "chi", "ppm", [("", "")], chains, {}, []),
        EndpointTable("b", "", "chi", "ppm", [("", "")], chains[:2], {}, []),
    ]
    asked = [{"answer": "first", "tables": tables}, {"answer": "second", "tables": tables[1:]}]
    found = method_content(method, {"overviews": [], "endpoints": asked}, [])["endpoints"]
    assert [(e["answer"], [(t.name, t.chains) for t in e["tables"]]) for e in found] == [
        ("first", [("a", ["truth", "romeo.tkd", "truth.tkd"])])
    ]
