"""From the folders of a finished chain to rows of the scores table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.folders import REGIONS_FILE, Params, read, read_json, read_params, read_regions
from qsmbench.run.step import RUN_FILE

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("dataset", "chain", "artifact", "metric", "region", "support", "value", "unit", "reason")
"""Columns of a study's table. `support` is study, common, or run (time, memory, status)."""


@dataclass
class Reconstruction:
    """What a chain made of a scan.

    Attributes:
        estimate: (nx, ny, nz) float32, in the unit of `artifact`.
        support: (nx, ny, nz) bool, the voxels that it reconstructed.
        study_mask: (nx, ny, nz) bool, the voxels that it is judged on: the truth's mask, or the scan's if there is
            none. The scan's may be another (see `scan.acquired_mask`): what that leaves out was not reconstructed.
        field: the local field that its inversion was fed, ppm, if any.
        params: of the scan.
        artifact: what `estimate` is.
    """

    estimate: np.ndarray
    support: np.ndarray
    study_mask: np.ndarray
    field: np.ndarray | None
    params: Params
    artifact: str

    @classmethod
    def load(cls, spec: Mapping[str, Any], artifact: str) -> Reconstruction:
        """Read it from its folders.

        Args:
            spec: `folders` (of the chain's last step, the steps before it, the scan, and the truth if it may be
                read; in this order), `scan`, `truth` (or None).
            artifact: which of its products.

        Raises:
            QsmbenchError: a volume is missing or damaged.
        """
        scan, folders = Path(spec["scan"]), [Path(f) for f in spec["folders"]]
        params = read_params(scan)

        def nearest(name: str) -> np.ndarray | None:
            folder = next((f for f in folders if (f / ARTIFACTS[name].file).is_file()), None)
            return None if folder is None else read(folder, name, params.grid)

        mask = read(scan, "mask", params.grid)
        support = nearest("mask")
        true = Path(spec["truth"]) if spec.get("truth") else scan
        study_mask = read(true, "mask", params.grid) if (true / ARTIFACTS["mask"].file).is_file() else mask
        return cls(
            estimate=read(folders[0], artifact, params.grid),
            support=(mask if support is None else support & mask) & study_mask,
            study_mask=study_mask,
            field=nearest("local_field"),
            params=params,
            artifact=artifact,
        )

    def arguments(self) -> dict[str, Any]:
        """As keywords of `metrics.score`."""
        return {
            "estimate": self.estimate,
            "support": self.support,
            "study_mask": self.study_mask,
            "field": self.field,
            "grid": self.params.grid,
            "artifact": self.artifact,
        }


def load_truth(spec: Mapping[str, Any], artifact: str, params: Params) -> dict[str, Any]:
    """Truth of the artifact, labels and regions as keywords of `metrics.score`; all empty for a measured scan."""
    if spec["truth"] is None:
        return {"truth": None, "labels": None, "regions": ()}
    folder = Path(spec["truth"])
    known = (folder / ARTIFACTS[artifact].file).is_file()
    return {
        "truth": read(folder, artifact, params.grid) if known else None,
        "labels": read(folder, "labels", params.grid),
        "regions": [r for r in read_regions(folder / REGIONS_FILE) if r[0] != 0],
    }


def records(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    """How each step of a chain went (see `step.run`), the last first."""
    files = [Path(f) / RUN_FILE for f in spec["folders"]]
    return [read_json(f) for f in files if f.is_file()]


def run_rows(runs: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Time of all steps of a chain and the most memory that one took; or, if it gave nothing, why."""
    import pandas as pd

    if runs[0]["status"] != "ok":
        rows = [("status", np.nan, "", f"{runs[0]['status']}: {runs[0]['reason']}")]
    else:
        peaks = [r["peak_memory"] for r in runs]
        known = None not in peaks
        rows = [
            ("time", sum(r["seconds"] for r in runs), "s", ""),
            ("peak_memory", max(peaks) if known else np.nan, "MiB", "" if known else "not known of a container"),
        ]
    frame = pd.DataFrame(rows, columns=["metric", "value", "unit", "reason"])
    return frame.assign(region="", support="run")


def table(spec: Mapping[str, Any], artifact: str, rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with the dataset, chain and artifact that they are about, in the columns of a study's table."""
    named = rows.assign(dataset=spec["dataset"], chain=spec["chain"], artifact=artifact)
    return named[list(COLUMNS)]
