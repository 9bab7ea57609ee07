"""What the steps of the chains were: each method, its settings, where they come from, and its source."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qsmbench.data.folders import read_json
from qsmbench.run.chains import prefixes
from qsmbench.run.step import RUN_FILE


@dataclass(frozen=True)
class Setting:
    """A setting as it was used.

    Attributes:
        name: its name.
        value: its value as text; the range over the datasets where the data decided.
        how: empty for a default; otherwise set, the file that it was tuned in, or what it was chosen by.
    """

    name: str
    value: str
    how: str


@dataclass(frozen=True)
class Used:
    """A method as the study used it: its name in the chains, its settings, and its reference."""

    name: str
    method: str
    settings: list[Setting]
    reference: str
    doi: str


def methods_used(folder: Path, datasets: Sequence[str], chains: Iterable[str]) -> list[Used]:
    """The methods of a study, in the order in which its chains name them.

    Args:
        folder: of the study.
        datasets: names of its datasets.
        chains: names of its chains.
    """
    runs: dict[str, list[dict[str, Any]]] = {}
    for chain in dict.fromkeys(p for c in chains for p in prefixes(c)):
        for file in (folder / dataset / "chains" / chain / RUN_FILE for dataset in datasets):
            record = read_json(file) if file.is_file() else {}
            if "used" in record:
                runs.setdefault(chain.rpartition(".")[2], []).append(record)
    return [_used(name, records) for name, records in runs.items()]


def _used(name: str, records: list[dict[str, Any]]) -> Used:
    first = records[0]
    author, _, doi = first.get("reference", "").partition(", doi:")
    chosen = [r["notes"]["chosen"] for r in records if "chosen" in r.get("notes", {})]
    settings = []
    for key, value in first["used"].items():
        mine = [c for c in chosen if c["setting"] == key]
        if mine:
            ends = sum(c.get("at_end", False) for c in mine)
            how = f"by {mine[0]['by']}" + (f", at the end of its span on {ends} of {len(mine)} scans" if ends else "")
            settings.append(Setting(key, _range([c["value"] for c in mine]), how))
        else:
            settings.append(Setting(key, _shown(value), first.get("origin", "set") if key in first["settings"] else ""))
    return Used(name, first["method"], settings, author, doi)


def _range(values: list[float]) -> str:
    low, high = _shown(min(values)), _shown(max(values))
    return low if low == high else f"{low} – {high}"


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
