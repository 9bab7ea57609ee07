"""The attribution of errors in a study, averaged over its subjects."""

from __future__ import annotations

from dataclasses import dataclass

from qsmbench.analysis.attribution import BY_CONE, BY_DISTANCE, BY_TISSUE
from qsmbench.analysis.columns import column
from qsmbench.analysis.intervals import Interval, mean_interval
from qsmbench.analysis.results import Study
from qsmbench.analysis.subjects import subjects

PLACES = {BY_DISTANCE: "distance to the edge of the mask", BY_TISSUE: "tissue", BY_CONE: "place in k-space"}
"""Metrics of where errors lie, and their headings."""


@dataclass(frozen=True)
class Shares:
    """Shares of the squared error of some chains, in %.

    Attributes:
        metric: `attribution.ATTRIBUTION` or one of `PLACES`.
        support: of the scores.
        parts: names of the parts.
        chains: for each chain, the mean of each part over the subjects; None if it has no such part.
    """

    metric: str
    support: str
    parts: list[str]
    chains: dict[str, list[Interval | None]]


def shares(study: Study, metric: str, support: str) -> Shares:
    """Return the shares of all chains whose error is divided; no chains if there are none."""
    rows = study.scores[(study.scores["metric"] == metric) & (study.scores["support"] == support)]
    rows = rows[rows["value"].notna()]
    about = study.factors.reindex(rows["dataset"].astype(str))
    group = about["group"].astype("category").cat.codes.to_numpy()
    subject = about.assign(s=subjects(about))["s"].astype("category").cat.codes.to_numpy()
    value, region, chain = (rows[c].to_numpy() for c in ("value", "region", "chain"))
    parts = list(dict.fromkeys(region))
    found: dict[str, list[Interval | None]] = {}
    for name in dict.fromkeys(chain):
        its = [(chain == name) & (region == p) for p in parts]
        found[name] = [mean_interval(value[i], group[i], subject[i]) if i.any() else None for i in its]
    return Shares(metric, support, parts, found)


def oracle_chains(chain: str, chains: list[str]) -> tuple[str, str]:
    """Return the chains that apply the last steps of a chain to the true field, without and with noise; or empty."""
    steps = chain.split(".")
    for i in range(1, len(steps)):
        rest = ".".join(steps[i:])
        if f"truth.{rest}" in chains:
            noisy = f"truth.noisy.{rest}"
            return f"truth.{rest}", noisy if noisy in chains else ""
    return "", ""


def oracles(study: Study, chain: str, support: str) -> list[Interval | None]:
    """Return the NRMSE of a chain's last steps on the true field, on that field with noise, and of the whole chain."""
    sample = study.sample(column("nrmse", "%"), "chi", support)
    found: list[Interval | None] = []
    for name in (*oracle_chains(chain, list(sample.values.columns)), chain):
        values = sample.values[name].to_numpy(float) if name in sample.values else None
        known = values == values if values is not None else None
        if values is None or known is None or not known.any():
            found.append(None)
        else:
            found.append(mean_interval(values[known], sample.group[known], sample.subject[known]))
    return found
