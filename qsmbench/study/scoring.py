"""Scoring: from the folders of a finished chain to rows of the scores table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from qsmbench.data.artifacts import ARTIFACTS, VEIN_ARTIFACTS
from qsmbench.data.folders import REGIONS_FILE, Params, read, read_params, read_regions, read_vein_names
from qsmbench.data.score_table import COLUMNS
from qsmbench.data.source_table import SOURCES_FILE, read_sources
from qsmbench.run.specs import RUN_FILE, ScoreSpec, read_record

FAILED_CHAINS = "failed_chains"
"""Key in the record of a job for all chains: the chains that failed, with the reason."""


class Scan:
    """The reference volumes for all chains of a scan; each is read once, on first use.

    Args:
        spec: of the result of any of the chains.
    """

    def __init__(self, spec: ScoreSpec) -> None:
        self.folder, self.truth_folder = Path(spec.scan), Path(spec.truth) if spec.truth else None
        self._masks: dict[Path, np.ndarray] = {}
        self._truths: dict[str, np.ndarray] = {}
        self._field: tuple[str, np.ndarray] | None = None

    @cached_property
    def params(self) -> Params:
        """Acquisition parameters of the scan."""
        return read_params(self.folder)

    @cached_property
    def study_mask(self) -> np.ndarray:
        """The study mask, (nx, ny, nz) bool: that of the truth, or of the scan if there is no truth.

        The scan's mask may differ (see `scan.acquired_mask`); voxels outside it count as not reconstructed.
        """
        folder = self.truth_folder or self.folder
        return self._mask(folder if (folder / ARTIFACTS["mask"].file).is_file() else self.folder)

    def support(self, spec: ScoreSpec) -> np.ndarray:
        """Return the voxels of the study mask that a chain reconstructed, (nx, ny, nz) bool."""
        return self._mask(self.folder) & self._mask(Path(spec.support)) & self.study_mask

    def field(self, spec: ScoreSpec) -> np.ndarray | None:
        """Return the input field of a chain's inversion, ppm, if any; the last one read is cached.

        None for a difference of reconstructions, which it is not the field of.
        """
        if spec.field is None or spec.without is not None:
            return None
        if self._field is None or self._field[0] != spec.field:
            self._field = spec.field, read(Path(spec.field), "local_field", self.params.grid)
        return self._field[1]

    @cached_property
    def labels(self) -> np.ndarray | None:
        """The number of the region of each voxel, (nx, ny, nz); None without a truth."""
        return None if self.truth_folder is None else read(self.truth_folder, "labels", self.params.grid)

    @cached_property
    def regions(self) -> list[tuple[int, str, str]]:
        """Number, name and kind of each region; none without a truth."""
        if self.truth_folder is None:
            return []
        return [r for r in read_regions(self.truth_folder / REGIONS_FILE) if r[0] != 0]

    @cached_property
    def _sources(self) -> dict[str, Any]:
        """The sources of a scenario and their table, as keywords of `metrics.Reference`; empty if there are none."""
        folder = self.truth_folder
        if folder is None or not (folder / ARTIFACTS["sources"].file).is_file():
            return {}
        table = read_sources(folder / SOURCES_FILE)
        return {"sources": read(folder, "sources", self.params.grid), "source_table": table} if table else {}

    @cached_property
    def _vein_table(self) -> list[tuple[int, str, str]]:
        """Number, name and region of the names of veins; none without a truth about veins."""
        return read_vein_names(self.truth_folder) if self.truth_folder else []

    def truth(self, artifact: str) -> np.ndarray | None:
        """Return the truth of an artifact, if known."""
        if self.truth_folder is None or not (self.truth_folder / ARTIFACTS[artifact].file).is_file():
            return None
        if artifact not in self._truths:
            self._truths[artifact] = read(self.truth_folder, artifact, self.params.grid)
        return self._truths[artifact]

    def estimate(self, spec: ScoreSpec, artifact: str) -> np.ndarray:
        """Read one of a chain's products; of a planted scan, minus that of the scan without the sources."""
        estimate = read(Path(spec.result), artifact, self.params.grid)
        if spec.without is None or ARTIFACTS[artifact].is_mask:
            return estimate
        return estimate - read(Path(spec.without), artifact, self.params.grid)

    def reference(self, artifact: str) -> dict[str, Any]:
        """Return the reference for chains that end in an artifact, as keywords of `metrics.Reference`.

        Raises:
            QsmbenchError: a volume is missing or damaged.
        """
        given = {"study_mask": self.study_mask, "truth": self.truth(artifact), "labels": self.labels}
        if ARTIFACTS[artifact].sparse:
            given |= {name: self.truth(name) for name in VEIN_ARTIFACTS}
        return {
            **given,
            **self._sources,
            "vein_table": self._vein_table,
            "regions": self.regions,
            "grid": self.params.grid,
            "artifact": artifact,
        }

    def reconstruction(self, spec: ScoreSpec, artifact: str) -> dict[str, Any]:
        """Return one of a chain's products, its support and its field, as keywords of `metrics.Reference.rows`.

        Raises:
            QsmbenchError: a volume is missing or damaged.
        """
        return {"support": self.support(spec), "estimate": self.estimate(spec, artifact), "field": self.field(spec)}

    def _mask(self, folder: Path) -> np.ndarray:
        if folder not in self._masks:
            self._masks[folder] = read(folder, "mask", self.params.grid)
        return self._masks[folder]


def finished(scores: Sequence[Mapping[str, Any]]) -> list[ScoreSpec]:
    """Return the specifications of the chains that have a result."""
    specs = [ScoreSpec.from_json(s, "score") for s in scores]
    records = {s.chain: read_record(Path(s.result) / RUN_FILE) for s in specs}
    return [s for s in specs if (r := records[s.chain]) is not None and r.ok]


def named(spec: ScoreSpec, artifact: str, rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return rows of scores with their dataset, chain and artifact."""
    return [{"dataset": spec.dataset, "chain": spec.chain, "artifact": artifact, **row} for row in rows]


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows of scores as Parquet, in the columns of a study's table."""
    import pyarrow as pa
    from pyarrow import parquet

    numbers = np.array([row["value"] for row in rows], np.float64)
    columns = {name: _texts([row[name] for row in rows]) for name in COLUMNS if name != "value"}
    columns["value"] = pa.Array.from_buffers(pa.float64(), numbers.size, [None, pa.py_buffer(numbers)])
    parquet.write_table(pa.table([columns[name] for name in COLUMNS], list(COLUMNS)), path)


def _texts(values: Sequence[str]) -> Any:
    """Return a column of texts, built from bytes: `pyarrow.array` imports pandas, which takes as long as scoring."""
    import pyarrow as pa

    packed = [v.encode() for v in values]
    ends = np.cumsum([0, *map(len, packed)], dtype=np.int32)
    return pa.StringArray.from_buffers(len(packed), pa.py_buffer(ends), pa.py_buffer(b"".join(packed)))
