"""Means and standard deviations over replicates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qsmbench.analysis.columns import Column
from qsmbench.data.score_table import COSTS, SUPPORTS

if TYPE_CHECKING:
    import pandas as pd

ABOUT = ("group", "artifact", "chain", "metric", "region", "support")
"""Columns that identify a score: rows that agree in them are replicates."""


@dataclass
class Cell:
    """Mean and standard deviation over `n` replicates; NaN with a reason if there is none.

    Attributes:
        mean: over the replicates that have a value.
        sd: standard deviation with n − 1; NaN for a single replicate.
        n: number of values.
        reason: why there is none.
        best: whether the mean is the best of its column.
    """

    mean: float = math.nan
    sd: float = math.nan
    n: int = 0
    reason: str = ""
    best: bool = False


class Replicates:
    """The scores of a study, sorted once by the columns `ABOUT`, so that they can be looked up quickly."""

    def __init__(self, scores: pd.DataFrame) -> None:
        """Sort the rows of a table with the columns `ABOUT`, dataset, value and reason."""
        rows = _costs_once(scores)
        keys, self._names = _keys(rows)
        value = rows["value"].to_numpy(float)
        known = np.flatnonzero(~np.isnan(value))
        order = known[np.argsort(keys[known], kind="stable")]
        self._values = value[order]
        found, self._start, self._count = np.unique(keys[order], return_index=True, return_counts=True)
        self._place = {key: i for i, key in enumerate(found.tolist())}
        self._mean, self._sd = _statistics(self._values, self._start, self._count)
        whole = (rows["region"] == "").to_numpy()
        common = rows.loc[whole & (rows["support"] == "common").to_numpy(), ["group", "artifact", "metric"]]
        self._on_common = set(common.drop_duplicates().itertuples(index=False, name=None))
        self._reasons: dict[int, dict[str, None]] = {}
        explained = whole & (rows["reason"] != "").to_numpy()
        for key, reason in zip(keys[explained].tolist(), rows.loc[explained, "reason"], strict=True):
            self._reasons.setdefault(key, {})[reason] = None

    def values(self, group: str, artifact: str, chain: str, column: Column, support: str) -> np.ndarray:
        """Return the values of a metric over the whole of a support, in the order of the datasets.

        Metrics computed once, such as coverage and time, apply to every support.
        """
        place = self._place.get(self._whole(group, artifact, chain, column, support))
        if place is None:
            return np.empty(0)
        return self._values[self._start[place] : self._start[place] + self._count[place]]

    def cells(self, group: str, artifact: str, chain: str, columns: Sequence[Column]) -> dict[str, dict[str, Cell]]:
        """Return the cells of a chain by support and metric, over the whole of each support."""
        keys = {s: {c.metric: self._whole(group, artifact, chain, c, s) for c in columns} for s in SUPPORTS}
        return {s: {metric: self._cell(key) for metric, key in of.items()} for s, of in keys.items()}

    def regional(self, group: str, artifact: str, chain: str, metric: str, region: str, support: str) -> Cell:
        """Return the cell of a metric in a region."""
        key = self._key(group, artifact, chain, metric, region, support)
        return self._cell(key, "the region has no voxel in the mask")

    def _whole(self, group: str, artifact: str, chain: str, column: Column, support: str) -> int:
        if column.is_cost:  # of a chain, however many artifacts it makes
            return self._key(group, "", chain, column.metric, "", "run")
        on = support if (group, artifact, column.metric) in self._on_common else "study"
        return self._key(group, artifact, chain, column.metric, "", on)

    def _key(self, *about: str) -> int:
        """Return the key of a score; −1 if there is no such name."""
        key = 0
        for codes, name in zip(self._names, about, strict=True):
            code = codes.get(name)
            if code is None:
                return -1
            key = key * len(codes) + code
        return key

    def _cell(self, key: int, reason: str = "") -> Cell:
        place = self._place.get(key)
        if place is None:
            return Cell(reason=reason or "; ".join(self._reasons.get(key, ())) or "not scored")
        return Cell(float(self._mean[place]), float(self._sd[place]), int(self._count[place]))


def _costs_once(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the rows, with time and memory once per chain and dataset, without artifact."""
    import pandas as pd

    cost = scores["metric"].isin(COSTS)
    once = scores[cost].drop_duplicates(["dataset", "chain", "metric"])
    return pd.concat([scores[~cost], once.assign(artifact="", support="run")], ignore_index=True)


def _keys(rows: pd.DataFrame) -> tuple[np.ndarray, list[dict[str, int]]]:
    """Return a key for each row that depends on all columns of `ABOUT`, and the code of each name in each column."""
    import pandas as pd

    keys, codes = np.zeros(len(rows), np.int64), []
    for column in ABOUT:
        code, names = pd.factorize(rows[column])
        keys = keys * len(names) + code
        codes.append({name: i for i, name in enumerate(names)})
    return keys, codes


def _statistics(values: np.ndarray, start: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and the standard deviation (n − 1; NaN of a single value) of each run of values."""
    mean, sd = np.full(len(count), np.nan), np.full(len(count), np.nan)
    for n in np.unique(count):
        alike = np.flatnonzero(count == n)
        block = values[start[alike][:, None] + np.arange(n)]
        mean[alike] = block.mean(axis=1)
        if n > 1:
            sd[alike] = block.std(axis=1, ddof=1)
    return mean, sd
