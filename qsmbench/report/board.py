"""The board of a challenge as offline HTML and CSV: a first page, and a page for each submission."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from qsmbench.analysis.columns import Column
from qsmbench.analysis.overview import Overview
from qsmbench.data.folders import make_folder
from qsmbench.report._charts import ROW
from qsmbench.report._summary import direction, number_text, rank_text
from qsmbench.report._svg import Layout, Panel, fitting_ticks, names_width
from qsmbench.view.page import data_uri, render
from qsmbench.view.planes import CONVENTION

PAGES = "submissions"
"""Folder of the pages of submissions."""

DIGITS = 4
"""Significant digits of scores in CSV: more would help to guess the truth from many submissions."""


@dataclass(frozen=True)
class Line:
    """A submission.

    Attributes:
        name: of the submission: letters, digits, _ and -.
        title: its name on the board, of its author.
        team: who sent it.
        place: where it stands; ranked or one of the keys of `Board.places`.
        facts: further facts by name: time, kind, chain, description.
        reason: why nothing of it was scored; empty if something was.
        reasons: why there is no score, by scan.
        scores: by scan and metric.
        notes: by scan.
        pictures: WebP of its maps, by scan.
    """

    name: str
    title: str
    team: str
    place: str
    facts: Mapping[str, str]
    reason: str = ""
    reasons: Mapping[str, str] = field(default_factory=dict)
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    notes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    pictures: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Board:
    """A challenge with its submissions.

    Attributes:
        name: of the challenge.
        description: one line.
        state: whether it is open or frozen, in a sentence.
        scans: condition of each scan.
        columns: the metrics; the first one ranks.
        overviews: of each metric over the ranked submissions; empty if none is ranked.
        lines: the submissions.
        places: meaning of each place but ranked.
        commitment: SHA-256 that was published before.
    """

    name: str
    description: str
    state: str
    scans: Mapping[str, str]
    columns: Sequence[Column]
    overviews: Sequence[Overview]
    lines: Sequence[Line]
    places: Mapping[str, str]
    commitment: str


def write_board(board: Board, out: Path) -> Path:
    """Write the pages and tables of a board; return the first page.

    Raises:
        QsmbenchError: `out` cannot be written to.
    """
    make_folder(out)
    make_folder(out / PAGES)
    for old in (out / PAGES).glob("*.html"):
        old.unlink()
    content: dict[str, Any] = {
        "board": board,
        "number_text": number_text,
        "direction": direction,
        "rank_text": rank_text,
    }
    content["convention"] = CONVENTION
    for line in board.lines:
        pictures = {scan: data_uri(f.read_bytes(), "webp") for scan, f in line.pictures.items() if f.is_file()}
        _page("submission.html.j2", out / PAGES / f"{line.name}.html", **content, line=line, pictures=pictures)
    _table(out / "board.csv", _standing_rows(board))
    _table(out / "scores.csv", _score_rows(board))
    ranked = {line.name: line for line in board.lines}
    apart = {place: [s for s in board.lines if s.place == place] for place in board.places}
    chart = Markup(_chart(board)) if board.overviews else ""
    return _page("board.html.j2", out / "index.html", **content, chart=chart, ranked=ranked, apart=apart)


def _page(template: str, file: Path, **content: Any) -> Path:
    file.write_text(render(Path(__file__).with_name(template), **content), encoding="utf-8")
    return file


def _chart(board: Board) -> str:
    """Draw the scores of each ranked submission on each scan by the metric that ranks, and the interval of its mean."""
    first, metric = board.overviews[0], board.columns[0]
    order = [s.chain for part in first.ranked for s in part]
    lines = {line.name: line for line in board.lines}
    values = [[s[metric.metric] for s in lines[name].scores.values() if metric.metric in s] for name in order]
    every = np.array([v for its in values for v in its])
    margin = 0.06 * (float(np.ptp(every)) or abs(float(every[0])) or 1.0)
    ends = float(every.min()) - margin, float(every.max()) + margin
    title = f"{metric.label}{f' [{metric.unit}]' if metric.unit else ''} on every scan"
    panel = Panel(560, ROW * len(order) + 9, ends, (len(order) - 0.275, -0.725), title, direction(metric))
    for y, its in enumerate(values):
        middle = float(np.mean(its))
        panel.lines([[(min(its), y), (max(its), y)], [(middle, y - 0.25), (middle, y + 0.25)]])
        panel.points((v, y) for v in its)
    drawn = panel.axes(fitting_ticks(*ends, panel.width, 6), (range(len(order)), order))
    return Layout(panel.width, panel.height, 1, names_width(order)).svg([drawn], title)


def _standing_rows(board: Board) -> Iterable[list[Any]]:
    """Yield the rows of `board.csv`: the ranked submissions by rank, then the others."""
    metrics = [c.metric for c in board.columns]
    heads = [f"{m}{end}" for m in metrics for end in ("", "_low", "_high")]
    yield ["rank", "rank_low", "rank_high", "tied_with_first", "submission", "title", "team", "place", *heads, "reason"]
    lines, known = {line.name: line for line in board.lines}, set()
    parts = board.overviews[0].ranked if board.overviews else []
    for s, tested in ((s, any(x.tied for x in part)) for part in parts for s in part):
        line, cells = lines[s.chain], []
        known.add(s.chain)
        for o in board.overviews:
            own = next((x for part in o.ranked for x in part if x.chain == s.chain), None)
            whole = own.cells[0] if own else None
            cells += [_rounded(v) for v in (whole.estimate, whole.low, whole.high)] if whole else ["", "", ""]
        place = [_rounded(s.rank), _rounded(s.low), _rounded(s.high), ("yes" if s.tied else "no") if tested else ""]
        yield [*place, line.name, line.title, line.team, line.place, *cells, ""]
    for line in board.lines:
        if line.name not in known:
            means = [x for m in metrics for x in (_rounded(_mean(line, m)), "", "")]
            reason = line.reason or "; ".join(f"{scan}: {r}" for scan, r in line.reasons.items())
            yield ["", "", "", "", line.name, line.title, line.team, line.place, *means, reason]


def _score_rows(board: Board) -> Iterable[list[Any]]:
    """Yield the rows of `scores.csv`: a score each."""
    yield ["submission", "scan", "condition", "metric", "value", "unit", "reason"]
    for line in board.lines:
        for scan, condition in board.scans.items():
            for c in board.columns:
                value = line.scores.get(scan, {}).get(c.metric, float("nan"))
                reason = line.reason or line.reasons.get(scan, "")
                yield [line.name, scan, condition, c.metric, _rounded(value), c.unit, reason]


def _mean(line: Line, metric: str) -> float:
    values = [s[metric] for s in line.scores.values() if metric in s]
    return float(np.mean(values)) if values else float("nan")


def _rounded(value: float) -> str:
    return "" if value != value else f"{value:.{DIGITS}g}"


def _table(file: Path, rows: Iterable[Sequence[Any]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as opened:
        csv.writer(opened).writerows([[_plain(v) for v in row] for row in rows])


def _plain(value: Any) -> str:
    """Return a text that no spreadsheet takes for a formula, whoever wrote it."""
    text = str(value)
    is_number = text.replace(".", "", 1).replace("-", "", 1).replace("e", "", 1).replace("+", "", 1).isdigit()
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") and not is_number else text
