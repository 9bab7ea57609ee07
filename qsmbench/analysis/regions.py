"""Regional means, reconstructed and true: mean ± standard deviation over replicates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qsmbench.analysis.replicates import Cell, over_replicates
from qsmbench.analysis.results import Study
from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.score_table import CONTROLS

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class RegionalRow:
    """The regional means of a chain."""

    chain: str
    cells: dict[str, Cell]


@dataclass
class Regional:
    """The regional means of one artifact of one group of replicates, on one support.

    Attributes:
        group: of replicates.
        artifact: what was scored.
        support: on which.
        unit: of the means.
        relative: whether they are relative to the mean of the mask.
        truth: true means, by region.
        rows: of the chains.
    """

    group: str
    artifact: str
    support: str
    unit: str
    relative: bool
    truth: dict[str, Cell]
    rows: list[RegionalRow]

    @property
    def regions(self) -> list[str]:
        """Names of the regions."""
        return list(self.truth)


def regional(study: Study, group: str, artifact: str, support: str, chains: Sequence[str]) -> Regional:
    """Return the means of the deep grey regions, in the order of `chains`, without the controls.

    The truth is the mean minus the bias, where the bias was scored.
    """
    s = study.scores
    mine = s[(s["group"] == group) & (s["artifact"] == artifact) & (s["support"] == support)]
    means, bias = (mine[mine["metric"] == m].dropna(subset=["value"]) for m in ("mean", "bias"))
    scored = set(mine.loc[mine["metric"] == "mean", "region"])
    regions = [r for r in study.nuclei(group) if r in scored]
    rows = {c: means[means["chain"] == c] for c in chains if c not in CONTROLS}
    return Regional(
        group=group,
        artifact=artifact,
        support=support,
        unit=next(iter(mine.loc[mine["metric"] == "mean", "unit"]), ""),
        relative=artifact in ARTIFACTS and not ARTIFACTS[artifact].own_zero,
        truth=_by_region(_true(means, bias), regions),
        rows=[RegionalRow(c, _by_region(own, regions)) for c, own in rows.items() if len(own)],
    )


def _true(means: pd.DataFrame, bias: pd.DataFrame) -> pd.DataFrame:
    """Return the true means: those of a dataset are the same for every chain."""
    keys = ["dataset", "chain", "region"]
    both = means.merge(bias[[*keys, "value"]], on=keys, suffixes=("", "_bias"))
    return both.assign(value=both["value"] - both["value_bias"]).drop_duplicates(["dataset", "region"])


def _by_region(rows: pd.DataFrame, regions: Sequence[str]) -> dict[str, Cell]:
    reason = "the region has no voxel in the mask"
    return {r: over_replicates(rows.loc[rows["region"] == r, "value"], reason) for r in regions}
