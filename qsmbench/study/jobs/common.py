"""Job: the voxels that all chains of a dataset share, and every chain's scores on them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.folders import read_params
from qsmbench.data.score_table import COLUMNS
from qsmbench.data.volumes import save_volume
from qsmbench.metrics import not_scored, score
from qsmbench.run.specs import CommonSpec, ScoreSpec
from qsmbench.study.scoring import Reconstruction, finished, load_support, load_truth, table

if TYPE_CHECKING:
    import pandas as pd


def run(spec: CommonSpec, out: Path) -> None:
    """Write the table and the mask of the common voxels below `out`."""
    chains = [s for s in finished(spec.scores) if any(map(_is_scored_map, s.artifacts))]
    scored(chains, out / "common.nii.gz").to_parquet(out / "common.parquet", index=False)


def _is_scored_map(artifact: str) -> bool:
    """Whether a chain that ends in an artifact decides which voxels are common."""
    return not not_scored(artifact) and not ARTIFACTS[artifact].is_mask


def scored(specs: list[ScoreSpec], mask_file: Path) -> pd.DataFrame:
    """Score all chains on the voxels that they share, and write those as a mask."""
    import pandas as pd

    shared: np.ndarray | None = None
    for spec in specs:
        support = load_support(spec)
        shared = support if shared is None else shared & support
    if shared is None:
        return pd.DataFrame(columns=list(COLUMNS))
    save_volume(mask_file, shared, read_params(Path(specs[0].scan)).grid.affine)
    maps = [(s, a) for s in specs for a in s.artifacts if _is_scored_map(a)]
    tables = []
    for spec, artifact in maps:  # read again rather than kept: a study may have hundreds of chains
        reconstruction = Reconstruction.load(spec, artifact)
        truth = load_truth(spec, artifact, reconstruction.params)
        rows = score(**reconstruction.arguments(), **truth, common=shared, supports=("common",))
        tables.append(table(spec, artifact, rows))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(COLUMNS))
