"""Job: the reconstruction of a chain → its scores on the study mask, and its picture."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.metrics import score
from qsmbench.study.scoring import Reconstruction, load_truth, records, run_rows, table
from qsmbench.view.picture import draw

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def main(arguments: list[str]) -> None:
    """Run the job: SPEC (see `plan.Plan.score_spec`) and the table to write."""
    parser = argparse.ArgumentParser(prog="score")
    parser.add_argument("spec", type=json.loads)
    parser.add_argument("table", type=Path)
    args = parser.parse_args(arguments)
    scored(args.spec).to_parquet(args.table, index=False)


def scored(spec: dict[str, Any]) -> pd.DataFrame:
    """Score the chain that `spec` describes on the study mask, and draw its first product into `spec["picture"]`."""
    import pandas as pd

    runs = records(spec)
    if runs[0]["status"] != "ok":
        return pd.concat([table(spec, a, run_rows(runs)) for a in spec["artifacts"]], ignore_index=True)
    tables = []
    for artifact in spec["artifacts"]:
        reconstruction = Reconstruction.load(spec, artifact)
        truth = load_truth(spec, artifact, reconstruction.params)
        rows = score(**reconstruction.arguments(), **truth, supports=("study",))
        tables.append(table(spec, artifact, pd.concat([rows, run_rows(runs)], ignore_index=True)))
        if artifact == spec["artifacts"][0]:
            _draw(spec, reconstruction, truth["truth"])
    return pd.concat(tables, ignore_index=True)


def _draw(spec: dict[str, Any], reconstruction: Reconstruction, truth: np.ndarray | None) -> None:
    picture = Path(spec["picture"])
    picture.parent.mkdir(parents=True, exist_ok=True)
    draw(
        reconstruction.estimate,
        truth,
        reconstruction.study_mask,
        reconstruction.params.grid,
        ARTIFACTS[reconstruction.artifact].unit,
        picture,
        f"{spec['chain']} · {spec['dataset']}",
        artifact=reconstruction.artifact,
        support=reconstruction.support,
    )
