"""The scores of a study with fingerprints of its scans, in one small file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qsmbench.analysis.results import read_study
from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.folders import Params, present, read, read_params
from qsmbench.data.score_table import COLUMNS, STATUS
from qsmbench.errors import QsmbenchError
from qsmbench.run.specs import RUN_FILE, prefixes, read_record

if TYPE_CHECKING:
    import pandas as pd

FORMAT = "qsmbench baseline 1"

OFFSET = "offset"
"""Metric of a baseline: mean of χ over the voxels that a chain reconstructed, ppm. Scores don't depend on it, since the
mean of χ is arbitrary; that a method removes it is a convention, and a change of the code may break it."""

SAME = 1e-4
"""Largest difference of two fingerprints of the same scan; rounding changes them by less than 1e-6."""


@dataclass(frozen=True)
class Baseline:
    """What two runs of a suite are compared by.

    Attributes:
        study: name of the study.
        scores: tidy table with the columns of `data.score_table.COLUMNS`, of the whole mask; and `OFFSET`.
        scans: fingerprint of each dataset; see `fingerprint`.
        units: for each dataset and chain, duration of the calibration operation beside its step, s.
        versions: of the packages.
        stochastic: chains with a method that uses other random numbers in every run.
    """

    study: str
    scores: pd.DataFrame
    scans: dict[str, list[float]]
    units: dict[str, float]
    versions: dict[str, Any]
    stochastic: tuple[str, ...] = ()

    @property
    def failed(self) -> dict[tuple[str, str], str]:
        """The reason of each dataset and chain that failed; what does not apply to a scan has not."""
        rows = self.scores[self.scores["metric"] == STATUS].to_dict("records")
        return {(r["dataset"], r["chain"]): r["reason"] for r in rows if not r["reason"].startswith("skipped")}

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
    scores = _with_offsets(folder, _whole(study.scores, study.unmade))
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


def _with_offsets(folder: Path, scores: pd.DataFrame) -> pd.DataFrame:
    """Add the mean of each map of χ that has a score."""
    import pandas as pd

    scored = scores[(scores["artifact"] == "chi") & scores["value"].notna()]
    rows = []
    for dataset, chain in scored[["dataset", "chain"]].drop_duplicates().itertuples(index=False):
        file = file_of(folder, dataset, chain, "chi")
        if file.is_file():
            chi = read(file.parent, "chi", read_params(folder / dataset / "scan").grid)
            rows.append(offset_row(dataset, chain, chi))
    return pd.concat([scores, pd.DataFrame(rows, columns=list(COLUMNS))], ignore_index=True) if rows else scores


def offset_row(dataset: str, chain: str, chi: np.ndarray) -> tuple[Any, ...]:
    """Return the row of `OFFSET` of a map, (nx, ny, nz) ppm, 0 where it was not reconstructed."""
    inside = chi[chi != 0]
    mean = float(inside.mean(dtype=np.float64)) if inside.size else 0.0
    return (dataset, chain, "chi", OFFSET, "", "study", mean, "ppm", "")


def fingerprint(scan: Path) -> list[float]:
    """Compute numbers that identify the scan in a folder up to rounding; none if there is no scan. See `identify`."""
    if not present(scan):
        return []
    params, there = read_params(scan), present(scan)
    known = {name: read(scan, name, params.grid) for name in ("mask", "magnitude", "phase") if name in there}
    return identify(params, **known)


def identify(
    params: Params,
    mask: np.ndarray | None = None,
    magnitude: np.ndarray | None = None,
    phase: np.ndarray | None = None,
) -> list[float]:
    """Compute numbers that identify a scan up to rounding.

    Args:
        params: of the scan.
        mask: (nx, ny, nz) bool.
        magnitude: (nx, ny, nz, n_echoes) a.u.
        phase: (nx, ny, nz, n_echoes) rad.

    Returns:
        shape, echo times, B0 and its direction, fraction of the mask, and projections of the complex signal of each
        echo onto fixed random patterns, relative to its norm.
    """
    grid = params.grid
    numbers = [*map(float, grid.shape), *map(float, params.te), params.b0, *grid.b0_dir]
    rng = np.random.default_rng(0)
    patterns = [[rng.standard_normal(n) for n in grid.shape] for _ in range(2)]
    if mask is not None:
        numbers.append(float(mask.mean()))
    if magnitude is not None and phase is not None:
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
