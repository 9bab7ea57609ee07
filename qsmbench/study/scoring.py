"""From the folders of a finished chain to rows of the scores table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.folders import REGIONS_FILE, Params, read, read_params, read_regions
from qsmbench.data.score_table import COLUMNS
from qsmbench.run.specs import RUN_FILE, ScoreSpec, read_record

if TYPE_CHECKING:
    import pandas as pd


FAILED_CHAINS = "failed_chains"
"""In the record of a job for all chains: those that it failed on, and why; it is done for the others."""


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
    def load(cls, spec: ScoreSpec, artifact: str) -> Reconstruction:
        """Read one of the chain's products, and what it is scored with.

        Raises:
            QsmbenchError: a volume is missing or damaged.
        """
        params = read_params(Path(spec.scan))
        support, study_mask = _masks(spec, params)
        return cls(
            estimate=read(Path(spec.result), artifact, params.grid),
            support=support,
            study_mask=study_mask,
            field=read(Path(spec.field), "local_field", params.grid) if spec.field else None,
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


def _masks(spec: ScoreSpec, params: Params) -> tuple[np.ndarray, np.ndarray]:
    """The voxels that a chain reconstructed, and those that it is judged on."""
    scan = Path(spec.scan)
    mask = read(scan, "mask", params.grid)
    true = Path(spec.truth) if spec.truth else scan
    study_mask = read(true, "mask", params.grid) if (true / ARTIFACTS["mask"].file).is_file() else mask
    support = mask & read(Path(spec.support), "mask", params.grid) if spec.support != spec.scan else mask
    return support & study_mask, study_mask


def load_support(spec: ScoreSpec) -> np.ndarray:
    """Read the voxels that a chain reconstructed, (nx, ny, nz) bool."""
    return _masks(spec, read_params(Path(spec.scan)))[0]


def load_truth(spec: ScoreSpec, artifact: str, params: Params) -> dict[str, Any]:
    """Truth of the artifact, labels and regions as keywords of `metrics.score`; all empty for a measured scan."""
    if spec.truth is None:
        return {"truth": None, "labels": None, "regions": ()}
    folder = Path(spec.truth)
    known = (folder / ARTIFACTS[artifact].file).is_file()
    return {
        "truth": read(folder, artifact, params.grid) if known else None,
        "labels": read(folder, "labels", params.grid),
        "regions": [r for r in read_regions(folder / REGIONS_FILE) if r[0] != 0],
    }


def finished(scores: Sequence[Mapping[str, Any]]) -> list[ScoreSpec]:
    """Return the specifications of those chains that have a result."""
    specs = [ScoreSpec.from_json(s, "score") for s in scores]
    records = {s.chain: read_record(Path(s.result) / RUN_FILE) for s in specs}
    return [s for s in specs if (r := records[s.chain]) is not None and r.ok]


def table(spec: ScoreSpec, artifact: str, rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with the dataset, chain and artifact that they are about, in the columns of a study's table."""
    named = rows.assign(dataset=spec.dataset, chain=spec.chain, artifact=artifact)
    return named[list(COLUMNS)]
