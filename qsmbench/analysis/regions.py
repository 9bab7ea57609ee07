"""Regional means, reconstructed and true: mean ± standard deviation over replicates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qsmbench.analysis.replicates import Cell
from qsmbench.analysis.results import Study
from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.score_table import CONTROLS


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
        artifact: the scored artifact.
        support: of the means.
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

    The truth is the mean minus the bias, if the bias was scored.
    """
    mine = study.of(group)
    rows = mine[(mine["metric"] == "mean") & (mine["artifact"] == artifact) & (mine["support"] == support)]
    scored = set(rows["region"].unique())
    regions = [r for r in study.nuclei(group) if r in scored]
    with_value = set(rows.loc[rows["value"].notna(), "chain"].unique())
    found, true = study.replicates, study.true_means
    return Regional(
        group=group,
        artifact=artifact,
        support=support,
        unit=str(rows["unit"].iloc[0]) if len(rows) else "",
        relative=artifact in ARTIFACTS and not ARTIFACTS[artifact].own_zero,
        truth={r: true.regional(group, artifact, "truth", "mean", r, support) for r in regions},
        rows=[
            RegionalRow(c, {r: found.regional(group, artifact, c, "mean", r, support) for r in regions})
            for c in chains
            if c in with_value and c not in CONTROLS
        ],
    )
