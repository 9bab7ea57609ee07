"""Job: the voxels that all chains of a dataset share, and every chain's scores on them."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qsmbench.data.volumes import save_volume
from qsmbench.metrics import score
from qsmbench.study.scoring import COLUMNS, Reconstruction, load_truth, records, table

if TYPE_CHECKING:
    import pandas as pd


def main(arguments: list[str]) -> None:
    """Run the job: SPECS (a list, see `plan.Plan.score_spec`), the table and the mask to write."""
    parser = argparse.ArgumentParser(prog="common")
    parser.add_argument("specs", type=json.loads)
    parser.add_argument("table", type=Path)
    parser.add_argument("mask", type=Path)
    args = parser.parse_args(arguments)
    scored(args.specs, args.mask).to_parquet(args.table, index=False)


def scored(specs: list[dict[str, Any]], mask_file: Path) -> pd.DataFrame:
    """Score all chains that gave something on the voxels that they share, and write those as a mask."""
    import pandas as pd

    finished = [s for s in specs if records(s)[0]["status"] == "ok"]
    shared: np.ndarray | None = None
    for spec in finished:
        support = Reconstruction.load(spec, spec["artifacts"][0]).support
        shared = support if shared is None else shared & support
    if shared is None:
        mask_file.write_bytes(b"")
        return pd.DataFrame(columns=list(COLUMNS))
    tables = []
    for spec in finished:  # read again rather than kept: a study may have hundreds of chains
        for artifact in spec["artifacts"]:
            reconstruction = Reconstruction.load(spec, artifact)
            truth = load_truth(spec, artifact, reconstruction.params)
            rows = score(**reconstruction.arguments(), **truth, common=shared, supports=("common",))
            tables.append(table(spec, artifact, rows))
    save_volume(mask_file, shared, reconstruction.params.grid.affine)
    return pd.concat(tables, ignore_index=True)
