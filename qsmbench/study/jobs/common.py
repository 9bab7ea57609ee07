"""Job: the voxels that all chains of a dataset share, and every chain's scores on them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.folders import read_params
from qsmbench.data.score_table import COLUMNS
from qsmbench.data.volumes import save_volume
from qsmbench.metrics import not_scored, score
from qsmbench.run.specs import CommonSpec, ScoreSpec
from qsmbench.study.scoring import FAILED_CHAINS, Reconstruction, finished, load_support, load_truth, table

if TYPE_CHECKING:
    import pandas as pd


def run(spec: CommonSpec, out: Path) -> dict[str, Any]:
    """Write the table and the mask of the common voxels below `out`; return the chains that it failed on."""
    chains = [s for s in finished(spec.scores) if any(map(_is_scored_map, s.artifacts))]
    rows, failed = scored(chains, out / "common.nii.gz")
    rows.to_parquet(out / "common.parquet", index=False)
    return {FAILED_CHAINS: failed, "transient": bool(failed)}


def _is_scored_map(artifact: str) -> bool:
    """Whether a chain that ends in an artifact decides which voxels are common."""
    return not not_scored(artifact) and not ARTIFACTS[artifact].is_mask


def scored(specs: list[ScoreSpec], mask_file: Path) -> tuple[pd.DataFrame, dict[str, str]]:
    """Score all chains on the voxels that they share, and write those as a mask.

    Args:
        specs: of chains that have a result.
        mask_file: NIfTI file to write.

    Returns:
        table: in the columns of a study's table.
        failed: chains that could not be read or scored, and why; the others do without them.
    """
    import pandas as pd

    supports, failed = {}, {}
    for spec in specs:
        try:
            supports[spec.chain] = load_support(spec)
        except Exception as e:
            failed[spec.chain] = f"{type(e).__name__}: {e}"
    tables = [pd.DataFrame(columns=list(COLUMNS))]
    if not supports:
        return tables[0], failed
    shared = np.logical_and.reduce(list(supports.values()))
    save_volume(mask_file, shared, read_params(Path(specs[0].scan)).grid.affine)
    for spec in specs:
        if spec.chain in supports:
            try:
                tables += _on_common(spec, shared)
            except Exception as e:
                failed[spec.chain] = f"{type(e).__name__}: {e}"
    return pd.concat([t for t in tables if not t.empty] or tables, ignore_index=True), failed


def _on_common(spec: ScoreSpec, shared: np.ndarray) -> list[pd.DataFrame]:
    """The scores of a chain's maps on the common voxels."""
    tables = []
    for artifact in filter(_is_scored_map, spec.artifacts):
        reconstruction = Reconstruction.load(spec, artifact)
        truth = load_truth(spec, artifact, reconstruction.params)
        rows = score(**reconstruction.arguments(), **truth, common=shared, supports=("common",))
        tables.append(table(spec, artifact, rows))
    return tables
