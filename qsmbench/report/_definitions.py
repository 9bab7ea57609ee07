"""Definitions of the metrics of a study, from their declarations."""

from __future__ import annotations

from dataclasses import dataclass

from qsmbench import metrics
from qsmbench.analysis.columns import in_reading_order
from qsmbench.analysis.results import Study
from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.score_table import RUN_ROWS


@dataclass(frozen=True)
class Definition:
    """The definition of a metric, in paragraphs, and its reference."""

    name: str
    label: str
    unit: str
    paragraphs: list[str]
    reference: str
    doi: str


def definitions(study: Study) -> list[Definition]:
    """Return the definitions of the installed metrics that the study has scores of."""
    names = [m for m in study.scores["metric"].unique() if m not in RUN_ROWS and m in metrics.names()]
    return [_definition(study, metrics.find(name)) for name in in_reading_order(names)]


def _definition(study: Study, metric: metrics.Metric) -> Definition:
    artifact = str(study.scores.loc[study.scores["metric"] == metric.name, "artifact"].iloc[0])
    reference, _, doi = metric.reference.partition("doi:")
    return Definition(
        name=metric.name,
        label=metric.label,
        unit=metric.unit_of(artifact if artifact in ARTIFACTS else "chi"),
        paragraphs=[" ".join(p.split()).replace("`", "") for p in metric.definition.split("\n\n")],
        reference=reference.removesuffix(", "),
        doi=doi,
    )
