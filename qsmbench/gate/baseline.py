"""The scores of a study with fingerprints of its scans, in one small file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qsmbench.analysis.results import read_study
from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.folders import present, read, read_params
from qsmbench.data.score_table import COLUMNS
from qsmbench.errors import QsmbenchError
from qsmbench.run.specs import RUN_FILE, prefixes, read_record

if TYPE_CHECKING:
    import pandas as pd

FORMAT = "qsmbench baseline 1"

SAME = 1e-4
"""Largest difference of two fingerprints of the same scan; rounding changes them by less than 1e-6."""


@dataclass(frozen=True)
class Baseline:
    """What two runs of a suite are compared by.

    Attributes:
        study: name of the study.
        scores: tidy table with the columns of `data.score_table.COLUMNS`, of the whole mask.
        scans: fingerprint of each dataset; see `fingerprint`.
        units: for each dataset and chain, duration of the calibration operation beside its step, s.
        versions: of the packages.
        stochastic: chains with a method that draws anew in every run.
    """

    study: str
    scores: pd.DataFrame
    scans: dict[str, list[float]]
    units: dict[str, float]
    versions: dict[str, Any]
    stochastic: tuple[str, ...] = ()

    def has_same_scan(self, other: Baseline, dataset: str) -> bool:
        """Return whether a dataset is the same scan on both sides, up to rounding."""
        return same_scan(self.scans.get(dataset), other.scans.get(dataset))

    def save(self, file: Path) -> None:
        """Write a Parquet file.

        Raises:
            QsmbenchError: it cannot be written.
        """
        import pyarrow as pa
        from pyarrow import parquet

        about = {"format": FORMAT, "study": self.study, "scans": self.scans, "units": self.units}
        about["stochastic"] = self.stochastic
        table = pa.Table.from_pandas(self.scores, preserve_index=False)
        table = table.replace_schema_metadata({"qsmbench": json.dumps({**about, "versions": self.versions})})
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            parquet.write_table(table, file, compression="zstd")
        except OSError as e:
            raise QsmbenchError(f"{file}: cannot be written ({e.strerror or e})") from e


def read_baseline(file: Path) -> Baseline:
    """Read a file written by `Baseline.save`.

    Raises:
        QsmbenchError: no such file, or not a baseline.
    """
    from pyarrow import parquet

    if not file.is_file():
        raise QsmbenchError(f"{file}: no such file; write it with qsmbench baseline RESULTS {file}")
    try:
        table = parquet.read_table(file)
        about = json.loads((table.schema.metadata or {})[b"qsmbench"])
        if about["format"] != FORMAT:
            raise QsmbenchError(f"{file}: its format is {about['format']!r}; this version reads {FORMAT!r}")
        scores = table.to_pandas()[list(COLUMNS)]
        stochastic = tuple(about.get("stochastic", ()))
        return Baseline(about["study"], scores, about["scans"], about["units"], about["versions"], stochastic)
    except (OSError, ValueError, KeyError, TypeError) as e:
        if isinstance(e, QsmbenchError):
            raise
        raise QsmbenchError(f"{file}: is not a baseline; write it with qsmbench baseline RESULTS {file}") from e


def of_results(folder: Path) -> Baseline:
    """Return what a study's folder is compared by.

    Raises:
        QsmbenchError: it is not the folder of a study, or a scan is missing or damaged.
    """
    study = read_study(folder)
    scores = _whole(study.scores, study.unmade)
    scans = {name: fingerprint(folder / name / "scan") for name in map(str, scores["dataset"].unique()) if name}
    units, drawing = {}, set()
    for file in folder.glob(f"*/chains/*/{RUN_FILE}"):
        record = read_record(file)
        details = record.details if record else {}
        if details.get("unit"):
            units[f"{file.parents[2].name} {file.parent.name}"] = float(details["unit"])
        if details.get("stochastic"):
            drawing.add(file.parent.name)
    stochastic = tuple(c for c in map(str, scores["chain"].unique()) if drawing & set(prefixes(c)))
    return Baseline(study.name, scores, scans, units, study.versions, stochastic)


def _whole(scores: pd.DataFrame, unmade: pd.DataFrame) -> pd.DataFrame:
    """The rows of the whole mask, and of what failed, as plain text and numbers."""
    import pandas as pd

    rows = pd.concat([scores, unmade], ignore_index=True)[list(COLUMNS)]
    rows = rows[(rows["region"] == "") & (rows["support"] != "common")]
    return rows.astype({c: str for c in COLUMNS if c != "value"}).reset_index(drop=True)


def fingerprint(scan: Path) -> list[float]:
    """Compute numbers that identify a scan up to rounding.

    Args:
        scan: folder of the scan.

    Returns:
        shape, echo times, B0 and its direction, fraction of the mask, and projections of the complex signal of each
        echo onto fixed random patterns, relative to its norm; empty if there is no scan.
    """
    if not present(scan):
        return []
    params = read_params(scan)
    grid = params.grid
    numbers = [*map(float, grid.shape), *map(float, params.te), params.b0, *grid.b0_dir]
    rng = np.random.default_rng(0)
    patterns = [[rng.standard_normal(n) for n in grid.shape] for _ in range(2)]
    there = present(scan)
    if "mask" in there:
        numbers.append(float(read(scan, "mask", grid).mean()))
    if "magnitude" in there and "phase" in there:
        magnitude, phase = read(scan, "magnitude", grid), read(scan, "phase", grid)
        for echo in range(magnitude.shape[3]):
            signal = magnitude[..., echo].astype(np.complex128) * np.exp(1j * phase[..., echo])
            size = np.linalg.norm(signal) or 1.0
            for x, y, z in patterns:
                found = np.einsum("ijk,i,j,k->", signal, x, y, z, optimize=True) / size / np.sqrt(signal.size)
                numbers += [float(found.real), float(found.imag)]
    return numbers


def same_scan(ours: list[float] | None, theirs: list[float] | None) -> bool:
    """Return whether two fingerprints are those of the same scan, up to rounding; an empty one is that of no scan."""
    return bool(ours and theirs and len(ours) == len(theirs) and np.allclose(ours, theirs, rtol=0, atol=SAME))


def file_of(folder: Path, dataset: str, chain: str, artifact: str) -> Path:
    """Return the file of a map in the folder of a study."""
    return folder / dataset / "chains" / chain / ARTIFACTS[artifact].file
