"""The unit of replication: which scans belong to one subject, and which scans differ in nothing but subject and noise.

Scans of one subject are not independent, whatever their seed, scenario, protocol or orientation: their scores are
averaged before anything is said about other subjects (Hurlbert 1984, doi:10.2307/1942661).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from qsmbench.analysis.columns import Column
from qsmbench.data.score_table import COLUMNS

if TYPE_CHECKING:
    import pandas as pd

WITHIN_CONDITION = ("dataset", "group", "subject", "seed")
"""Columns in which the scans of one condition differ."""


@dataclass(frozen=True)
class Sample:
    """One metric of all chains on all scans.

    Attributes:
        column: the metric.
        artifact: the scored artifact.
        support: of the scores.
        values: (scans, chains) float64, NaN where there is no score; index: dataset, columns: chain.
        subject: number of the subject of each scan, (scans,).
        group: number of the group of each scan; the scans of a group differ only in their noise, (scans,).
        condition: name of the condition of each scan, (scans,).
    """

    column: Column
    artifact: str
    support: str
    values: pd.DataFrame
    subject: np.ndarray
    group: np.ndarray
    condition: np.ndarray

    @property
    def conditions(self) -> list[str]:
        """Names of the conditions, in the order of the scans."""
        return list(dict.fromkeys(self.condition.tolist()))

    @property
    def n_subjects(self) -> int:
        """Number of subjects."""
        return np.unique(self.subject).size

    def within(self, condition: str) -> Sample:
        """Return the scans of one condition."""
        return self.where(self.condition == condition)

    def where(self, scans: np.ndarray) -> Sample:
        """Return some of the scans; `scans` is a mask, (scans,) bool."""
        about = (self.subject[scans], self.group[scans], self.condition[scans])
        return Sample(self.column, self.artifact, self.support, self.values[scans], *about)

    def of(self, chains: Sequence[str]) -> Sample:
        """Return some of the chains."""
        about = (self.subject, self.group, self.condition)
        return Sample(self.column, self.artifact, self.support, self.values[list(chains)], *about)


def sample(
    scores: pd.DataFrame, factors: pd.DataFrame, column: Column, artifact: str = "chi", support: str = "study"
) -> Sample:
    """Return one metric of all chains on all scans.

    Args:
        scores: tidy table with the columns `COLUMNS`.
        factors: of each dataset; index: dataset.
        column: the metric.
        artifact: the scored artifact; ignored for time and memory, which are those of a chain.
        support: of the scores; ignored for metrics that are computed once.
    """
    rows = scores[(scores["metric"] == column.metric) & (scores["region"] == "")]
    if column.is_cost:
        made = scores.loc[scores["artifact"].isin([artifact, ""]), "chain"].unique()
        rows, support = rows[rows["chain"].isin(made)].drop_duplicates(["dataset", "chain"]), "run"
    else:
        rows = rows[rows["artifact"] == artifact]
        if support not in set(rows["support"]) and len(rows):
            support = "study"
        rows = rows[rows["support"] == support]
    values = rows.pivot_table(
        index="dataset", columns="chain", values="value", aggfunc="first", sort=False, observed=True, dropna=False
    )
    values.index, values.columns = values.index.astype(str), values.columns.astype(str)
    about = factors.reindex(values.index)
    subject, group = (_numbers(names) for names in (subjects(about), about["group"].astype(str).tolist()))
    return Sample(column, artifact, support, values, subject, group, np.array(conditions(about), object))


def subjects(factors: pd.DataFrame) -> list[str]:
    """Return the subject of each dataset: phantom and subject, or the group if neither is known.

    A scenario has the subjects of the phantom that it is built on.
    """
    known = [factors[c].fillna("").astype(str) if c in factors else [""] * len(factors) for c in ("phantom", "subject")]
    pairs = zip(*known, factors["group"].astype(str), strict=True)
    return [f"{phantom} {subject}" if phantom or subject else group for phantom, subject, group in pairs]


def conditions(factors: pd.DataFrame) -> list[str]:
    """Return the condition of each dataset: all factors but subject and seed.

    Its name is that of the group if the condition has only one; otherwise it is made of scenario or phantom, case,
    protocol, and the orientation and the overridden keys in which the conditions differ.
    """
    groups = factors["group"].astype(str).tolist()
    columns = [c for c in factors.columns if c not in (*WITHIN_CONDITION, *COLUMNS)]
    texts = factors[columns].map(_text)
    always = ("phantom", "scenario", "case", "protocol")
    shown = [c for c in columns if c in always or texts[c].nunique() > 1]
    simulated = (texts["phantom"] != "").tolist() if "phantom" in texts else [False] * len(groups)
    keys = [tuple(row) if sim else (g,) for row, g, sim in zip(texts.to_numpy(), groups, simulated, strict=True)]
    names: dict[tuple[str, ...], str] = {}
    members: dict[tuple[str, ...], set[str]] = {}
    for key, group in zip(keys, groups, strict=True):
        members.setdefault(key, set()).add(group)
    for key, its in members.items():
        names[key] = next(iter(its)) if len(its) == 1 else _name(dict(zip(columns, key, strict=True)), shown)
    return [names[key] for key in keys]


def _text(value: Any) -> str:
    if value is None or value != value:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _name(factors: dict[str, str], shown: Sequence[str]) -> str:
    known = {key: factors[key] for key in shown if factors[key] != ""}
    what = known.pop("scenario", known.get("phantom", ""))
    known.pop("phantom", None)
    parts = ["-".join(p for p in (what, known.pop("case", "")) if p), known.pop("protocol", "")]
    turned = known.pop("orientation", "0")
    parts += [f"orientation-{turned}"] if turned != "0" else []
    return "_".join([*(p for p in parts if p), *(f"{key}-{value}" for key, value in known.items())])


def _numbers(names: Sequence[str]) -> np.ndarray:
    codes = {name: i for i, name in enumerate(dict.fromkeys(names))}
    return np.array([codes[name] for name in names], np.int64)


def subject_means(values: np.ndarray, group: np.ndarray, subject: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Average over the scans of each subject: first over the noise seeds of each group, then over its groups.

    Args:
        values: (scans,) or (scans, n), without NaN.
        group, subject: of each scan, (scans,).

    Returns:
        means: (subjects,) or (subjects, n).
        subjects: the subject of each mean, (subjects,).
    """
    of_group, where, inverse = np.unique(group, return_index=True, return_inverse=True)
    means = _means(values, inverse, of_group.size)
    found, inverse = np.unique(subject[where], return_inverse=True)
    return _means(means, inverse, found.size), found


def _means(values: np.ndarray, code: np.ndarray, n: int) -> np.ndarray:
    total = np.zeros((n, *values.shape[1:]))
    np.add.at(total, code, values)
    return total / np.bincount(code, minlength=n).reshape(-1, *(1,) * (values.ndim - 1))
