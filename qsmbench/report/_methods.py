"""The methods of a study, from the records of their runs: what they declare, their settings, costs and failures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from qsmbench.analysis.failures import Missing, by_reason
from qsmbench.analysis.results import Study
from qsmbench.run.specs import RUN_FILE, Record, prefixes, read_record

NOTED = 5
"""Largest number of different texts of a note that are listed."""


@dataclass(frozen=True)
class Setting:
    """A setting of a method.

    Attributes:
        name: of the setting.
        value: as text; the range over the datasets if it was chosen from the data.
        origin: of the value; empty for a default.
        default: as text; empty if unknown.
        meaning: of the setting; empty if unknown.
        by_dataset: name and value of each dataset, if they differ.
    """

    name: str
    value: str
    origin: str
    default: str = ""
    meaning: str = ""
    by_dataset: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Cost:
    """What the runs of a method took: ranges as text, of those with a result; empty if unknown.

    Attributes:
        time: range [s].
        memory: largest [MiB].
        runs: number of scans and chains that it was to run on.
        failed: how many of them have no result.
    """

    time: str
    memory: str
    runs: int
    failed: int


@dataclass(frozen=True)
class MethodUse:
    """A method in a study.

    Attributes:
        name: in the chains.
        method: original name of the method; of a file or a folder its last part.
        summary: what it does, in one line; empty if unknown.
        takes, gives: name and meaning of its inputs and products; empty if unknown.
        settings: all settings.
        reference: author and year.
        doi: of the reference, if it has one.
        references: all of them, in words.
        differences: where it departs from the reference; empty if nothing is stated.
        cost: of all runs.
        costs: by group of replicates.
        missing: runs without a result, by reason.
        reasons: why, each once.
        notes: what the runs noted, by its name: the different texts.
    """

    name: str
    method: str
    summary: str
    takes: list[tuple[str, str]]
    gives: list[tuple[str, str]]
    settings: list[Setting]
    reference: str
    doi: str
    references: str
    differences: str
    cost: Cost
    costs: dict[str, Cost]
    missing: list[Missing]
    reasons: list[str]
    notes: dict[str, list[str]]


@dataclass(frozen=True)
class _Run:
    """A run of a step: its dataset, the chain that ends in it, and its record."""

    dataset: str
    chain: str
    record: Record

    @property
    def details(self) -> dict[str, Any]:
        return self.record.details

    @property
    def reason(self) -> str:
        return f"{self.record.status}: {self.record.reason}"


def methods_used(study: Study) -> list[MethodUse]:
    """Return the methods of a study that a record tells of, in the order in which its chains name them."""
    runs: dict[str, list[_Run]] = {}
    datasets = list(study.scores["dataset"].unique())
    for chain in dict.fromkeys(p for c in study.chains for p in prefixes(c)):
        for dataset in datasets:
            record = read_record(study.folder / dataset / "chains" / chain / RUN_FILE)
            if record is not None:
                runs.setdefault(chain.rpartition(".")[2], []).append(_Run(dataset, chain, record))
    return [_method_use(study, name, its) for name, its in runs.items() if any("method" in r.details for r in its)]


def _method_use(study: Study, name: str, runs: Sequence[_Run]) -> MethodUse:
    told = [r for r in runs if "used" in r.details]
    about = (told or [r for r in runs if "method" in r.details])[0].details
    declared = about.get("declared", {})
    author, _, doi = about.get("reference", "").partition(", doi:")
    bad = [r for r in runs if not r.record.ok]
    places = study.factors.loc[list(dict.fromkeys(r.dataset for r in runs)), ["group", "seed"]]
    group_of, seed_of = places["group"].astype(str).to_dict(), places["seed"].astype(float).to_dict()
    by_group: dict[str, list[_Run]] = {}
    for r in runs:
        by_group.setdefault(group_of[r.dataset], []).append(r)
    return MethodUse(
        name=name,
        method=about["method"].rstrip("/").rpartition("/")[2],
        summary=about.get("summary", ""),
        takes=_inputs(declared),
        gives=list(declared.get("gives", {}).items()),
        settings=_settings(told, study.origins.get(name, "set")) if told else [],
        reference=author,
        doi=doi,
        references=declared.get("references", "") or about.get("reference", ""),
        differences=about.get("differences", ""),
        cost=_cost(runs),
        costs={group: _cost(its) for group, its in by_group.items()},
        missing=by_reason((r.chain, r.reason, group_of[r.dataset], seed_of[r.dataset]) for r in bad),
        reasons=list(dict.fromkeys(r.reason for r in bad)),
        notes=_notes(told),
    )


def _inputs(declared: dict[str, Any]) -> list[tuple[str, str]]:
    optional = declared.get("optional", [])
    return [(n, f"{text}{' (optional)' if n in optional else ''}") for n, text in declared.get("takes", {}).items()]


def _settings(told: Sequence[_Run], origin: str) -> list[Setting]:
    first = told[0].details
    declared = first.get("declared", {}).get("settings", {})
    chosen = [(r.dataset, r.details["notes"]["chosen"]) for r in told if "chosen" in r.details.get("notes", {})]
    settings = []
    for key, value in first["used"].items():
        default, meaning = declared.get(key, ("", ""))
        about = {"default": _text(default), "meaning": meaning}
        choices = [(d, c) for d, c in chosen if c["setting"] == key]
        plain = Setting(key, _text(value), origin if key in first["settings"] else "", **about)
        settings.append(_chosen(key, choices, about) if choices else plain)
    return settings


def _chosen(key: str, choices: Sequence[tuple[str, dict[str, Any]]], about: dict[str, str]) -> Setting:
    """Return a setting that was chosen from the data of each scan."""
    ends = sum(c.get("at_end", False) for _, c in choices)
    values = [c["value"] for _, c in choices]
    low, high = _text(min(values)), _text(max(values))
    origin = f"by {choices[0][1]['by']}"
    origin += f", at the end of its span on {ends} of {len(choices)} scans" if ends else ""
    found: dict[str, list[str]] = {}
    for dataset, c in choices:
        found.setdefault(dataset, []).append(_text(c["value"]))
    each = [(dataset, ", ".join(dict.fromkeys(texts))) for dataset, texts in found.items()] if low != high else []
    return Setting(key, low if low == high else f"{low} – {high}", origin, **about, by_dataset=each)


def _cost(runs: Iterable[_Run]) -> Cost:
    records = [r.record for r in runs]
    done = [r for r in records if r.ok]
    seconds = [r.seconds for r in done if r.seconds is not None]
    peaks = [r.peak_memory for r in done if r.peak_memory is not None]
    time = _range(min(seconds), max(seconds)) if seconds else ""
    return Cost(time, f"{max(peaks):.0f}" if peaks else "", len(records), len(records) - len(done))


def _notes(told: Sequence[_Run]) -> dict[str, list[str]]:
    """Return the notes of the runs, without the choice of a setting, which is shown with the settings."""
    found: dict[str, dict[str, None]] = {}
    for r in told:
        for name, value in r.details.get("notes", {}).items():
            if name != "chosen":
                found.setdefault(name, {})[_note(value)] = None
    more = {name: len(texts) - NOTED for name, texts in found.items()}
    return {n: [*texts][:NOTED] + ([f"and {more[n]} more"] if more[n] > 0 else []) for n, texts in found.items()}


def _note(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{k} {_note(v)}" for k, v in value.items())
    return ", ".join(map(_note, value)) if isinstance(value, list) else _text(value)


def _range(low: float, high: float) -> str:
    ends = ["<0.01" if v < 0.01 else f"{v:.2g}" if v < 100 else f"{v:.0f}" for v in (low, high)]
    return ends[0] if ends[0] == ends[1] else "–".join(ends)


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
