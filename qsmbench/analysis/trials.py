"""The endpoints of the scenarios of a study folder."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qsmbench.analysis.endpoints import FUNCTIONS, Scan, Trial, Value, endpoint, with_truth
from qsmbench.analysis.results import Study
from qsmbench.analysis.subjects import conditions, subjects
from qsmbench.data.endpoints import METRIC_OF

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Answer:
    """The endpoints of a scenario in one condition.

    Attributes:
        scenario: name, question, endpoint in words, regions and so on.
        condition: protocol and crossed keys.
        subjects: number of subjects.
        values: of each endpoint, by name; in the order of the scenario, then of artifacts and chains.
    """

    scenario: dict[str, Any]
    condition: str
    subjects: int
    values: dict[str, list[Value]]


def answers(study: Study) -> list[Answer]:
    """Compute the endpoints that the scenarios of a study name; the cases of a scenario are compared with each other.

    Raises:
        QsmbenchError: a scenario names an unknown endpoint, or the file of a truth is damaged.
    """
    if "scenario" not in study.factors or not study.factors["scenario"].astype(bool).any():
        return []
    factors = study.factors[study.factors["scenario"].fillna("").astype(str) != ""]
    names = conditions(factors.drop(columns=[c for c in ("case",) if c in factors]))
    found = []
    for name in dict.fromkeys(names):
        mine = factors[[n == name for n in names]]
        scenario = study.scenario(str(mine["group"].iloc[0]))
        if scenario.get("endpoints"):
            found.append(_answer(study, mine, scenario, name))
    return found


def _answer(study: Study, factors: pd.DataFrame, scenario: dict[str, Any], condition: str) -> Answer:
    scans = {}
    for dataset, subject, case, group in zip(
        factors.index, subjects(factors), factors["case"].astype(str), factors["group"].astype(str), strict=True
    ):
        age = study.scenario(group).get("age")
        sources = tuple(study.sources(group))
        scans[str(dataset)] = Scan(subject, case, group, math.nan if age is None else float(age), sources)
    wanted = list(scenario["endpoints"])
    metrics = {"mean", "bias", *wanted, *(METRIC_OF[n] for n in wanted if n in METRIC_OF)}
    scores = study.scores[study.scores["dataset"].isin(list(scans)) & study.scores["metric"].isin(metrics)]
    if any(n in FUNCTIONS and n not in METRIC_OF for n in wanted):
        scores = with_truth(scores)
    trial = Trial(scores, scans, tuple(scenario.get("regions", ())), tuple(scenario.get("controls", ())))
    values = {name: endpoint(trial, name) for name in wanted}
    return Answer(scenario, condition, len({s.subject for s in scans.values()}), values)
