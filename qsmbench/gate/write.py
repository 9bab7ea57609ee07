"""Verdicts as JUnit XML, as a Markdown summary, as a line of a history, and as pictures."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.score_table import COSTS
from qsmbench.errors import QsmbenchError
from qsmbench.gate.baseline import file_of
from qsmbench.gate.compare import (
    ALIKE,
    CHANGED,
    EQUAL,
    FAILED,
    IDENTICAL,
    INCOMPARABLE,
    MISSING,
    NEW,
    VERDICTS,
    WORSE,
    Row,
)

LONGEST = 20
"""Rows of a Markdown table; the others are counted."""

_FAILING = (FAILED, MISSING, INCOMPARABLE, WORSE)


def sentence(rows: Sequence[Row]) -> str:
    """Return the counts of the verdicts as one sentence, costs apart."""
    counts = Counter(r.verdict for r in rows if r.metric not in COSTS)
    parts = [f"{counts[v]} {v}" for v in VERDICTS if counts[v]]
    return f"{sum(counts.values())} scores: {', '.join(parts) or 'none'}"


def noteworthy(rows: Sequence[Row]) -> list[Row]:
    """Return the rows to show: scores that are not equal, and costs beyond their margin."""
    return [
        r
        for r in rows
        if r.verdict not in (IDENTICAL, EQUAL, ALIKE) and not (r.verdict == CHANGED and r.metric in COSTS)
    ]


def change(row: Row) -> str:
    """Return a row's values and loss as text."""
    if row.reason:
        return row.reason
    values = " → ".join(f"{v:.4g}" for v in (row.before, row.after) if not math.isnan(v))
    values = f"{values} {row.unit}".strip()
    if math.isnan(row.loss):
        return values
    error = "" if math.isnan(row.error) else f" ± {100 * row.error:.2g}"
    loss = f"{100 * row.loss:+.2g}{error} % (margin {100 * row.margin:g} %)"
    return f"{values}, {loss}, worst {100 * row.worst:+.2g} %"


def junit(rows: Sequence[Row], file: Path) -> None:
    """Write one test case per chain and metric; a failure for each verdict that fails the gate."""
    suite = ElementTree.Element("testsuite", name="qsmbench check", tests=str(len(rows)))
    suite.set("failures", str(sum(r.verdict in _FAILING for r in rows)))
    for row in rows:
        name = " ".join(part for part in (row.artifact, row.metric) if part)
        case = ElementTree.SubElement(suite, "testcase", classname=row.chain, name=name)
        if row.verdict in _FAILING:
            told = ElementTree.SubElement(case, "failure", type=row.verdict, message=VERDICTS[row.verdict])
            told.text = f"{change(row)}; {row.scan}"
        else:
            ElementTree.SubElement(case, "system-out").text = f"{row.verdict}: {change(row)}"
    _write(file, ElementTree.tostring(suite, encoding="unicode", xml_declaration=True))


def markdown(rows: Sequence[Row], file: Path, title: str) -> None:
    """Write a summary fit for a pull request: the counts, and the verdicts that are not equal."""
    lines = [f"### {title}", "", sentence(rows), ""]
    shown = [r for r in noteworthy(rows) if r.verdict != NEW]
    if shown:
        lines += ["| verdict | chain | metric | change | worst scan |", "|---|---|---|---|---|"]
        for r in shown[:LONGEST]:
            what = f"{r.artifact} {r.metric}".strip()
            lines.append(f"| {r.verdict} | `{r.chain}` | {what} | {change(r)} | {r.scan} |".replace("\n", " "))
        if len(shown) > LONGEST:
            lines += ["", f"and {len(shown) - LONGEST} more"]
    _write(file, "\n".join(lines) + "\n")


HISTORY = ("commit", "chain", "artifact", "metric", "value", "unit", "verdict")
"""Columns of a history file."""


def history(rows: Sequence[Row], file: Path, commit: str) -> None:
    """Append the scores of a commit to a CSV file.

    Raises:
        QsmbenchError: the file is another table, or holds this commit.
    """
    there = read_history(file) if file.is_file() else []
    if any(r["commit"] == commit for r in there):
        raise QsmbenchError(f"{file}: contains commit {commit!r} already; name another with --commit")
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", newline="") as stream:
        table = csv.writer(stream)
        if not there:
            table.writerow(HISTORY)
        table.writerows((commit, r.chain, r.artifact, r.metric, repr(float(r.after)), r.unit, r.verdict) for r in rows)


def read_history(file: Path) -> list[dict[str, str]]:
    """Read a history file.

    Raises:
        QsmbenchError: no such file, or another table.
    """
    if not file.is_file():
        raise QsmbenchError(f"{file}: no such file; qsmbench check --history writes it")
    with file.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    if rows and tuple(rows[0]) != HISTORY:
        raise QsmbenchError(f"{file}: is not a history; its columns must be {', '.join(HISTORY)}")
    return rows


def pictures(rows: Sequence[Row], new: Path, old: Path, out: Path) -> list[Path]:
    """Draw old map, new map and their difference of each chain that got worse, on its worst scan.

    Args:
        rows: of `compare`.
        new, old: folders of the two studies.
        out: folder to write.
    """
    from qsmbench.data.folders import make_folder, read, read_params
    from qsmbench.view.picture import draw
    from qsmbench.view.volumes import save

    written: list[Path] = []
    make_folder(out)
    for row in rows:
        file = out / f"{row.chain}_{row.artifact}_{row.scan}.webp"
        if row.verdict != WORSE or file in written:
            continue
        maps = [file_of(side, row.scan, row.chain, row.artifact) for side in (new, old)]
        if all(m.is_file() for m in maps):
            grid = read_params(new / row.scan / "scan").grid
            after, before = (read(m.parent, row.artifact, grid) for m in maps)
            mask = read(new / row.scan / "scan", "mask", grid)
            unit, title = ARTIFACTS[row.artifact].unit, f"{row.chain} · {row.scan}"
            names = ("baseline", "now", "difference")
            save(draw(after, before, mask, grid, unit, title, artifact=row.artifact, names=names), file)
            written.append(file)
    return written


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as e:
        raise QsmbenchError(f"{file}: cannot be written ({e.strerror})") from e
