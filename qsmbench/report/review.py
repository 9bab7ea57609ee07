"""The page of a review: each claim with its verdict, effect and picture, as offline HTML and CSV."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from qsmbench.data.folders import make_folder
from qsmbench.report._charts import ROW
from qsmbench.report._svg import Layout, Panel, fitting_ticks, names_width
from qsmbench.view.page import data_uri, render
from qsmbench.view.planes import CONVENTION

VERDICTS = {
    "supported": "the effect and its interval agree with the claim",
    "contradicted": "the effect and its interval disagree with the claim",
    "undecided": "the interval allows both, an assumed input would change the verdict, or there are too few subjects",
    "failed": "the experiment could not be computed",
    "not run": "no experiment with these phantoms and methods can speak to the claim, or its study has yet to run",
}
"""Meaning of the verdicts, in the order of the page."""

LIMIT = 1e6
"""Largest number that is drawn."""

WIDTH = 380
"""Width of a panel, px."""

LETTERS = 56
"""Letters that fit above a panel."""


@dataclass(frozen=True)
class Effect:
    """An estimate with its interval.

    Attributes:
        label: which comparison it is.
        by: chain or variant that it was computed with.
        quantity, unit: what it is.
        value, low, high: the estimate and its 95 % interval; NaN if there is none.
        n: number of subjects.
        margin: values that support the claim.
        verdict: of this comparison.
        note: about it.
    """

    label: str
    by: str
    quantity: str
    unit: str
    value: float
    low: float
    high: float
    n: int
    margin: tuple[float, float]
    verdict: str
    note: str = ""

    @property
    def text(self) -> str:
        """The estimate and its interval."""
        return _with_interval(self.value, self.low, self.high, self.unit)

    @property
    def wanted(self) -> str:
        """The margin in words."""
        low, high = self.margin
        if math.isinf(low) and math.isinf(high):
            return ""
        if math.isinf(high):
            return f"above {_number(low)}"
        return f"below {_number(high)}" if math.isinf(low) else f"{_number(low)} to {_number(high)}"


@dataclass(frozen=True)
class Line:
    """A claim with its verdict.

    Attributes:
        id, number, claim, place, kind, published, caveat: of the claim.
        verdict: one of `VERDICTS`.
        experiment: name of the study and what it scans.
        effects: of the chain that decides, one per comparison.
        others: effects of the other chains and variants.
        rests_on: assumed inputs.
        flips: assumed inputs that change the verdict.
        reason: why there is none.
        picture: WebP of the map that decided, if there is one.
    """

    id: str
    number: int
    claim: str
    place: str
    kind: str
    verdict: str
    published: str = ""
    caveat: str = ""
    experiment: str = ""
    effects: Sequence[Effect] = ()
    others: Sequence[Effect] = ()
    rests_on: Sequence[str] = ()
    flips: Sequence[str] = ()
    reason: str = ""
    picture: Path | None = None

    @property
    def every(self) -> list[Effect]:
        """All effects, those that decide first."""
        return [*self.effects, *self.others]


@dataclass(frozen=True)
class Value:
    """A mean over subjects in a table.

    Attributes:
        value, low, high: the mean and its 95 % interval; NaN if there is none.
        n: number of subjects.
    """

    value: float
    low: float
    high: float
    n: int

    @property
    def text(self) -> str:
        """The mean and its interval."""
        return _with_interval(self.value, self.low, self.high)


@dataclass(frozen=True)
class Comparison:
    """A table of the review, measured: kinds of image beside each other.

    Attributes:
        title, place, caveat: of the table.
        images: name of each image, and what it is made from.
        rows: what is measured, its unit, the field strength, and the value of each image that has one.
    """

    title: str
    place: str
    caveat: str
    images: Sequence[tuple[str, str]]
    rows: Sequence[tuple[str, str, str, Mapping[str, Value]]]


def write_review(
    lines: Sequence[Line], out: Path, *, review: str, scale: str, tables: Sequence[Comparison] = ()
) -> Path:
    """Write `index.html`, `claims.csv` and, if there are tables, `tables.csv`; return the page.

    Args:
        lines: the claims.
        out: folder.
        review: citation of the review.
        scale: how large the studies are, in words.
        tables: tables of the review.

    Raises:
        QsmbenchError: `out` cannot be written to.
    """
    make_folder(out)
    order = list(VERDICTS)
    shown = sorted(lines, key=lambda line: (order.index(line.verdict) == len(order) - 1, line.number, line.id))
    pictures = {x.id: data_uri(x.picture.read_bytes(), "webp") for x in shown if x.picture and x.picture.is_file()}
    charts = {x.id: Markup(_chart(x)) for x in shown if any(math.isfinite(e.value) for e in x.effects)}
    content = {
        "lines": shown,
        "tables": tables,
        "verdicts": VERDICTS,
        "counts": {v: sum(x.verdict == v for x in lines) for v in VERDICTS},
        "review": review,
        "scale": scale,
        "pictures": pictures,
        "charts": charts,
        "convention": CONVENTION,
    }
    page = out / "index.html"
    page.write_text(render(Path(__file__).with_name("review.html.j2"), **content), encoding="utf-8")
    _write_csv(shown, out / "claims.csv")
    if tables:
        _write_tables(tables, out / "tables.csv")
    return page


def _chart(line: Line) -> str:
    """Draw a panel for each comparison: a row for each chain and variant, and the margin as dashed lines."""
    panels: list[str] = []
    every = line.every
    rows = list(dict.fromkeys(e.by for e in every))
    for own in line.effects:
        mine = [e for e in every if (e.label, e.quantity) == (own.label, own.quantity) and math.isfinite(e.value)]
        ends = [v for e in mine for v in (e.value, e.low, e.high) if abs(v) < LIMIT]
        ends += [v for v in own.margin if math.isfinite(v)]
        if not ends:
            continue
        reach = 0.08 * ((max(ends) - min(ends)) or abs(ends[0]) or 1.0)
        x = min(ends) - reach, max(ends) + reach
        unit = f" [{own.unit}]" if own.unit else ""
        title = (own.label or own.quantity)[: LETTERS - len(unit)] + unit
        hint = own.wanted if len(title) + len(own.wanted) < LETTERS else ""
        panel = Panel(WIDTH, ROW * len(rows) + 9, x, (len(rows) - 0.275, -0.725), title, hint)
        for edge in own.margin:
            if math.isfinite(edge):
                panel.lines([[(edge, -0.7), (edge, len(rows) - 0.3)]], "identity")
        for e in mine:
            y = rows.index(e.by)
            if math.isfinite(e.low + e.high):
                panel.lines([[(max(e.low, x[0]), y), (min(e.high, x[1]), y)]])
            panel.points([(e.value, y)])
        panels.append(
            panel.axes(fitting_ticks(*x, panel.width, 5), (range(len(rows)), rows), names=len(panels) % 2 == 0)
        )
    if not panels:
        return ""
    layout = Layout(WIDTH, ROW * len(rows) + 9, 2, min(names_width(rows), 420))
    return layout.svg(panels, f"{line.id}: effects with their intervals")


def _write_csv(lines: Sequence[Line], file: Path) -> None:
    with file.open("w", newline="", encoding="utf-8") as opened:
        table = csv.writer(opened)
        heads = ("number", "id", "claim", "kind", "verdict", "comparison", "by", "decides", "quantity", "unit")
        table.writerow(
            [*heads, "effect", "low", "high", "subjects", "margin", "comparison_verdict", "note", "rests_on"]
        )
        for x in lines:
            about = [x.number, x.id, x.claim, x.kind, x.verdict]
            rests = "; ".join([*x.rests_on, *(f"changes the verdict: {f}" for f in x.flips)])
            if not x.effects:
                table.writerow([*about, *[""] * 11, x.reason, rests])
            for decides, effects in (("yes", x.effects), ("no", x.others)):
                for e in effects:
                    numbers = ["" if math.isnan(v) else f"{v:.6g}" for v in (e.value, e.low, e.high)]
                    what = [e.label, e.by, decides, e.quantity, e.unit, *numbers, e.n, e.wanted, e.verdict, e.note]
                    table.writerow([*about, *what, rests])


def _write_tables(tables: Sequence[Comparison], file: Path) -> None:
    with file.open("w", newline="", encoding="utf-8") as opened:
        written = csv.writer(opened)
        written.writerow(["table", "quantity", "unit", "field_strength", "image", "value", "low", "high", "subjects"])
        for table in tables:
            for label, unit, b0, values in table.rows:
                for image, x in values.items():
                    numbers = ["" if math.isnan(v) else f"{v:.6g}" for v in (x.value, x.low, x.high)]
                    written.writerow([table.title, label, unit, b0, image, *numbers, x.n])


def _with_interval(value: float, low: float, high: float, unit: str = "") -> str:
    if math.isnan(value):
        return "–"
    ends = f" ({_number(low)} to {_number(high)})" if math.isfinite(low + high) else ""
    return f"{_number(value)}{ends} {unit}".strip()


def _number(value: float) -> str:
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:.3g}".replace("-", "−")
