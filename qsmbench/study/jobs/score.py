"""Job: the result of a chain → its scores on the study mask."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qsmbench.data.score_table import COLUMNS
from qsmbench.metrics import not_scored, score
from qsmbench.run.specs import ScoreSpec
from qsmbench.study.scoring import Reconstruction, load_truth, table

if TYPE_CHECKING:
    import pandas as pd


def run(spec: ScoreSpec, out: Path) -> None:
    """Write the table below `out`."""
    scored(spec).to_parquet(out / f"{spec.chain}.parquet", index=False)


def scored(spec: ScoreSpec) -> pd.DataFrame:
    """Return the scores of those artifacts of a chain that can be scored, on the study mask."""
    import pandas as pd

    tables = []
    for artifact in spec.artifacts:
        if not_scored(artifact):
            continue
        reconstruction = Reconstruction.load(spec, artifact)
        truth = load_truth(spec, artifact, reconstruction.params)
        rows = score(**reconstruction.arguments(), **truth, supports=("study",))
        tables.append(table(spec, artifact, rows))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(COLUMNS))
