"""Panels with axes as SVG, which uses the text colour of the page, so that it is legible on light and dark backgrounds.

Lengths are in pixels, 96 per inch. Colours, line widths and font sizes are in the page's style sheet.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from markupsafe import escape

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_LETTER = 6.6
"""Mean width of a 12 px character in names and numbers [px]."""


def ticks(low: float, high: float, most: int) -> list[float]:
    """Return at most `most` + 1 round numbers between two values, evenly spaced."""
    if not high > low or most < 1:
        return [low]
    scale = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(s * scale for s in _STEPS if s * scale >= (high - low) / most * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def tick_labels(values: Sequence[float]) -> list[str]:
    """Format round numbers with the digits that distinguish them, and minus signs (−)."""
    largest = max(map(abs, values), default=0.0)
    if largest >= 1e6 or 0 < largest < 1e-6:
        return [f"{v:.3g}".replace("-", "−") for v in values]
    digits = next((d for d in range(12) if all(_is_written(v, d, largest) for v in values)), 12)
    return [f"{v + 0.0:.{digits}f}".replace("-", "−") for v in (0.0 if abs(v) < 1e-12 else v for v in values)]


def _is_written(value: float, digits: int, largest: float) -> bool:
    return abs(round(value, digits) - value) <= 1e-9 * largest


def fitting_ticks(low: float, high: float, width: float, most: int) -> tuple[list[float], list[str]]:
    """Return the ticks of an axis of the given width, as many as their labels fit, and the labels."""
    for count in range(most, 0, -1):
        values = ticks(low, high, count)
        labels = tick_labels(values)
        if sum(map(len, labels)) * _LETTER + 12 * len(labels) <= width:
            return values, labels
    return [], []


def gap_between(labels: Iterable[str]) -> float:
    """Return the gap of panels side by side at which labels at the ends of their axes do not touch."""
    return max(24.0, 8 + _LETTER * max(map(len, labels), default=0))


def names_width(names: Iterable[str]) -> float:
    """Return the width of the names next to an axis."""
    return 16 + 7.1 * max(map(len, names))


@dataclass
class Panel:
    """A panel with its ranges and marks; marks outside the ranges are clipped.

    Attributes:
        width, height: of the plot area.
        x, y: values at the left and right, and at the bottom and top.
        title: top left.
        hint: top right.
    """

    width: float
    height: float
    x: tuple[float, float]
    y: tuple[float, float]
    title: str = ""
    hint: str = ""
    inside: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    def across(self, value: float) -> float:
        """Return the horizontal position of a value of x."""
        return self.width * (value - self.x[0]) / (self.x[1] - self.x[0])

    def down(self, value: float) -> float:
        """Return the vertical position of a value of y."""
        return self.height * (self.y[1] - value) / (self.y[1] - self.y[0])

    def lines(self, segments: Iterable[Sequence[tuple[float, float]]], style: str = "", colour: str = "") -> None:
        """Draw lines through points, in the colour of the axes or a given one."""
        parts = ("L".join(f"{self.across(x):.1f} {self.down(y):.1f}" for x, y in line) for line in segments)
        path = "".join(f"M{p}" for p in parts)
        ink = f' fill="none" stroke="{colour}"' if colour else ""
        name = f' class="{style}"' if style else ""
        if path:
            self.inside.append(f'<path{name}{ink} d="{path}"/>')

    def area(self, corners: Iterable[tuple[float, float]], style: str) -> None:
        """Fill a polygon."""
        path = "L".join(f"{self.across(x):.1f} {self.down(y):.1f}" for x, y in corners)
        self.inside.append(f'<path class="{style}" d="M{path}Z"/>')

    def points(self, places: Iterable[tuple[float, float]]) -> None:
        """Draw points."""
        self.inside += [f'<circle cx="{self.across(x):.1f}" cy="{self.down(y):.1f}" r="2.8"/>' for x, y in places]

    def mark(self, x: float, y: float, colour: str, shape: int) -> None:
        """Draw a circle, a square, a triangle, a diamond or a triangle that points down."""
        a, b = self.across(x), self.down(y)
        drawn = (
            f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2.7" fill="{colour}"/>',
            f'<path fill="{colour}" d="M{a - 2.6:.1f} {b - 2.6:.1f}h5.2v5.2h-5.2z"/>',
            f'<path fill="{colour}" d="M{a - 3.2:.1f} {b + 2.6:.1f}h6.4l-3.2 -5.8z"/>',
            f'<path fill="{colour}" d="M{a:.1f} {b - 3.6:.1f}l3.3 3.6l-3.3 3.6l-3.3 -3.6z"/>',
            f'<path fill="{colour}" d="M{a - 3.2:.1f} {b - 2.6:.1f}h6.4l-3.2 5.8z"/>',
        )
        self.inside.append(drawn[shape % len(drawn)])

    def bars(self, lengths: Sequence[float]) -> None:
        """Draw horizontal bars from 0, at the heights 0, 1, …"""
        for y, length in enumerate(lengths):
            top, width = self.down(y) - 0.3 * self._row, self.across(length) - self.across(0)
            self.inside.append(
                f'<rect class="bar" x="{self.across(0):.1f}" y="{top:.1f}" '
                f'width="{width:.1f}" height="{0.6 * self._row:.1f}"/>'
            )

    def beyond(self, y: float, *, right: bool) -> None:
        """Draw an arrow at the left or right border."""
        tip, back = (self.width + 4, -7) if right else (-4.0, 7)
        self.outside.append(f'<path fill="#c9524e" d="M{tip:.1f} {self.down(y):.1f}l{back} -4v8z"/>')

    @property
    def _row(self) -> float:
        return abs(self.height / (self.y[1] - self.y[0]))

    def axes(
        self,
        x: tuple[Sequence[float], Sequence[str]],
        y: tuple[Sequence[float], Sequence[str]],
        *,
        names: bool = True,
        above: bool = False,
    ) -> str:
        """Return the panel with its ticks, given as positions and labels.

        Args:
            x, y: the ticks.
            names: whether to show the labels of y.
            above: whether to repeat the labels of x above the panel.
        """
        w, h = self.width, self.height
        columns = [f"{self.across(v):.1f}" for v in x[0]]
        rows = [f"{self.down(v):.1f}" for v in y[0]]
        grid = "".join(f"M{c} 0V{h:.1f}" for c in columns) + "".join(f"M0 {r}H{w:.1f}" for r in rows)
        parts = [f'<path class="grid" d="{grid}"/>', f'<path class="frame" d="M0 0V{h:.1f}H{w:.1f}"/>']
        parts += [f'<svg width="{w:.1f}" height="{h:.1f}">{"".join(self.inside)}</svg>', *self.outside]
        if self.title:
            parts.append(f'<text y="{-24 if above else -7}">{escape(self.title)}</text>')
        if self.hint:
            parts.append(f'<text class="hint" x="{w:.1f}" y="{-24 if above else -7}">{escape(self.hint)}</text>')
        for label_y in (h + 15, -7)[: 2 if above else 1]:
            labels = zip(columns, x[1], strict=True)
            parts += [f'<text class="x" x="{c}" y="{label_y:.1f}">{escape(label)}</text>' for c, label in labels]
        if names:
            labels = zip(rows, y[1], strict=True)
            parts += [f'<text class="y" x="-7" y="{r}" dy=".35em">{escape(label)}</text>' for r, label in labels]
        return "".join(parts)


@dataclass(frozen=True)
class Layout:
    """Panels of the same size in rows, with margins around each row.

    Attributes:
        width, height: of a panel.
        across: panels per row.
        left, top, bottom: margins to the left of the first panel of a row, and above and below each panel.
        gap: between panels of a row.
    """

    width: float
    height: float
    across: int
    left: float
    top: float = 28.0
    bottom: float = 26.0
    gap: float = 24.0

    def svg(self, panels: Sequence[str], label: str, beside: Sequence[str] = ()) -> str:
        """Return the panels as an SVG element.

        Args:
            panels: their content.
            label: for screen readers.
            beside: content to the left of each row.
        """
        across = min(self.across, len(panels))
        row = self.top + self.height + self.bottom
        width = self.left + across * self.width + (across - 1) * self.gap + 20
        height = -(-len(panels) // across) * row
        parts = []
        for i, content in enumerate(panels):
            x = self.left + (i % across) * (self.width + self.gap)
            parts.append(f'<g transform="translate({x:.1f} {i // across * row + self.top:.1f})">{content}</g>')
        for i, content in enumerate(beside):
            parts.append(f'<g transform="translate(0 {i * row + self.top:.1f})">{content}</g>')
        size = f'viewBox="0 0 {width:.0f} {height:.0f}" style="width:{width:.0f}px"'
        return f'<svg role="img" aria-label="{escape(label)}" {size}>{"".join(parts)}</svg>'
