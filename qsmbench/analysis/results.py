"""What the report reads: a study folder, and its scores averaged over the seeds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from qsmbench.data.folders import REGIONS_FILE, read_json, read_regions
from qsmbench.data.provenance import PROVENANCE_FILE, SCENARIO_FILE, SourcedValue, read_provenance
from qsmbench.errors import QsmbenchError

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("dataset", "chain", "artifact", "metric", "region", "support", "value", "unit", "reason")
"""Columns of `scores.parquet`."""

CONTROLS = ("truth", "zero")
"""Chains that are no method: they bound every table."""

RUN_ROWS = ("time", "peak_memory", "status")
"""Metrics that describe the run of a chain, not its result; a failed chain has `status` with its reason."""


@dataclass(frozen=True)
class Study:
    """A study folder in memory.

    Attributes:
        name: that of the study.
        phrase: what it is about.
        scores: tidy table with the columns `COLUMNS` and `group`, the dataset's name without its seed.
        config: text of `config.yaml`.
        versions: content of `versions.json`.
        folder: where it lies.
    """

    name: str
    phrase: str
    scores: pd.DataFrame
    config: str
    versions: dict[str, Any]
    folder: Path

    @property
    def groups(self) -> list[str]:
        """Datasets without their seeds, in the order of the table."""
        return list(dict.fromkeys(self.scores["group"]))

    def datasets(self, group: str) -> list[str]:
        """The replicates of a group."""
        return list(dict.fromkeys(self.scores.loc[self.scores["group"] == group, "dataset"]))

    def nuclei(self, group: str) -> list[str]:
        """Names of the deep grey regions, or of all regions where no `dseg.tsv` tells which they are."""
        mine = self.scores[self.scores["group"] == group]
        names = [r for r in dict.fromkeys(mine["region"]) if r]
        table = self.folder / group / "truth" / REGIONS_FILE
        deep = {name for _, name, kind in read_regions(table) if kind == "dgm"} if table.is_file() else set()
        return [n for n in names if n in deep] or names

    def basis(self, group: str) -> list[SourcedValue]:
        """What the truth of a group rests on; nothing where there is no truth."""
        path = self.folder / group / "truth" / PROVENANCE_FILE
        return read_provenance(path) if path.is_file() else []

    def scenario(self, group: str) -> dict[str, Any]:
        """The scenario of a group; empty if it has none."""
        path = self.folder / group / "truth" / SCENARIO_FILE
        return read_json(path) if path.is_file() else {}

    @property
    def notes(self) -> list[str]:
        """What was rescaled or assumed as measured scans were read."""
        files = [self.folder / dataset / "scan" / "notes.json" for dataset in self.scores["dataset"].unique()]
        return [f"{f.parts[-3]}: {note}" for f in files if f.is_file() for note in read_json(f)["notes"]]

    def picture(self, dataset: str, chain: str) -> Path | None:
        """The picture of a chain's result, if there is one."""
        path = self.folder / dataset / "pictures" / f"{chain}.webp"
        return path if path.is_file() else None


def read_study(folder: Path) -> Study:
    """Read a study folder.

    Raises:
        QsmbenchError: `scores.parquet` is missing, damaged, empty or lacks a column.
    """
    import pandas as pd

    path = folder / "scores.parquet"
    if not path.is_file():
        raise QsmbenchError(f"{path}: no such file; a report is made of a study that has run")
    try:
        scores = pd.read_parquet(path)
    except (OSError, ValueError) as e:
        raise QsmbenchError(f"{path}: cannot be read as Parquet ({' '.join(str(e).split())[:200]})") from e
    missing = [c for c in COLUMNS if c not in scores]
    if missing:
        raise QsmbenchError(f"{path}: has no column {missing[0]!r}; needed are {', '.join(COLUMNS)}")
    if scores.empty:
        raise QsmbenchError(f"{path}: holds no scores")
    text = [c for c in COLUMNS if c != "value"]
    scores = scores.astype(dict.fromkeys(text, object)).fillna(dict.fromkeys(text, ""))
    scores = scores.assign(group=[seedless(d) for d in scores["dataset"]], value=scores["value"].astype(float))
    config = _text(folder / "config.yaml")
    settings = _settings(config)
    name, phrase = str(settings.get("study") or folder.name), str(settings.get("description") or "")
    versions = json.loads(_text(folder / "versions.json") or "{}")
    return Study(name, phrase, scores, config, versions, folder)


def seedless(dataset: str) -> str:
    """Name of a dataset without its seed: what its replicates share."""
    return dataset.split("_seed-")[0]


def _text(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


def _settings(config: str) -> dict[str, Any]:
    content = yaml.safe_load(config)
    return content if isinstance(content, dict) else {}
