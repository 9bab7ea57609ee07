"""The report: a study folder becomes one HTML page that needs no network."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qsmbench.analysis.results import CONTROLS, RUN_ROWS, Study, read_study

__all__ = ["build"]

PICTURE_BUDGET = 10_000_000
"""Bytes of pictures that the page may carry; base64 makes a third more of them."""


@dataclass(frozen=True)
class Picture:
    """A picture that the page carries, as a data URI."""

    dataset: str
    chain: str
    uri: str


def build(study: Path, out: Path) -> Path:
    """Write the report of a study.

    Args:
        study: the study folder; holds `scores.parquet`, and may hold `config.yaml`, `versions.json` and
            `<dataset>/pictures/<chain>.webp`.
        out: folder to write to; made if need be.

    Returns:
        path of the page, `out/index.html`.

    Raises:
        QsmbenchError: the scores are missing, damaged or empty, or `out` cannot be written to.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from qsmbench.data.folders import make_folder

    content = _content(read_study(Path(study)))
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    out = Path(out)
    make_folder(out)
    page = out / "index.html"
    partial = page.with_name("index.html.part")
    partial.write_text(environment.get_template("page.html.j2").render(content), encoding="utf-8")
    partial.replace(page)
    return page


def _content(study: Study) -> dict[str, Any]:
    """What the template shows."""
    from markupsafe import Markup

    from qsmbench.analysis.regions import regional
    from qsmbench.analysis.replicates import SUPPORTS
    from qsmbench.report._basis import rests
    from qsmbench.report._charts import cost_chart, regional_chart, scores_chart
    from qsmbench.report._methods import methods_used
    from qsmbench.report._summary import tables
    from qsmbench.view.picture import CONVENTION

    sections = []
    for i, table in enumerate(tables(study)):
        chains = [r.chain for r in table.methods]
        means = {s: regional(study, table.group, table.artifact, s, chains) for s in SUPPORTS}
        sections.append(
            {
                "id": f"s{i}",
                "table": table,
                "scenario": study.scenario(table.group),
                "rests": rests(study, table.group, table.artifact),
                "regional": means,
                "scores": {s: Markup(scores_chart(study, table, s, f"s{i}-{s}")) for s in SUPPORTS},
                "cost": Markup(cost_chart(study, table, f"s{i}-cost")),
                "scatter": {s: Markup(regional_chart(means[s], f"s{i}-r-{s}")) for s in SUPPORTS},
            }
        )
    pictures, left_out = _pictures(study)
    return {
        "study": study,
        "sections": sections,
        "supports": SUPPORTS,
        "controls": CONTROLS,
        "pictures": pictures,
        "left_out": left_out,
        "methods": methods_used(study.folder, *(list(dict.fromkeys(study.scores[c])) for c in ("dataset", "chain"))),
        "definitions": _definitions(study),
        "convention": CONVENTION,
    }


def _pictures(study: Study) -> tuple[list[Picture], int]:
    """The pictures that the page carries, and how many more there are: the first seeds of all groups come first."""
    replicates = [study.datasets(g) for g in study.groups]
    in_turn = [d for turn in range(max(map(len, replicates))) for r in replicates for d in r[turn : turn + 1]]
    pictures, spent, left_out = [], 0, 0
    for dataset in in_turn:
        for chain in dict.fromkeys(study.scores.loc[study.scores["dataset"] == dataset, "chain"]):
            path = study.picture(dataset, chain)
            if path is None:
                continue
            content = path.read_bytes()
            spent += len(content)
            if spent > PICTURE_BUDGET:
                left_out += 1
                continue
            uri = "data:image/webp;base64," + base64.b64encode(content).decode()
            pictures.append(Picture(dataset, chain, uri))
    return pictures, left_out


def _definitions(study: Study) -> list[dict[str, Any]]:
    """What each metric of the study computes, from its declaration."""
    from qsmbench import metrics
    from qsmbench.analysis.replicates import in_reading_order

    found = [m for m in study.scores["metric"].unique() if m not in RUN_ROWS]
    declared = [metrics.find(m) for m in in_reading_order(found) if m in metrics.names()]
    return [
        {
            "name": m.name,
            "label": m.label,
            "unit": m.unit_of(_artifact(study, m.name)),
            "paragraphs": [" ".join(p.split()).replace("`", "") for p in m.definition.split("\n\n")],
            "reference": m.reference.split(", doi:")[0],
            "doi": m.reference.split("doi:")[1] if "doi:" in m.reference else "",
        }
        for m in declared
    ]


def _artifact(study: Study, metric: str) -> str:
    from qsmbench.data.artifacts import ARTIFACTS

    found = str(study.scores.loc[study.scores["metric"] == metric, "artifact"].iloc[0])
    return found if found in ARTIFACTS else "chi"
