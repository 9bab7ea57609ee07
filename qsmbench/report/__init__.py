"""The report: a study folder becomes one HTML page that needs no network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from markupsafe import Markup

from qsmbench.analysis.failures import failures, not_scored
from qsmbench.analysis.regions import regional
from qsmbench.analysis.results import Study, read_study
from qsmbench.analysis.summary import Table, tables
from qsmbench.data.folders import make_folder
from qsmbench.data.score_table import SUPPORTS
from qsmbench.report._charts import cost_chart, regional_chart, scores_chart
from qsmbench.report._definitions import definitions
from qsmbench.report._methods import methods_used
from qsmbench.report._pictures import not_drawn, pictures
from qsmbench.report._provenance import provenance
from qsmbench.report._summary import direction, mean_text, spread_text
from qsmbench.view.page import render
from qsmbench.view.planes import CONVENTION

__all__ = ["build"]

PICTURE_BUDGET = 10_000_000
"""Bytes of pictures that the page may carry; base64 makes a third more of them."""


def build(study: Path, out: Path, *, about: Path | None = None) -> Path:
    """Write the report of a study.

    Args:
        study: the study folder; holds `scores.parquet`, and may hold `<dataset>/pictures/<chain>.webp`.
        out: folder to write to; made if need be.
        about: folder that may hold `config.yaml`, `versions.json` and `origins.json` (where the settings of a method
            come from, by its name in the chains); by default the study folder.

    Returns:
        path of the page, `out/index.html`.

    Raises:
        QsmbenchError: the scores are missing, damaged or empty, or `out` cannot be written to.
    """
    html = render(Path(__file__).with_name("page.html.j2"), **_content(read_study(Path(study), about)))
    out = Path(out)
    make_folder(out)
    page = out / "index.html"
    partial = page.with_name("index.html.part")
    partial.write_text(html, encoding="utf-8")
    partial.replace(page)
    return page


def _content(study: Study) -> dict[str, Any]:
    """Return what the template shows."""
    shown, left_out = pictures(study, PICTURE_BUDGET)
    datasets = list(dict.fromkeys(study.scores["dataset"]))
    return {
        "study": study,
        "datasets": datasets,
        "sections": [_section(study, table, f"s{i}") for i, table in enumerate(tables(study))],
        "failures": failures(study),
        "not_scored": not_scored(study),
        "supports": SUPPORTS,
        "pictures": shown,
        "left_out": left_out,
        "not_drawn": not_drawn(study),
        "methods": methods_used(study.folder, datasets, study.chains, study.origins),
        "definitions": definitions(study),
        "convention": CONVENTION,
        "direction": direction,
        "mean_text": mean_text,
        "spread_text": spread_text,
    }


def _section(study: Study, table: Table, name: str) -> dict[str, Any]:
    """Return what the template shows of a table; `name` is unique in the page."""
    chains = [r.chain for r in table.methods]
    means = {s: regional(study, table.group, table.artifact, s, chains) for s in SUPPORTS}
    return {
        "id": name,
        "table": table,
        "scenario": study.scenario(table.group),
        "provenance": provenance(study, table.group, table.artifact),
        "regional": means,
        "scores": {s: Markup(scores_chart(study, table, s, f"{name}-{s}")) for s in SUPPORTS},
        "cost": Markup(cost_chart(study, table, f"{name}-cost")),
        "scatter": {s: Markup(regional_chart(means[s], f"{name}-r-{s}")) for s in SUPPORTS},
    }
