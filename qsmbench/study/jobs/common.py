"""Job: the voxels that all chains of a dataset share, and every chain's scores on them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from qsmbench.data.volumes import save_volume
from qsmbench.metrics import score
from qsmbench.run.specs import CommonSpec, ScoreSpec
from qsmbench.study.scoring import COLUMNS, Reconstruction, finished, load_truth, table

if TYPE_CHECKING:
    import pandas as pd


def run(spec: CommonSpec, out: Path) -> None:
    """Write the table and the mask of the common voxels below `out`."""
    scored(finished(spec.scores), out / "common.nii.gz").to_parquet(out / "common.parquet", index=False)


def scored(specs: list[ScoreSpec], mask_file: Path) -> pd.DataFrame:
    """Score all chains on the voxels that they share, and write those as a mask."""
    import pandas as pd

    shared: np.ndarray | None = None
    for spec in specs:
        support = Reconstruction.load(spec, spec.artifacts[0]).support
        shared = support if shared is None else shared & support
    if shared is None:
        return pd.DataFrame(columns=list(COLUMNS))
    tables = []
    for spec in specs:  # read again rather than kept: a study may have hundreds of chains
        for artifact in spec.artifacts:
            reconstruction = Reconstruction.load(spec, artifact)
            truth = load_truth(spec, artifact, reconstruction.params)
            rows = score(**reconstruction.arguments(), **truth, common=shared, supports=("common",))
            tables.append(table(spec, artifact, rows))
    save_volume(mask_file, shared, reconstruction.params.grid.affine)
    return pd.concat(tables, ignore_index=True)
