"""Failed and unscored results of a study, grouped by reason."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qsmbench.analysis.results import Study
from qsmbench.data.score_table import KINDS, NOT_SCORED, STATUS

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Missing:
    """Results that are missing for one reason.

    Attributes:
        datasets: affected datasets, each as its group and seeds.
        chains: affected chains; empty if the datasets themselves failed.
        kind: one of `KINDS`; empty for unscored results.
        reason: the reason.
    """

    datasets: tuple[str, ...]
    chains: tuple[str, ...]
    kind: str
    reason: str


def failures(study: Study) -> list[Missing]:
    """Return the failed results, datasets first.

    The chains of a failed dataset are not listed, since all of them are missing for the same reason.
    """
    statuses = study.scores[(study.scores["metric"] == STATUS) & study.scores["value"].isna()]
    return by_reason(_rows(study.unmade)) + by_reason(_rows(statuses))


def not_scored(study: Study) -> list[Missing]:
    """Return the results that no metric applies to."""
    return by_reason(_rows(study.scores[study.scores["metric"] == NOT_SCORED]))


def _rows(scores: pd.DataFrame) -> list[tuple[str, str, str, float]]:
    return list(map(tuple, scores[["chain", "reason", "group", "seed"]].to_numpy().tolist()))


def by_reason(rows: Iterable[tuple[str, str, str, float]]) -> list[Missing]:
    """Merge results that are missing for the same reason.

    First the datasets of each chain are merged, then chains with the same datasets.

    Args:
        rows: chain, reason, group and seed of each; the seed of a measured scan is NaN.
    """
    datasets: dict[tuple[str, str], dict[tuple[str, float], None]] = {}
    for chain, reason, group, seed in rows:
        datasets.setdefault((chain, reason), {})[group, seed] = None
    chains: dict[tuple[tuple[str, ...], str], list[str]] = {}
    for (chain, reason), places in datasets.items():
        chains.setdefault((_places(places), reason), []).append(chain)
    return [Missing(where, tuple(c for c in names if c), *_parts(why)) for (where, why), names in chains.items()]


def _places(datasets: Iterable[tuple[str, float]]) -> tuple[str, ...]:
    """Return each group with its seeds; a measured scan has none."""
    groups: dict[str, list[str]] = {}
    for group, seed in datasets:
        groups.setdefault(group, []).extend([] if math.isnan(seed) else [f"{seed:g}"])
    return tuple(f"{g}{_seeds(numbers)}" for g, numbers in groups.items())


def _seeds(numbers: Sequence[str]) -> str:
    return f", seed{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}" if numbers else ""


def _parts(reason: str) -> tuple[str, str]:
    """Split a reason into the kind of failure and the message."""
    kind, colon, why = reason.partition(": ")
    return (kind, why) if colon and kind in KINDS else ("", reason)
