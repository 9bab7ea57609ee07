"""A study folder in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from qsmbench.data.folders import REGIONS_FILE, read_json, read_regions
from qsmbench.data.provenance import PROVENANCE_FILE, SCENARIO_FILE, SourcedValue, read_provenance
from qsmbench.data.score_table import COLUMNS, STATUS
from qsmbench.errors import QsmbenchError

if TYPE_CHECKING:
    import pandas as pd

ORIGINS_FILE = "origins.json"
"""In a study folder: where the settings of its methods come from, by the methods' names in the chains."""

NEEDED = (*COLUMNS, "group", "seed")
"""Columns without which there is no analysis."""


@dataclass(frozen=True)
class Study:
    """A study folder in memory.

    Attributes:
        name: that of the study.
        phrase: what it is about.
        scores: tidy table with the columns `NEEDED`, of the datasets that could be made.
        unmade: rows of the datasets that could not be made, with the same columns.
        folder: path of the study.
        config: text of `config.yaml`.
        versions: content of `versions.json`.
        origins: content of `origins.json`.
    """

    name: str
    phrase: str
    scores: pd.DataFrame
    unmade: pd.DataFrame
    folder: Path
    config: str = ""
    versions: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)

    @property
    def groups(self) -> list[str]:
        """Groups of replicates, in the order of the table."""
        return list(dict.fromkeys(self.scores["group"]))

    @property
    def chains(self) -> list[str]:
        """Chains, in the order of the table."""
        return list(dict.fromkeys(self.scores["chain"]))

    def datasets(self, group: str) -> list[str]:
        """Return the replicates of a group."""
        return list(dict.fromkeys(self.scores.loc[self.scores["group"] == group, "dataset"]))

    def nuclei(self, group: str) -> list[str]:
        """Return the deep grey regions, or all regions where no `dseg.tsv` says which they are."""
        mine = self.scores[self.scores["group"] == group]
        names = [r for r in dict.fromkeys(mine["region"]) if r]
        table = self.folder / group / "truth" / REGIONS_FILE
        deep = {name for _, name, kind in read_regions(table) if kind == "dgm"} if table.is_file() else set()
        return [n for n in names if n in deep] or names

    def provenance(self, group: str) -> list[SourcedValue]:
        """Return the values behind the truth of a group; none where there is no truth."""
        path = self.folder / group / "truth" / PROVENANCE_FILE
        return read_provenance(path) if path.is_file() else []

    def scenario(self, group: str) -> dict[str, Any]:
        """Return the scenario of a group; empty if it has none."""
        return _json(self.folder / group / "truth" / SCENARIO_FILE)

    @property
    def notes(self) -> list[str]:
        """What was rescaled or assumed as measured scans were read."""
        notes = {d: _json(self.folder / d / "scan" / "notes.json") for d in self.scores["dataset"].unique()}
        return [f"{dataset}: {note}" for dataset, content in notes.items() for note in content.get("notes", [])]

    def picture(self, dataset: str, chain: str) -> Path | None:
        """Return the picture of a chain's result, if there is one."""
        path = self.folder / dataset / "pictures" / f"{chain}.webp"
        return path if path.is_file() else None


def read_study(folder: Path, about: Path | None = None) -> Study:
    """Read a study folder.

    Args:
        folder: holds `scores.parquet`.
        about: folder that may hold `config.yaml`, `versions.json` and `origins.json`; by default the same.

    Returns:
        the study.

    Raises:
        QsmbenchError: `scores.parquet` is missing, damaged, empty or lacks a column.
    """
    table = _read_table(folder / "scores.parquet")
    unmade = table[(table["metric"] == STATUS) & (table["chain"] == "")]
    about = about or folder
    config = (about / "config.yaml").read_text() if (about / "config.yaml").is_file() else ""
    settings = yaml.safe_load(config)
    settings = settings if isinstance(settings, dict) else {}
    return Study(
        name=str(settings.get("study") or folder.name),
        phrase=str(settings.get("description") or ""),
        scores=table[~table["dataset"].isin(unmade["dataset"])],
        unmade=unmade,
        folder=folder,
        config=config,
        versions=_json(about / "versions.json"),
        origins=_json(about / ORIGINS_FILE),
    )


def _read_table(path: Path) -> pd.DataFrame:
    """Read the scores; text that is missing becomes empty."""
    import pandas as pd

    if not path.is_file():
        raise QsmbenchError(f"{path}: no such file; run the study before its report")
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as e:
        raise QsmbenchError(f"{path}: cannot be read as Parquet ({' '.join(str(e).split())[:200]})") from e
    missing = [c for c in NEEDED if c not in table]
    if missing:
        raise QsmbenchError(f"{path}: has no column {missing[0]!r}; needed are {', '.join(NEEDED)}")
    if table.empty:
        raise QsmbenchError(f"{path}: holds no scores")
    text = [c for c in NEEDED if c not in ("value", "seed")]
    table = table.astype(dict.fromkeys(text, object)).fillna(dict.fromkeys(text, ""))
    return table.assign(value=table["value"].astype(float), seed=table["seed"].astype(float))


def _json(path: Path) -> dict[str, Any]:
    """Return the content of a JSON file; empty if there is none."""
    return read_json(path) if path.is_file() else {}
