"""The board of a challenge: standings and scores, as pages and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from qsmbench.analysis.columns import Column, column
from qsmbench.analysis.overview import Overview, overview
from qsmbench.analysis.results import Study
from qsmbench.challenge.make import Private
from qsmbench.challenge.score import picture_of
from qsmbench.challenge.secret import COMMITMENT_FILE
from qsmbench.challenge.standing import PLACES, RANKED, Standing, standings
from qsmbench.data.folders import read_json
from qsmbench.data.score_table import COLUMNS
from qsmbench.errors import QsmbenchError
from qsmbench.metrics import find
from qsmbench.report.board import Board, Line, write_board

if TYPE_CHECKING:
    import pandas as pd

ALL = "all scans"

WHAT = {"maps": "maps", "folder": "method, a folder", "python": "method in Python"}


def board(private: Private, out: Path, now: datetime, *, freeze: bool = False) -> tuple[Path, list[Standing]]:
    """Write the board of a challenge; return its first page and the standings.

    Args:
        private: the challenge.
        out: folder to write.
        now: time with its zone; after the deadline, the ranking is frozen.
        freeze: freeze it now.

    Raises:
        QsmbenchError: nothing was scored, or `out` lies in the private folder.
    """
    if out.resolve().is_relative_to(private.folder.resolve()):
        raise QsmbenchError(f"{out}: lies in the private folder; name a folder elsewhere")
    found, frozen = standings(private, now, freeze=freeze)
    if not found:
        raise QsmbenchError(f"{private.folder}: no submission was scored; run qsmbench challenge score")
    config = private.config
    columns = [_column(name) for name in dict.fromkeys([config.metric, *config.further])]
    ranked = [s for s in found if s.place == RANKED]
    page = write_board(
        Board(
            name=config.challenge,
            description=config.description,
            state=_state(private, frozen),
            scans={name: private.condition(name) for name in private.entries},
            columns=columns,
            overviews=overviews(private, ranked, columns) if ranked else [],
            lines=[_line(private, s, columns) for s in found],
            places={place: text for place, text in PLACES.items() if place != RANKED},
            commitment=str(read_json(private.folder / COMMITMENT_FILE)["sha256"]),
        ),
        out,
    )
    return page, found


def _column(name: str) -> Column:
    return column(name, find(name).unit_of("chi"))


def _state(private: Private, frozen: str) -> str:
    deadline = private.config.deadline
    until = f"the deadline is {deadline.isoformat()}" if deadline else "there is no deadline"
    return f"Frozen at {frozen}." if frozen else f"Interim: {until}, and the ranking is not frozen."


def overviews(private: Private, ranked: Sequence[Standing], columns: Sequence[Column]) -> list[Overview]:
    """Return the overview of each metric over the ranked submissions."""
    whole = as_study(private, ranked, dict.fromkeys(private.entries, ALL))
    parts = as_study(private, ranked, {name: private.condition(name) for name in private.entries})
    known = set(whole.scores.loc[whole.scores["value"].notna(), "metric"])
    return [_joined(whole, parts, c) for c in columns if c.metric in known]


def _joined(whole: Study, parts: Study, c: Column) -> Overview:
    """Return the overview over all scans, with further cells for each condition if there are several."""
    first, second = (overview(s, "chi", c, "study", what="submission") for s in (whole, parts))
    if len(second.conditions) < 2:
        return first
    named = [str(parts.factors.loc[parts.factors["group"] == g[0], "phantom"].iloc[0]) for g in second.groups]
    cells = {s.chain: s.cells for s in second.others}
    return replace(
        first,
        conditions=[ALL, *named],
        groups=[*first.groups, *second.groups],
        subjects=[*first.subjects, *second.subjects],
        others=[replace(s, cells=[*s.cells, *cells[s.chain]]) for s in first.others],
    )


def as_study(private: Private, ranked: Sequence[Standing], conditions: Mapping[str, str]) -> Study:
    """Return submissions as the chains of a study whose datasets are the scans, each of a subject of its own.

    Args:
        private: the challenge.
        ranked: the submissions.
        conditions: of each scan.
    """
    import pandas as pd

    rows = [
        {"dataset": scan, "chain": s.record.name, "artifact": "chi", **row, "group": scan, "seed": 0.0}
        for s in ranked
        for scan, outcome in s.outcomes.items()
        for row in outcome.rows
    ]
    scores = pd.DataFrame(rows, columns=[*COLUMNS, "group", "seed"]).astype({"value": float})
    config = private.config
    return Study(config.challenge, config.description, scores, scores.iloc[:0], _factors(conditions), private.folder)


def _factors(conditions: Mapping[str, str]) -> pd.DataFrame:
    import pandas as pd

    names = list(conditions)
    about = {"group": names, "subject": names, "phantom": list(conditions.values()), "seed": 0.0}
    return pd.DataFrame(about, index=pd.Index(names, name="dataset"))


def _line(private: Private, standing: Standing, columns: Sequence[Column]) -> Line:
    record, metrics = standing.record, [c.metric for c in columns]
    scores = {
        scan: {r["metric"]: float(r["value"]) for r in o.rows if r["metric"] in metrics and r["value"] is not None}
        for scan, o in standing.outcomes.items()
        if not o.reason
    }
    facts = {
        "received": record.received,
        "submission of the team": f"{standing.attempt} of {standing.attempts}",
        "kind": WHAT.get(record.kind, ""),
        "chain": record.chain,
        "description": record.description,
    }
    return Line(
        name=record.name,
        title=standing.title,
        team=record.team,
        place=standing.place,
        facts=facts,
        reason=record.reason,
        reasons={scan: o.reason for scan, o in standing.outcomes.items() if o.reason},
        scores=scores,
        notes={scan: o.notes for scan, o in standing.outcomes.items() if o.notes},
        pictures={scan: picture_of(private.folder, record.name, scan) for scan in standing.scored},
    )
