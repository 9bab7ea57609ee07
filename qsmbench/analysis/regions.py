"""Regional means: reconstructed and true, mean ± standard deviation over the seeds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qsmbench.analysis.replicates import Cell
from qsmbench.analysis.results import CONTROLS, Study

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class RegionalRow:
    """The regional means of a chain."""

    chain: str
    cells: dict[str, Cell]


@dataclass
class Regional:
    """The regional means of one artifact of one group of replicates, on one support."""

    group: str
    artifact: str
    support: str
    unit: str
    truth: dict[str, Cell]
    rows: list[RegionalRow]

    @property
    def regions(self) -> list[str]:
        """Names of the regions."""
        return list(self.truth)


def regional(study: Study, group: str, artifact: str, support: str, chains: list[str]) -> Regional:
    """The means of the deep grey regions, in the order of `chains`, without the controls.

    The truth is the mean minus the bias, where the bias was scored.
    """
    s = study.scores
    mine = s[(s["group"] == group) & (s["artifact"] == artifact) & (s["support"] == support)]
    means, bias = (mine[mine["metric"] == m] for m in ("mean", "bias"))
    regions = [r for r in study.nuclei(group) if (means["region"] == r).any()]
    unit = str(means["unit"].iloc[0]) if len(means) else ""
    keys = ["dataset", "chain", "region"]
    true = means.merge(bias[[*keys, "value"]], on=keys, suffixes=("", "_bias"))
    true = true.assign(value=true["value"] - true["value_bias"]).dropna(subset=["value"])
    true = true.drop_duplicates(["dataset", "region"])  # the truth of a dataset is that of every chain
    truth = {r: _cell(true.loc[true["region"] == r, "value"]) for r in regions}
    rows = []
    for chain in chains:
        own = means[(means["chain"] == chain) & means["value"].notna()]
        if chain not in CONTROLS and len(own):
            rows.append(RegionalRow(chain, {r: _cell(own.loc[own["region"] == r, "value"]) for r in regions}))
    return Regional(group, artifact, support, unit, truth, rows)


def _cell(values: pd.Series) -> Cell:
    if len(values) == 0:
        return Cell(reason="the region has no voxel in the mask")
    spread = float(values.std()) if len(values) > 1 else math.nan
    return Cell(float(values.mean()), spread, len(values), "", 4)
