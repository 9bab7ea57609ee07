"""The methods of a study: their settings, the origins of these, and their references."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qsmbench.run.specs import RUN_FILE, Record, prefixes, read_record


@dataclass(frozen=True)
class Setting:
    """A setting of a method.

    Attributes:
        name: of the setting.
        value: as text; the range over the datasets if it was chosen from the data.
        origin: of the value; empty for a default.
    """

    name: str
    value: str
    origin: str


@dataclass(frozen=True)
class MethodUse:
    """A method in a study.

    Attributes:
        name: in the chains.
        method: original name of the method.
        summary: what it does, in one line; empty if unknown.
        settings: all settings.
        reference: author and year.
        doi: of the reference, if it has one.
        differences: where it departs from the reference; empty if nothing is stated.
        time: range over the scans [s] as text; empty if unknown.
        memory: largest [MiB] as text; empty if unknown.
        runs: number of scans and chains that it was to run on.
        failed: how many of them have no result.
        reasons: why, each once.
    """

    name: str
    method: str
    summary: str
    settings: list[Setting]
    reference: str
    doi: str
    differences: str
    time: str
    memory: str
    runs: int
    failed: int
    reasons: list[str]


def methods_used(
    folder: Path, datasets: Sequence[str], chains: Iterable[str], origins: Mapping[str, str]
) -> list[MethodUse]:
    """Return the methods of a study, in the order in which its chains name them.

    Args:
        folder: of the study.
        datasets: names of its datasets.
        chains: names of its chains.
        origins: origins of the settings, by method name in the chains; "set" for others.

    Returns:
        the methods that have a record.
    """
    runs: dict[str, list[Record]] = {}
    for chain in dict.fromkeys(p for c in chains for p in prefixes(c)):
        for file in (folder / dataset / "chains" / chain / RUN_FILE for dataset in datasets):
            record = read_record(file)
            if record is not None:
                runs.setdefault(chain.rpartition(".")[2], []).append(record)
    used = {name: its for name, its in runs.items() if any("used" in r.details for r in its)}
    return [_method_use(name, records, origins.get(name, "set")) for name, records in used.items()]


def _method_use(name: str, runs: Sequence[Record], origin: str) -> MethodUse:
    records = [r.details for r in runs if "used" in r.details]
    first = records[0]
    author, _, doi = first.get("reference", "").partition(", doi:")
    chosen = [r["notes"]["chosen"] for r in records if "chosen" in r.get("notes", {})]
    settings = []
    for key, value in first["used"].items():
        choices = [c for c in chosen if c["setting"] == key]
        plain = Setting(key, _text(value), origin if key in first["settings"] else "")
        settings.append(_chosen(key, choices) if choices else plain)
    done = [r for r in runs if r.ok]
    seconds = [r.seconds for r in done if r.seconds is not None]
    peaks = [r.peak_memory for r in done if r.peak_memory is not None]
    bad = [r for r in runs if not r.ok]
    return MethodUse(
        name=name,
        method=first["method"],
        summary=first.get("summary", ""),
        settings=settings,
        reference=author,
        doi=doi,
        differences=first.get("differences", ""),
        time=_range(min(seconds), max(seconds)) if seconds else "",
        memory=f"{max(peaks):.0f}" if peaks else "",
        runs=len(runs),
        failed=len(bad),
        reasons=list(dict.fromkeys(f"{r.status}: {r.reason}" for r in bad)),
    )


def _range(low: float, high: float) -> str:
    ends = ["<0.01" if v < 0.01 else f"{v:.2g}" if v < 100 else f"{v:.0f}" for v in (low, high)]
    return ends[0] if ends[0] == ends[1] else "–".join(ends)


def _chosen(key: str, choices: Sequence[dict[str, Any]]) -> Setting:
    """Return a setting that was chosen from the data of each scan."""
    ends = sum(c.get("at_end", False) for c in choices)
    values = [c["value"] for c in choices]
    low, high = _text(min(values)), _text(max(values))
    origin = f"by {choices[0]['by']}" + (f", at the end of its span on {ends} of {len(choices)} scans" if ends else "")
    return Setting(key, low if low == high else f"{low} – {high}", origin)


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
