"""The report: offline HTML of a study, as one page, or with a page per group for a large study."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from qsmbench.analysis.columns import FAMILIES, family_of
from qsmbench.analysis.failures import failures, not_scored
from qsmbench.analysis.overview import Overview
from qsmbench.analysis.regions import regional
from qsmbench.analysis.results import Study, read_study
from qsmbench.analysis.summary import Table, tables
from qsmbench.data.folders import make_folder
from qsmbench.data.score_table import SUPPORTS
from qsmbench.report._answer import answer, explained
from qsmbench.report._charts import cost_chart, regional_chart, regional_key, scores_chart
from qsmbench.report._checklist import acquisition, checklist, paragraph
from qsmbench.report._combinations import heat_maps
from qsmbench.report._definitions import definitions
from qsmbench.report._downloads import downloads, embedded_downloads
from qsmbench.report._endpoints import cell_text, endpoints, interval_text
from qsmbench.report._method_pages import linked, method_content, page_names
from qsmbench.report._methods import MethodUse, methods_used
from qsmbench.report._overview import attributed, entries, overviews, ranked_families, robustness
from qsmbench.report._pictures import Picture, copied, embedded, fitting, not_drawn, picture_files
from qsmbench.report._provenance import provenance
from qsmbench.report._summary import direction, mean_text, number_text, rank_text, spread_text
from qsmbench.report._volumes import Shown, viewer, viewer_script, volumes_shown
from qsmbench.view.page import render
from qsmbench.view.planes import CONVENTION

__all__ = ["build"]

ROW_BUDGET = 300
"""Largest number of rows in the score tables of one page; otherwise each group has its own page."""


VOLUME_BUDGET = 500_000_000
"""Largest size of the volumes beside the page [bytes]; the best chains of every group come first."""

_SHOWN_FIRST = (
    "mask",
    "error",
    "structure",
    "deep grey matter",
    "cost",
)  # families whose first metric is shown at first

SINGLE_BUDGET = 14_000_000
"""Largest size of a page to mail [bytes], of which volumes and pictures take what the text leaves."""


def build(study: Path | Study, out: Path, *, about: Path | None = None, single: bool = False) -> Path:
    """Write the report of a study.

    It is a first page and a page for each method, with pictures and volumes (up to `VOLUME_BUDGET`) in folders beside
    them. Tables beyond `ROW_BUDGET` are written to separate pages, one per group of replicates, with links from the
    first page. A page to mail is one file, and states what it leaves out.

    Args:
        study: the study folder; contains `scores.parquet`, and may contain `<dataset>/pictures/<chain>.webp`. Or the
            study in memory.
        out: folder to write to; created if necessary.
        about: folder that may contain `config.yaml`, `versions.json` and `origins.json` (origins of the settings, by
            method name in the chains); by default the study folder.
        single: whether to write one file of at most `SINGLE_BUDGET`.

    Returns:
        path of the page, `out/index.html`.

    Raises:
        QsmbenchError: the scores are missing, damaged or empty, or `out` cannot be written to.
    """
    read, out = study if isinstance(study, Study) else read_study(Path(study), about), Path(out)
    found = tables(read)
    make_folder(out)
    if single:
        return _build_single(read, found, out)
    methods = methods_used(read)
    names = page_names(methods)
    media = {
        "beside": True,
        "tables_left_out": False,
        "pictures": copied(picture_files(read), out),
        "no_room": 0,
        "volumes": volumes_shown(read, found, out, VOLUME_BUDGET),
        "downloads": downloads(read, out),
        "methods": methods,
        "method_pages": names,
        "links": {name: quote(page) for name, page in names.items()},
    }
    return _write_pages(read, found, media, out, split=len(read.groups) > 1 and _rows(found) > ROW_BUDGET)


def _build_single(study: Study, found: Sequence[Table], out: Path) -> Path:
    """Write one page: first without pictures and volumes, then with those for which there is room."""
    media: dict[str, Any] = {
        "beside": False,
        "tables_left_out": False,
        "pictures": [],
        "volumes": Shown(),
        "downloads": embedded_downloads(study),
        "methods": (methods := methods_used(study)),
        "method_pages": {},
        "links": {m.name: f"#method-{quote(m.name)}" for m in methods},
    }
    files = picture_files(study)
    page = _write_pages(study, found, {**media, "no_room": len(files)}, out, split=False)
    room = max(SINGLE_BUDGET - page.stat().st_size, 0)
    if not room:
        media |= {"tables_left_out": True, "downloads": []}
        page = _write_pages(study, found, {**media, "no_room": len(files)}, out, split=False)
        room = max(SINGLE_BUDGET - page.stat().st_size, 0)
    room = max(room - _OVERHEAD, 0)
    volumes = volumes_shown(study, found, None, 2 * room // 3)
    kept = fitting(files, room - volumes.size)
    media |= {"volumes": volumes, "pictures": embedded(kept), "no_room": len(files) - len(kept)}
    return _write_pages(study, found, media, out, split=False)


_OVERHEAD = 300_000  # bytes: at most the viewer and its list of volumes


def _rows(found: Sequence[Table]) -> int:
    """Return the number of rows of all score tables."""
    return sum(len(t.methods) + len(t.controls) + len(t.failed) for t in found)


def _write_pages(study: Study, found: Sequence[Table], media: dict[str, Any], out: Path, *, split: bool) -> Path:
    """Write the first page, the pages of methods, and if `split` a page per group; return the first page."""
    content = {**_common(study), **media, "scored": bool(found), "split": split, "not_drawn": not_drawn(study)}
    content["steps"] = linked(media["links"])
    pages = _write_groups(study, found, content, out) if split else {}
    sections = [] if split or media["tables_left_out"] else _sections(study, found)
    first = {s["table"].group: f"#{s['id']}" for s in reversed(sections)}
    content |= {"groups": entries(found, pages) if split else [], "sections": sections}
    content |= {"overviews": overviews(study, found), "pages": pages or first}
    families = ranked_families(study, found)
    content |= {
        "answer": answer(study, found, content["overviews"], families.get(_first_artifact(content["overviews"]), [])),
        "combinations": [m for both in content["overviews"] for m in heat_maps(study, both["study"])],
        "endpoints": endpoints(study),
        "robustness": robustness(study, found),
        "attribution": attributed(study),
        "families": families,
        "weights": study.weights,
        "viewer": {} if split else viewer(media["volumes"], [d for g in study.groups for d in study.datasets(g)]),
    }
    content["explained"] = explained(content["answer"].get("best", []), media["methods"])
    content |= _of_study(study, media["methods"])
    _write_methods(content, out)
    return _write("page.html.j2", out / "index.html", content)


def _write(template: str, page: Path, content: dict[str, Any]) -> Path:
    partial = page.with_name(f"{page.name}.part")
    partial.write_text(render(Path(__file__).with_name(template), **content), encoding="utf-8")
    partial.replace(page)
    return page


def _first_artifact(found: Sequence[dict[str, Overview]]) -> str:
    return found[0]["study"].artifact if found else ""


def _write_groups(study: Study, found: Sequence[Table], content: dict[str, Any], out: Path) -> dict[str, str]:
    """Write one page per group; return their names by group."""
    pages = {}
    pictures: list[Picture] = content["pictures"]
    for i, group in enumerate(study.groups):
        own, datasets = [t for t in found if t.group == group], set(study.datasets(group))
        shown = {"pictures": [p for p in pictures if p.dataset in datasets], "sections": _sections(study, own)}
        shown |= {"viewer": viewer(content["volumes"], study.datasets(group))}
        pages[group] = f"{i + 1}_{re.sub(r'[^A-Za-z0-9_.+-]', '-', group)}.html"
        _write("group.html.j2", out / pages[group], {**content, **shown, "group": group})
    return pages


def _write_methods(content: dict[str, Any], out: Path) -> None:
    """Write one page per method that is to have one."""
    pages = {group: f"index.html{a}" if a.startswith("#") else a for group, a in content["pages"].items()}
    for m in content["methods"]:
        if m.name in content["method_pages"]:
            own = {**method_content(m, content, content["pictures"]), "pages": pages, "viewer": {}}
            _write("method.html.j2", out / content["method_pages"][m.name], content | own)


def _common(study: Study) -> dict[str, Any]:
    """Return the content shown on every page."""
    return {
        "study": study,
        "supports": SUPPORTS,
        "convention": CONVENTION,
        "cell_text": cell_text,
        "direction": direction,
        "interval_text": interval_text,
        "mean_text": mean_text,
        "number_text": number_text,
        "rank_text": rank_text,
        "spread_text": spread_text,
        "family_of": family_of,
        "shown_first": {FAMILIES[name][0] for name in _SHOWN_FIRST},
        "viewer_script": viewer_script(),
    }


def _of_study(study: Study, methods: Sequence[MethodUse]) -> dict[str, Any]:
    """Return the content about the whole study for the first page."""
    return {
        "datasets": list(study.scores["dataset"].unique()),
        "failures": failures(study),
        "not_scored": not_scored(study),
        "paragraph": paragraph(study, methods),
        "acquisition": acquisition(study),
        "checklist": checklist(study, methods),
        "definitions": definitions(study),
    }


def _sections(study: Study, found: Sequence[Table]) -> list[dict[str, Any]]:
    return [_section(study, table, f"s{i}") for i, table in enumerate(found)]


def _section(study: Study, table: Table, name: str) -> dict[str, Any]:
    """Return the content of a table for the template; `name` is unique in the page."""
    chains = [r.chain for r in table.methods]
    means = {s: regional(study, table.group, table.artifact, s, chains) for s in SUPPORTS}
    return {
        "id": name,
        "table": table,
        "scenario": study.scenario(table.group),
        "provenance": provenance(study, table.group, table.artifact),
        "regional": means,
        "scores": {s: Markup(scores_chart(study, table, s)) for s in SUPPORTS},
        "cost": Markup(cost_chart(study, table)),
        "scatter": {s: Markup(regional_chart(means[s])) for s in SUPPORTS},
        "key": regional_key(means["study"]),
    }
