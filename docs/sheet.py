"""Sheets of panels: images at one scale of millimetres, with names, sides, colour bars and leader lines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from planes import SIDES, Plane

DPI = 100
GAP, TITLE, BAR, LABEL = 6, 18, 78, 22
"""Pixels: between panels, of a panel's title, of a colour bar with its numbers, of a row's name."""
INK, FAINT = "#ececec", "#9a9ca2"

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Note:
    """A name, written `away` pixels (right, down) from the point [mm] that its leader line leads to."""

    text: str
    at: Point
    away: tuple[float, float]


@dataclass(frozen=True)
class Panel:
    """An image of a plane.

    Attributes:
        plane: where it lies.
        image: rows from top to bottom; NaN is black.
        span: values that are black and white.
        title: stands above.
        colours: a colour map of matplotlib.
        notes: names in it.
        outline: of the image's shape, bool: what is circled.
    """

    plane: Plane
    image: np.ndarray
    span: tuple[float, float]
    title: str = ""
    colours: str = "gray"
    notes: tuple[Note, ...] = ()
    outline: np.ndarray | None = None

    @property
    def extent(self) -> tuple[float, float]:
        """Width and height [mm]."""
        across, up = (a for a in range(3) if a != self.plane.normal)
        return float(np.ptp(self.plane.box[across])), float(np.ptp(self.plane.box[up]))


@dataclass(frozen=True)
class Row:
    """Panels side by side.

    Attributes:
        panels: from left to right.
        label: the row's name, written upwards.
        unit: of a colour bar for the row's last panel; empty: no bar.
    """

    panels: tuple[Panel, ...]
    label: str = ""
    unit: str = ""


def draw(rows: list[Row], path: Path, width: int = 1100) -> None:
    """Draw rows of panels into an image file of at most `width` pixels."""
    zoom = min(_zoom(row, width) for row in rows)
    heights = [TITLE + round(zoom * max(p.extent[1] for p in row.panels)) for row in rows]
    wide = round(max(_left(row) + sum(zoom * p.extent[0] + GAP for p in row.panels) + _right(row) for row in rows))
    tall = sum(heights) + GAP * len(rows)
    figure = plt.figure(figsize=(wide / DPI, tall / DPI), dpi=DPI, facecolor="black")
    top = 0
    for row, height in zip(rows, heights, strict=True):
        _draw_row(figure, row, top, height, zoom, (wide, tall))
        top += height + GAP
    _save(figure, path)


def _left(row: Row) -> int:
    return LABEL if row.label else 0


def _right(row: Row) -> int:
    return BAR if row.unit else 0


def _zoom(row: Row, width: int) -> float:
    """Pixels per mm with which the row is `width` pixels wide."""
    return (width - _left(row) - _right(row) - GAP * len(row.panels)) / sum(p.extent[0] for p in row.panels)


def _draw_row(figure: Figure, row: Row, top: int, height: int, zoom: float, size: tuple[int, int]) -> None:
    wide, tall = size
    if row.label:
        place = (0.5 * LABEL / wide, 1 - (top + TITLE + (height - TITLE) / 2) / tall)
        figure.text(*place, row.label, color=INK, fontsize=8.5, rotation=90, ha="center", va="center")
    x = float(_left(row))
    for panel in row.panels:
        w, h = (zoom * e for e in panel.extent)
        axes = figure.add_axes((x / wide, 1 - (top + TITLE + h) / tall, w / wide, h / tall))
        _draw_panel(axes, panel)
        x += w + GAP
    if row.unit:
        h = 0.7 * (height - TITLE)
        bar = figure.add_axes((x / wide, 1 - (top + TITLE + 1.2 * h) / tall, 10 / wide, h / tall))
        _draw_bar(bar, row.panels[-1], row.unit)


def _draw_panel(axes: plt.Axes, panel: Panel) -> None:
    low, high = panel.span
    image = np.where(np.isnan(panel.image), low, panel.image)
    axes.imshow(image, cmap=panel.colours, vmin=low, vmax=high, interpolation="bilinear", aspect="auto")
    axes.axis("off")
    axes.set_title(panel.title, color=INK, fontsize=7.5, pad=3)
    for side, x in zip(SIDES[panel.plane.name], (0.02, 0.98), strict=True):
        align = "left" if x < 0.5 else "right"
        axes.text(x, 0.97, side, color=INK, fontsize=7, transform=axes.transAxes, ha=align, va="top")
    for note in panel.notes:
        _draw_note(axes, panel, note)
    if panel.outline is not None:
        axes.contour(panel.outline, [0.5], colors=["#ffb454"], linewidths=0.8)


def _draw_note(axes: plt.Axes, panel: Panel, note: Note) -> None:
    line = {"arrowstyle": "-", "color": "#ffb454", "linewidth": 0.7, "shrinkA": 0, "shrinkB": 0}
    axes.annotate(
        note.text,
        panel.plane.pixel_of(note.at, panel.image),
        xytext=(note.away[0], -note.away[1]),
        textcoords="offset pixels",
        color="#ffb454",
        fontsize=7.5,
        arrowprops=line,
        ha="left" if note.away[0] > 0 else "right",
        va="center",
        annotation_clip=False,
    )


def _draw_bar(axes: plt.Axes, panel: Panel, unit: str) -> None:
    low, high = panel.span
    ramp = np.linspace(high, low, 256)[:, None]
    axes.imshow(ramp, cmap=panel.colours, vmin=low, vmax=high, aspect="auto", extent=(0, 1, low, high))
    ticks = sorted({low, 0.0, high} if low < 0 else {low, high})
    axes.set_yticks(ticks, [f"{t:+.3g}".replace("-", "−") if t else "0" for t in ticks])
    axes.yaxis.tick_right()
    axes.tick_params(colors=INK, labelsize=7.5, length=3)
    axes.set_xticks([])
    axes.set_title(unit, color=FAINT, fontsize=7.5, pad=4, loc="left")


def _save(figure: Figure, path: Path) -> None:
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3]  # type: ignore[attr-defined]
    plt.close(figure)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=80, method=6)
