"""What the first page says of a study: the best chain by purpose, combinations, and what a publication must state."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from html_page import Page, text_of
from invented_study import GROUP, scores, write_study
from packed_volumes import write_volumes

from qsmbench.analysis.failures import Missing
from qsmbench.analysis.results import read_study
from qsmbench.analysis.summary import tables
from qsmbench.data.folders import Params, write, write_params
from qsmbench.grid import Grid
from qsmbench.report import build
from qsmbench.report._answer import answer, explained
from qsmbench.report._checklist import acquisition, checklist, paragraph
from qsmbench.report._combinations import heat_maps
from qsmbench.report._methods import Cost, methods_used
from qsmbench.report._overview import overviews, ranked_families
from qsmbench.run.specs import RUN_FILE, Record, prefixes, write_spec

COMPOSED = ["romeo.fit.vsharp.tkd", "romeo.fit.vsharp.tv", "romeo.fit.pdf.tkd", "romeo.fit.pdf.tv"]
FILES = {
    "romeo": "unwrapped.nii.gz",
    "fit": "totalfield.nii.gz",
    "vsharp": "localfield.nii.gz",
    "pdf": "localfield.nii.gz",
    "tkd": "chimap.nii.gz",
    "tv": "chimap.nii.gz",
}
PROTOCOL = {
    "b0": 3.0,
    "te": [0.005, 0.010, 0.015],
    "tr": 0.03,
    "flip_angle": 15.0,
    "snr": {"value": 80},
    "slices": None,
    "coils": None,
    "readout": {"bandwidth": 300.0, "polarity": "bipolar"},
    "kspace": {"partial_fourier": [1, 0.75, 1]},
}


def records(folder, dataset, chains):
    """Write the records of the steps of some chains."""
    for step in dict.fromkeys(p for c in chains for p in prefixes(c)):
        name = step.rpartition(".")[2]
        details = {
            "method": name,
            "used": {"radius": 5.0},
            "settings": {},
            "reference": f"{name} 2011, doi:10.1/{name}",
        }
        record = Record(step, "ok", products={FILES[name]: "0"}, seconds=2.0, peak_memory=100.0, details=details)
        write_spec(folder / dataset / "chains" / step / RUN_FILE, record)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    table = scores(["truth", "zero", *COMPOSED], seeds=2)
    folder = write_study(tmp_path_factory.mktemp("results") / "s", table)
    for seed in (0, 1):
        records(folder, f"{GROUP}_seed-{seed}", COMPOSED)
    (folder / "protocols.json").write_text(json.dumps({GROUP: PROTOCOL}))
    grid = Grid((6, 7, 8), (1.0, 1.0, 2.0))
    scan = folder / f"{GROUP}_seed-0" / "scan"
    write(scan, {"mask": np.ones(grid.shape, bool)}, grid)
    write_params(scan, Params(np.array(PROTOCOL["te"]), 3.0, grid))
    return folder


@pytest.fixture(scope="module")
def study(folder):
    return read_study(folder)


def test_combinations_are_the_scores_of_their_chains(study):
    (map_,) = heat_maps(study, overviews(study, tables(study))[0]["study"])
    assert map_.rest == "romeo.fit.…" or map_.rest == "romeo.fit.….…"
    assert (map_.backgrounds, map_.inversions) == (["vsharp", "pdf"], ["tkd", "tv"])
    # 40, 41 % and 5 % more for each chain before it, the controls included; the mean is geometric
    expected = {c: np.sqrt((40 + 5 * i) * (41 + 5 * i)) for i, c in enumerate(COMPOSED, start=2)}
    assert {c.chain: c.value for c in map_.cells.values()} == pytest.approx(expected)
    assert [c.chain for c in map_.cells.values() if c.best] == [COMPOSED[0]]
    shades = [map_.cells[b, i].shade for b in map_.backgrounds for i in map_.inversions]
    assert shades == sorted(shades, reverse=True) and (shades[0], shades[-1]) == (50, 0)


def test_there_is_no_map_of_a_single_background_removal(tmp_path):
    folder = write_study(tmp_path / "s", scores(COMPOSED[:2]), pictures=False)
    records(folder, f"{GROUP}_seed-0", COMPOSED[:2])
    study = read_study(folder)
    assert heat_maps(study, overviews(study, tables(study))[0]["study"]) == []


def test_chains_whose_intervals_overlap_are_not_told_apart():
    from qsmbench.analysis.columns import column
    from qsmbench.analysis.families import FamilyRanks
    from qsmbench.report._answer import _best

    places = {"a": (1.2, 1.0, 2.0), "b": (1.9, 1.0, 3.0), "c": (3.4, 2.5, 4.0), "d": (2.0, 2.0, 2.5)}
    ranks = FamilyRanks(False, list("abcd"), {"error": [column("nrmse", "%")]}, {"error": places}, None)
    best = _best(ranks, "error", 30)
    assert (best.chain, best.near, best.more, best.unknown) == ("a", ["b", "d"], 0, "")
    shared = FamilyRanks(
        False, ["a", "b", "c"], ranks.families, {"error": dict.fromkeys("ab", (1.5, 1, 2)) | {"c": (3, 3, 3)}}, None
    )
    both = _best(shared, "error", 30)
    assert (both.chain, both.equal, both.near) == ("a", ["b"], [])
    assert _best(ranks, "error", 3).unknown == "a test needs 8 subjects, not 3"  # 2/2⁸ < 0.05/6


def test_the_answer_comes_first_and_names_what_it_rests_on(study, folder, tmp_path):
    found, both = tables(study), overviews(study, tables(study))
    content = answer(study, found, both, ranked_families(study, found)["chi"])
    assert {b.chain for b in content["best"]} == {COMPOSED[0]}
    html = build(folder, tmp_path / "out").read_text()
    page = Page(html)
    assert page.open == [] and len(page.ids) == len(set(page.ids))
    assert html.index('id="answer"') < html.index('id="overview-1"') < html.index('id="combinations"')
    rests = "6 chains on 2 scans of 1 subject, in 1 condition; phantom head; protocol brain-3t; 3 T; 3 echoes, "
    assert f"{rests}TE 5 to 15 ms in steps of 5 ms; voxels 1 × 1 × 2 mm; noise: SNR 80 in the first echo." in text_of(
        html
    )
    assert "NRMSE: norm of the error divided by the norm of the truth; an empty map has 100 %." in text_of(html)
    best = re.search(r"<td><b>(.*?)</b></td>", html)[1]
    assert re.findall(r'href="(.*?)"', best) == [f"method_{s}.html" for s in COMPOSED[0].split(".")]


def test_what_was_acquired_is_that_of_every_condition(tmp_path):
    """Of six conditions, since the last one must be stated, too."""
    fields = (3.0, 3.0, 3.0, 3.0, 3.0, 1.5)
    tables = [scores(COMPOSED[:2], group=f"head_protocol-{i}").assign(protocol=str(i)) for i in range(len(fields))]
    folder = write_study(tmp_path / "s", pd.concat(tables), pictures=False)
    for i, b0 in enumerate(fields):
        grid = Grid((4, 4, 4), (1.0, 1.0, 5.0 if b0 < 3 else 1.0))
        scan = folder / f"head_protocol-{i}_seed-0" / "scan"
        write(scan, {"mask": np.ones(grid.shape, bool)}, grid)
        write_params(scan, Params(np.array([0.005, 0.012]), b0, grid))
    said = "3 T or 1.5 T; 2 echoes, TE 5, 12 ms; voxels 1 × 1 × 1 mm or 1 × 1 × 5 mm"
    assert acquisition(read_study(folder)).startswith(said)


def test_the_checklist_states_what_the_study_knows(study):
    methods = methods_used(study)
    items = {i.item: i for part in checklist(study, methods).values() for i in part}
    expected = {
        "field strength": "3 T",
        "echoes, TE": "3 echoes, TE 5 to 15 ms in steps of 5 ms",
        "TR": "30 ms",
        "flip angle": "15°",
        "bandwidth": "300 Hz per pixel",
        "matrix and field of view": "6 × 7 × 8 voxels, 6 × 7 × 16 mm",
        "voxel size": "1 × 1 × 2 mm",
        "monopolar or bipolar echoes": "bipolar",
        "partial Fourier": "1 × 0.75 × 1",
        "noise": "SNR 80 in the first echo",
        "toolbox and version": "qsmbench 0.1.0",
        "unit": "ppm (SI)",
    }
    assert {name: items[name].value for name in expected} == expected
    assert all(i.known for i in items.values())
    assert "vsharp: radius 5" in items["algorithms and their parameters"].value
    said = paragraph(study, methods)
    assert "4 chains of methods started from the phase and 0 from a true map" in said
    assert "vsharp (vsharp 2011)" in said


def test_a_measured_scan_leaves_the_sequence_to_state(tmp_path):
    table = scores(COMPOSED[:2], seeds=1).assign(phantom="", protocol="")
    study = read_study(write_study(tmp_path / "s", table, pictures=False))
    items = {i.item: i for part in checklist(study, []).values() for i in part}
    for name in ("field strength", "TR", "echoes, TE", "vendor, scanner model, software release"):
        assert not items[name].known and items[name].value.startswith("state")
    assert items["unit"].known and paragraph(study, []) == ""


def test_methods_have_time_memory_and_failures(folder, study):
    bad = Record("x", "failed", reason="no luck", details={})
    place = folder / f"{GROUP}_seed-1" / "chains" / "romeo.fit.pdf.tv" / RUN_FILE
    kept = place.read_text()
    write_spec(place, bad)
    try:
        tv = next(m for m in methods_used(study) if m.name == "tv")
    finally:
        place.write_text(kept)
    assert tv.cost == Cost("2", "100", runs=4, failed=1) and tv.costs == {GROUP: tv.cost}
    assert tv.reasons == ["failed: no luck"]
    assert tv.missing == [Missing((f"{GROUP}, seed 1",), ("romeo.fit.pdf.tv",), "failed", "no luck")]


def test_downloads_are_the_files_of_the_study(folder, tmp_path):
    page = build(folder, tmp_path / "out")
    data = page.parent / "data"
    assert (data / "config.yaml").read_text() == (folder / "config.yaml").read_text()
    assert (data / "scores.parquet").read_bytes() == (folder / "scores.parquet").read_bytes()
    assert len(pd.read_csv(data / "scores.csv")) == len(pd.read_parquet(data / "scores.parquet"))
    assert {f"data/{f.name}" for f in data.iterdir()} <= set(Page(page.read_text()).links)


def mailed(folder, out, monkeypatch, room):
    """The page to mail, of at most `room` bytes, and the numbers of its pictures, volumes and tables."""
    monkeypatch.setattr("qsmbench.report.SINGLE_BUDGET", room)
    page = build(folder, out, single=True)
    assert [f.name for f in page.parent.iterdir()] == ["index.html"]
    assert page.stat().st_size <= room
    html = page.read_text()
    assert all(load.startswith(("data:", "#")) for load in Page(html).loads)
    found = [html.count(tag) for tag in ("<figure ", 'json" id="volume-', '<table class="sortable"')]
    return text_of(html), found


def test_a_page_to_mail_is_one_file_within_its_size_and_says_what_is_left_out(tmp_path, monkeypatch):
    folder = write_study(tmp_path / "s", scores(["truth", "zero", *COMPOSED]))
    write_volumes(folder, f"{GROUP}_seed-0", COMPOSED)
    text, found = mailed(folder, tmp_path / "whole", monkeypatch, 14_000_000)
    assert found == [12, 6, 1] and "for lack of space" not in text
    whole = (tmp_path / "whole" / "index.html").stat().st_size
    monkeypatch.setattr("qsmbench.report._OVERHEAD", 60_000)
    text, (pictures, volumes, sections) = mailed(folder, tmp_path / "less", monkeypatch, whole - 10_000)
    assert 0 < pictures < 12 and sections == 1 and volumes
    assert f"{12 - pictures} pictures are left out for lack of space" in text
    _, found = mailed(folder, tmp_path / "text", monkeypatch, 100_000)
    assert found == [0, 0, 1]
    text_alone = (tmp_path / "text" / "index.html").stat().st_size
    text, (pictures, volumes, sections) = mailed(folder, tmp_path / "least", monkeypatch, text_alone - 500)
    assert (pictures, sections) == (0, 0) and "The tables of each group and the downloads are left out" in text


def test_volumes_beyond_their_room_are_counted_and_the_best_chains_are_kept(tmp_path, monkeypatch):
    folder = write_study(tmp_path / "s", scores(["truth", "zero", *COMPOSED]), pictures=False)
    write_volumes(folder, f"{GROUP}_seed-0", COMPOSED)
    sizes = [f.stat().st_size for f in (folder / f"{GROUP}_seed-0" / "volumes").rglob("*.json")]
    monkeypatch.setattr("qsmbench.report.VOLUME_BUDGET", sum(sizes) - 1)
    page = build(folder, tmp_path / "out")
    kept = {f.stem.split(",")[-1] for f in (tmp_path / "out" / "volumes").glob("*chi*.js")}
    assert kept == {"truth", *COMPOSED[:3]}
    assert "1 chain of head_brain-3t_seed-0" in text_of(page.read_text())


def test_hostile_names_of_chains_stay_text(tmp_path):
    chain = "a</script><b>'\"&%20.x"
    folder = write_study(tmp_path / "s", scores(["truth", "zero"]), pictures=False)
    table = scores([chain, "romeo.fit.pdf.tv"])
    table.to_parquet(folder / "scores.parquet")
    write_volumes(folder, f"{GROUP}_seed-0", [chain.replace("/", "_"), "romeo.fit.pdf.tv"])
    for single in (False, True):
        page = Page(build(folder, tmp_path / f"out{single}", single=single).read_text())
        assert page.open == [] and "b" not in page.tags[page.tags.index("main") :][:1]


def test_the_steps_of_the_best_chains_are_explained_once_in_their_order():
    best = [SimpleNamespace(chain=c, equal=[]) for c in ("romeo.fit.pdf.tv", "romeo.fit.vsharp.tv")]
    methods = [SimpleNamespace(name=n, summary=f"{n} does") for n in ("tv", "l2", "vsharp", "romeo", "fit")]
    methods.append(SimpleNamespace(name="pdf", summary=""))
    assert [m.name for m in explained(best, methods)] == ["romeo", "fit", "vsharp", "tv"]


def test_a_subject_scanned_under_several_conditions_counts_once(tmp_path):
    """Seven subjects at three SNRs: the six comparisons of four chains need eight, however many scans there are."""
    table = [
        scores(COMPOSED, seeds=1, group=f"g{s}-{snr}").assign(snr=snr, subject=str(s))
        for s in range(7)
        for snr in (10, 50, 100)
    ]
    study = read_study(write_study(tmp_path / "s", pd.concat(table), pictures=False))
    found = tables(study)
    content = answer(study, found, overviews(study, found), ranked_families(study, found)["chi"])
    assert (content["subjects"], content["conditions"]) == (7, 3)
    assert {b.unknown for b in content["best"]} == {"a test needs 8 subjects, not 7"}  # 2/2⁷ > 0.05/6
