"""A study folder in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qsmbench.analysis.columns import Column
from qsmbench.analysis.replicates import Replicates
from qsmbench.analysis.subjects import Sample, sample
from qsmbench.data.folders import REGIONS_FILE, read_json, read_regions
from qsmbench.data.provenance import PROVENANCE_FILE, SCENARIO_FILE, SourcedValue, read_provenance
from qsmbench.data.score_table import COLUMNS, STATUS, source_index
from qsmbench.data.source_table import SOURCES_FILE, PlacedSource, read_sources
from qsmbench.errors import QsmbenchError
from qsmbench.typed_yaml import read_yaml

if TYPE_CHECKING:
    import pandas as pd

ORIGINS_FILE = "origins.json"
"""File in a study folder: origins of the settings, by method name in the chains."""

PROTOCOLS_FILE = "protocols.json"
"""File in a study folder: the keys of the protocol of each simulated group."""

NEEDED = (*COLUMNS, "group", "seed")
"""Required columns."""

_NUMBERS = ("value", "seed")

_KEY = ("dataset", "chain", "artifact", "metric", "region", "support")
"""Columns that say what a row scores."""


@dataclass(frozen=True)
class Study:
    """A study folder in memory.

    Attributes:
        name: of the study.
        phrase: one-line description.
        scores: tidy table with the columns `NEEDED`, of the successful datasets.
        unmade: rows of the failed datasets, with the same columns.
        factors: the factors of each dataset, with a column `group`; index: dataset.
        folder: path of the study.
        config: text of `config.yaml`.
        weights: of the metrics in the study's weighted score; empty if it defines none.
        versions: content of `versions.json`.
        origins: content of `origins.json`.
        protocols: content of `protocols.json`.
    """

    name: str
    phrase: str
    scores: pd.DataFrame
    unmade: pd.DataFrame
    factors: pd.DataFrame
    folder: Path
    config: str = ""
    weights: dict[str, float] = field(default_factory=dict)
    versions: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    protocols: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def groups(self) -> list[str]:
        """Groups of replicates, in the order of the table."""
        return list(self._by_group)

    @cached_property
    def chains(self) -> list[str]:
        """Chains, in the order of the table."""
        return list(self.scores["chain"].unique())

    @cached_property
    def replicates(self) -> Replicates:
        """The scores grouped by replicates."""
        return Replicates(self.scores)

    @cached_property
    def true_means(self) -> Replicates:
        """The true regional means: the mean minus the bias, if the bias was scored."""
        return Replicates(_true_means(self.scores))

    def sample(self, column: Column, artifact: str = "chi", support: str = "study") -> Sample:
        """Return one metric of all chains on all scans; see `subjects.sample`."""
        return sample(self.scores, self.factors, column, artifact, support)

    def of(self, group: str) -> pd.DataFrame:
        """Return the scores of a group."""
        return self._by_group[group]

    def datasets(self, group: str) -> list[str]:
        """Return the replicates of a group."""
        return list(self.of(group)["dataset"].unique())

    def nuclei(self, group: str) -> list[str]:
        """Return the deep grey regions, or all regions if there is no `dseg.tsv`."""
        return self._nuclei[group]

    @cached_property
    def _by_group(self) -> dict[str, pd.DataFrame]:
        rows = self.scores.groupby("group", sort=False, observed=True)
        return {str(name): table for name, table in rows}

    @cached_property
    def _nuclei(self) -> dict[str, list[str]]:
        return {group: self._nuclei_of(group) for group in self.groups}

    def _nuclei_of(self, group: str) -> list[str]:
        names = [r for r in self.of(group)["region"].unique() if r and source_index(r) is None]
        table = self.folder / group / "truth" / REGIONS_FILE
        deep = {name for _, name, kind in read_regions(table) if kind == "dgm"} if table.is_file() else set()
        return [n for n in names if n in deep] or names

    def provenance(self, group: str) -> list[SourcedValue]:
        """Return the values behind the truth of a group; none if there is no truth."""
        path = self.folder / group / "truth" / PROVENANCE_FILE
        return read_provenance(path) if path.is_file() else []

    def sources(self, group: str) -> list[PlacedSource]:
        """Return the table of the sources in the truth of a group; no rows if there is none."""
        return read_sources(self.folder / group / "truth" / SOURCES_FILE)

    def scenario(self, group: str) -> dict[str, Any]:
        """Return the scenario of a group; empty if it has none."""
        return _json(self.folder / group / "truth" / SCENARIO_FILE)

    @property
    def notes(self) -> list[str]:
        """Notes about rescaling and assumptions in reading measured scans."""
        datasets = self.scores["dataset"].unique()
        notes = {d: _json(self.folder / d / "scan" / "notes.json") for d in datasets}
        return [f"{dataset}: {note}" for dataset, content in notes.items() for note in content.get("notes", [])]

    def picture(self, dataset: str, chain: str) -> Path | None:
        """Return the picture of a chain's result, if there is one."""
        path = self.folder / dataset / "pictures" / f"{chain}.webp"
        return path if path.is_file() else None


def read_study(folder: Path, about: Path | None = None) -> Study:
    """Read a study folder.

    Args:
        folder: contains `scores.parquet`.
        about: folder that may contain `config.yaml`, `versions.json`, `origins.json` and `protocols.json`; by default
            the same.

    Returns:
        the study.

    Raises:
        QsmbenchError: `scores.parquet` is missing, damaged or empty, lacks a column, or holds what is no score.
    """
    table, factors = _read_table(folder / "scores.parquet")
    unmade = table[(table["metric"] == STATUS) & (table["chain"] == "")]
    about = about or folder
    settings = read_yaml(about / "config.yaml") if (about / "config.yaml").is_file() else {}
    config = (about / "config.yaml").read_text() if settings else ""
    return Study(
        name=str(settings.get("study") or folder.name),
        phrase=str(settings.get("description") or ""),
        scores=table[~table["dataset"].isin(unmade["dataset"])],
        unmade=unmade,
        factors=factors,
        folder=folder,
        config=config,
        weights=_weights(settings.get("score")),
        versions=_texts(about / "versions.json"),
        origins=_texts(about / ORIGINS_FILE),
        protocols={g: p for g, p in _json(about / PROTOCOLS_FILE).items() if isinstance(p, dict)},
    )


def _weights(given: Any) -> dict[str, float]:
    """Return the weights in a study's configuration, which somebody may have edited."""
    items = given.items() if isinstance(given, dict) else ()
    return {str(name): float(w) for name, w in items if isinstance(w, int | float) and w > 0}


def _read_table(path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the scores and the factors of each dataset.

    Text is read as categories, since there are few names; missing text becomes empty.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise QsmbenchError(f"{path}: no such file; run the study first")
    try:
        with pq.ParquetFile(path) as file:
            factors = [c for c in file.schema_arrow.names if c not in NEEDED]
            table = file.read(columns=list(NEEDED))
            found = factors and "dataset" in table.column_names
            others = _first_of_each(table, file.read(columns=factors)) if found else None
    except (OSError, ValueError) as e:
        raise QsmbenchError(f"{path}: cannot be read as Parquet ({' '.join(str(e).split())[:200]})") from e
    missing = [c for c in NEEDED if c not in table.column_names]
    if missing:
        raise QsmbenchError(f"{path}: has no column {missing[0]!r}; required: {', '.join(NEEDED)}")
    if not table.num_rows:
        raise QsmbenchError(f"{path}: contains no scores")
    columns = {}
    for c in NEEDED:
        try:
            column = table[c].cast(pa.float64() if c in _NUMBERS else pa.string())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as e:
            kind = "numbers" if c in _NUMBERS else "texts"
            raise QsmbenchError(f"{path}: {c} is of type {table[c].type}; it must hold {kind}") from e
        columns[c] = column if c in _NUMBERS else column.fill_null("").dictionary_encode()
    scores = pa.table(columns).to_pandas()
    if np.isinf(scores["value"]).any():
        row = scores[np.isinf(scores["value"])].iloc[0]
        raise QsmbenchError(f"{path}: {row.metric} of {row.chain} on {row.dataset} is infinite; remove its row")
    unnamed = (scores["dataset"] == "") | ((scores["chain"] == "") & (scores["metric"] != STATUS))
    if unnamed.any():
        raise QsmbenchError(f"{path}: row {int(unnamed.argmax()) + 1} names no dataset or no chain")
    again = scores.duplicated(list(_KEY))
    if again.any():
        row = scores[again].iloc[0]
        of = f" of {row.region}" if row.region else ""
        raise QsmbenchError(
            f"{path}: {again.sum()} rows repeat another, the first is {row.metric}{of} of {row.chain} on {row.dataset} "
            f"({row.support}); remove them"
        )
    about = scores.drop_duplicates("dataset")[["dataset", "group", "seed"]].astype({"dataset": str, "group": str})
    about = about.set_index("dataset")
    return scores, about if others is None else about.join(others.set_index(about.index))


def _first_of_each(table: Any, factors: Any) -> pd.DataFrame:
    """Return the first row of each dataset, in the order of the table."""
    import numpy as np

    codes = table["dataset"].combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
    first = np.unique(codes, return_index=True)[1]
    found: pd.DataFrame = factors.take(np.sort(first)).to_pandas()
    return found


def _true_means(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the true regional means once for each dataset: they are the same for every chain."""
    about = ["dataset", "artifact", "support", "region"]
    known = scores[scores["value"].notna()]
    means, bias = known[known["metric"] == "mean"], known[known["metric"] == "bias"]
    both = means.merge(bias[[*about, "chain", "value"]], on=[*about, "chain"], suffixes=("", "_bias"))
    true = both.assign(value=both["value"] - both["value_bias"], chain="truth")
    return true.drop_duplicates(about)


def _texts(path: Path) -> dict[str, str]:
    """Return the texts by name in a JSON file; empty if there is none."""
    content = _json(path)
    wrong = next((name for name, value in content.items() if not isinstance(value, str)), None)
    if wrong is not None:
        raise QsmbenchError(f"{path}: {wrong} is {content[wrong]!r}; it must be a text")
    return content


def _json(path: Path) -> dict[str, Any]:
    """Return the content of a JSON file; empty if there is none."""
    return read_json(path) if path.is_file() else {}
