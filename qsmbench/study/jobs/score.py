"""Job: the result of a chain → its scores on the study mask."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qsmbench.metrics import score
from qsmbench.run.specs import ScoreSpec
from qsmbench.study.scoring import COLUMNS, Reconstruction, load_truth, table

if TYPE_CHECKING:
    import pandas as pd


def run(spec: ScoreSpec, out: Path) -> None:
    """Write the table below `out`."""
    scored(spec).to_parquet(out / f"{spec.chain}.parquet", index=False)


def scored(spec: ScoreSpec) -> pd.DataFrame:
    """Return the scores of all artifacts of a chain on the study mask, in the columns of a study's table."""
    import pandas as pd

    tables = []
    for artifact in spec.artifacts:
        reconstruction = Reconstruction.load(spec, artifact)
        truth = load_truth(spec, artifact, reconstruction.params)
        rows = score(**reconstruction.arguments(), **truth, supports=("study",))
        tables.append(table(spec, artifact, rows))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(COLUMNS))
