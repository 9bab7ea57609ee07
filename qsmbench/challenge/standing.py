"""Which submissions are ranked: complete ones, in time, one of each team; and the freeze after the deadline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from qsmbench.challenge.make import Private
from qsmbench.challenge.score import Outcome, Record, outcome_of, records
from qsmbench.data.folders import read_json, write_json

FROZEN_FILE = "frozen.json"
"""File with the ranked submissions and their scores as they were at the first board after the deadline."""

RANKED = "ranked"
LATE, REPEATED, UNDATED, INCOMPLETE, REFUSED, AFTER = (
    "late",
    "repeated",
    "undated",
    "incomplete",
    "refused",
    "after the freeze",
)

PLACES = {
    RANKED: "ranked",
    LATE: "received after the deadline",
    REPEATED: "replaced by another one of the same team",
    UNDATED: "time of receipt not stated",
    INCOMPLETE: "without a score on some scan",
    REFUSED: "not scored",
    AFTER: "new or changed after the ranking was frozen",
}
"""Where a submission may stand, and what that means."""


@dataclass(frozen=True)
class Standing:
    """A submission and where it stands.

    Attributes:
        record: the submission.
        place: one of `PLACES`.
        outcomes: by scan.
        attempt: number of the submission among those of its team, from 1.
        attempts: number of submissions of its team.
    """

    record: Record
    place: str
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    attempt: int = 1
    attempts: int = 1

    @property
    def title(self) -> str:
        """What it is called on the board."""
        return self.record.title or self.record.name

    @property
    def scored(self) -> list[str]:
        """The scans on which it has scores."""
        return [name for name, outcome in self.outcomes.items() if not outcome.reason]


def standings(private: Private, now: datetime, *, freeze: bool = False) -> tuple[list[Standing], str]:
    """Return where each submission stands, and when the ranking was frozen (empty if it was not).

    The ranking is frozen at the first call after the deadline, or with `freeze`: from then on, the ranked ones and
    their scores stay, and whatever is new or has changed stands apart.

    Args:
        private: the challenge.
        now: time with its zone.
        freeze: freeze the ranking even before the deadline, or without one.
    """
    found = _placed(private)
    file = private.folder / FROZEN_FILE
    if not file.is_file() and (freeze or private.config.is_over(now)):
        _write(private, found, now)
    if not file.is_file():
        return found, ""
    frozen = read_json(file)
    return _after(found, frozen["ranked"]), str(frozen["time"])


def _placed(private: Private) -> list[Standing]:
    """Place the submissions as if nothing was frozen."""
    known = sorted(records(private.folder), key=lambda r: (_time(r) is None, _time(r) or 0, r.name))
    outcomes = {r.name: {scan: outcome_of(private.folder, r, scan) for scan in private.entries} for r in known}
    places = {r.name: _alone(private, r, outcomes[r.name]) for r in known}
    for team in dict.fromkeys(r.team for r in known):
        usable = [r.name for r in known if r.team == team and places[r.name] == RANKED]
        for name in usable[1:] if private.config.counts == "first" else usable[:-1]:
            places[name] = REPEATED
    found = []
    for r in known:
        own = [other.name for other in known if other.team == r.team]
        found.append(Standing(r, places[r.name], outcomes[r.name], 1 + own.index(r.name), len(own)))
    return found


def _alone(private: Private, record: Record, outcomes: dict[str, Outcome]) -> str:
    """Return the place of a submission if it were its team's only one."""
    if record.reason or all(o.reason for o in outcomes.values()):
        return REFUSED
    deadline, time = private.config.deadline, _time(record)
    if deadline is not None and time is None:
        return UNDATED
    if deadline is not None and time is not None and time > deadline.timestamp():
        return LATE
    return INCOMPLETE if any(_without(o, private.config.metric) for o in outcomes.values()) else RANKED


def _without(outcome: Outcome, metric: str) -> bool:
    """Whether an outcome has no value of the metric that ranks."""
    values = [row["value"] for row in outcome.rows if row["metric"] == metric]
    return bool(outcome.reason) or not values or values[0] is None or values[0] != values[0]


def _time(record: Record) -> float | None:
    return datetime.fromisoformat(record.received).timestamp() if record.received else None


def _write(private: Private, found: Sequence[Standing], now: datetime) -> None:
    ranked: list[dict[str, Any]] = [asdict(s) for s in found if s.place == RANKED]
    write_json(private.folder / FROZEN_FILE, {"time": now.isoformat(timespec="seconds"), "ranked": ranked})


def _after(found: Sequence[Standing], ranked: Sequence[dict[str, Any]]) -> list[Standing]:
    """Return the standings with those that were ranked when the ranking was frozen, as they were."""
    kept = []
    for content in ranked:
        outcomes = {scan: Outcome(**o) for scan, o in content["outcomes"].items()}
        kept.append(Standing(Record(**content["record"]), RANKED, outcomes, content["attempt"], content["attempts"]))
    known = {s.record.name: s.record.digest for s in kept}
    others = []
    for s in found:
        if known.get(s.record.name) == s.record.digest:
            continue
        new = s.place == RANKED or s.record.name in known
        others.append(Standing(s.record, AFTER if new else s.place, s.outcomes, s.attempt, s.attempts))
    return kept + others
