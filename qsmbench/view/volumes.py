"""Volumes side by side: planes at the same scale, with names, sides, colour bars and leader lines."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from qsmbench.data.artifacts import Span
from qsmbench.view.planes import SIDES, Plane, Point

DARK, BLACK = (13, 14, 17), (0, 0, 0)
"""Background colours: one that differs from the lowest value, and one that does not."""
INK, FAINT, ACCENT = (235, 235, 235), (150, 152, 158), (255, 180, 84)
GAP, MARGIN, BAR = 8, 14, 92
"""Sizes in pixels: gap between panels, margin of the sheet, width of a colour bar with its numbers."""
NARROWEST, LOWEST = 640, 120
"""Sizes in pixels: minimum width of a sheet with a title, minimum height of a row with a colour bar."""

Colour = tuple[int, int, int]

COLOURS: dict[str, list[tuple[float, Colour]]] = {
    "grey": [(0.0, (0, 0, 0)), (1.0, (255, 255, 255))],
    "error": [
        (0.0, (178, 226, 255)),
        (0.2, (44, 130, 212)),
        (0.5, (22, 22, 24)),
        (0.8, (214, 78, 44)),
        (1.0, (255, 222, 164)),
    ],
    "blue to yellow": [
        (0.0, (0, 32, 81)),
        (0.25, (60, 77, 110)),
        (0.5, (127, 124, 117)),
        (0.75, (187, 175, 113)),
        (1.0, (253, 234, 69)),
    ],
}
"""Colour scales that do not depend on telling red from green, as levels from 0 to 1 and their colours.

That of errors is blue – dark – red, so that no error looks like the background."""


@dataclass(frozen=True)
class Note:
    """A name, written `away` pixels (right, down) from the point [mm] that its leader line marks."""

    text: str
    at: Point
    away: tuple[float, float]


@dataclass(frozen=True)
class Panel:
    """An image of a plane.

    Attributes:
        plane: position of the image.
        image: rows from top to bottom; NaN is background.
        span: values at the two ends of the colour scale.
        title: above the panel.
        colours: one of `COLOURS`.
        notes: names in the panel.
        outline: bool, of the image's shape; regions to outline.
    """

    plane: Plane
    image: np.ndarray
    span: Span
    title: str = ""
    colours: str = "grey"
    notes: tuple[Note, ...] = ()
    outline: np.ndarray | None = None


@dataclass(frozen=True)
class Row:
    """Panels side by side.

    Attributes:
        panels: from left to right.
        label: name of the row, written upwards.
        unit: of the colour bar of the last panel; None: no bar.
    """

    panels: tuple[Panel, ...]
    label: str = ""
    unit: str | None = None

    @property
    def extent(self) -> tuple[float, float]:
        """Width of all panels and height of the tallest [mm]."""
        widths, heights = zip(*(p.plane.extent for p in self.panels), strict=True)
        return sum(widths), max(heights)


def compose(
    rows: Sequence[Row],
    width: int,
    *,
    tallest: float = np.inf,
    letters: int = 10,
    title: str = "",
    footer: str = "",
    background: Colour = DARK,
) -> Image.Image:
    """Compose rows of panels into a sheet.

    Args:
        rows: from top to bottom.
        width: of the sheet, pixels; less if `tallest` limits it.
        tallest: maximum height of a panel, pixels.
        letters: font size, pixels.
        title: above the panels; cut if too long.
        footer: below the panels.
        background: colour of empty areas.

    Returns:
        the sheet.
    """
    zoom = min(min((width - _beside(r, letters)) / r.extent[0], tallest / r.extent[1]) for r in rows)
    sheet = _Sheet(rows, zoom, letters, title, footer, background)
    top = sheet.top
    for row in rows:
        sheet.draw_row(row, top)
        top += sheet.height(row) + GAP
    return sheet.finished()


def save(sheet: Image.Image, path: Path) -> None:
    """Write a sheet to a file in the format of its suffix; create its folder if necessary."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, quality=82, method=4) if path.suffix == ".webp" else sheet.save(path)


def png(sheet: Image.Image) -> bytes:
    """Return a sheet as the content of a PNG file."""
    packed = io.BytesIO()
    sheet.save(packed, "PNG", optimize=True)
    return packed.getvalue()


class _Sheet:
    """A sheet being drawn.

    Args:
        rows: rows to draw.
        zoom: pixels per mm.
        letters: font size, pixels.
        title: above the panels.
        footer: below the panels.
        background: colour of empty areas.
    """

    def __init__(
        self, rows: Sequence[Row], zoom: float, letters: int, title: str, footer: str, background: Colour
    ) -> None:
        self.zoom, self.letters, self.background = zoom, letters, background
        self.lines: list[list[tuple[float, float]]] = []  # leaders and outlines [pixel]
        self.names: list[tuple[float, float, str, str]] = []  # of notes: place [pixel], text and anchor
        size = round(1.5 * letters)
        self.top = MARGIN + (size + GAP if title else 0)
        width = max(round(zoom * r.extent[0]) + _beside(r, letters) for r in rows)
        width = max(width, NARROWEST if title else 0)
        height = self.top + sum(self.height(r) + GAP for r in rows) - GAP + MARGIN
        height += letters + GAP if footer else 0
        self.image = Image.new("RGB", (width, height), background)
        self.pen = ImageDraw.Draw(self.image)
        left = MARGIN + _label_width(rows[0], letters)
        self.pen.text((left, MARGIN), _fitted(title, width - left - MARGIN, _font(size)), INK, _font(size))
        self.pen.text((left, height - MARGIN), footer, FAINT, _font(letters), anchor="lb")

    def height(self, row: Row) -> int:
        """Return the height of a row, including the titles of its panels."""
        return self._title_height(row) + self._panel_height(row)

    def _title_height(self, row: Row) -> int:
        return self.letters + GAP if any(p.title for p in row.panels) else 0

    def _panel_height(self, row: Row) -> int:
        return max(round(self.zoom * row.extent[1]), 1 if row.unit is None else LOWEST)

    def draw_row(self, row: Row, top: int) -> None:
        """Draw the panels of a row, its name and its colour bar."""
        y, height = top + self._title_height(row), self._panel_height(row)
        x = MARGIN + _label_width(row, self.letters)
        if row.label:
            self._draw_label(row.label, (MARGIN, y), height)
        for panel in row.panels:
            x += self._draw_panel(panel, (x, y)) + GAP
        if row.unit is not None:
            self._draw_bar(row.panels[-1], row.unit, (x + GAP, y + height // 6), 2 * height // 3)

    def _draw_label(self, text: str, corner: tuple[int, int], height: int) -> None:
        """Write the name of a row upwards along its left edge."""
        width = _label_width(Row((), text), self.letters)
        strip = Image.new("RGB", (height, width), self.background)
        ImageDraw.Draw(strip).text((height / 2, width / 2), text, INK, _font(self.letters), anchor="mm")
        self.image.paste(strip.rotate(90, expand=True), corner)

    def _draw_panel(self, panel: Panel, corner: tuple[int, int]) -> int:
        """Draw a panel with its title, its sides, its notes and its outline; return its width."""
        x, y = corner
        width, height = (max(round(self.zoom * e), 1) for e in panel.plane.extent)
        image = Image.fromarray(_coloured(panel.image, panel.span, panel.colours, self.background))
        self.image.paste(image.resize((width, height), Image.Resampling.BILINEAR), corner)
        font = _font(self.letters)
        self.pen.text((x + width / 2, y - GAP // 2), panel.title, INK, font, anchor="ms")
        for side, at, anchor in zip(SIDES[panel.plane.name], (x + 3, x + width - 3), ("lt", "rt"), strict=True):
            self.pen.text((at, y + GAP), side, INK, font, anchor=anchor)
        self._note(panel, corner, (width, height))
        return width

    def _note(self, panel: Panel, corner: tuple[int, int], size: tuple[int, int]) -> None:
        """Store the notes and the outline of a panel, to be drawn after all panels."""
        (x, y), (width, height) = corner, size
        for note in panel.notes:
            across, down = panel.plane.position(note.at)
            point = x + across * width, y + down * height
            name = point[0] + note.away[0], point[1] + note.away[1]
            self.lines.append([point, name])
            self.names.append((*name, note.text, "lm" if note.away[0] > 0 else "rm"))
        if panel.outline is not None:
            rows, columns = panel.outline.shape
            for line in _outlines(panel.outline):
                self.lines.append([(x + (c + 0.5) * width / columns, y + (r + 0.5) * height / rows) for r, c in line])

    def _draw_bar(self, panel: Panel, unit: str, corner: tuple[int, int], height: int) -> None:
        """Draw a colour bar with its ends, its zero and its unit."""
        (x, y), (low, high) = corner, panel.span
        ramp = np.linspace(high, low, height)[:, None].repeat(14, axis=1)
        self.image.paste(Image.fromarray(_coloured(ramp, panel.span, panel.colours, self.background)), (x, y))
        self.pen.rectangle((x - 1, y - 1, x + 14, y + height), outline=FAINT)
        for value in sorted({low, high} | ({0.0} if low < 0 < high else set())):
            at = y + (high - value) / (high - low) * (height - 1)
            text = f"{value:+.3g}".replace("-", "−") if value else "0"
            self.pen.line((x + 15, at, x + 19, at), fill=FAINT)
            self.pen.text((x + 23, at), text, INK, _font(self.letters), anchor="lm")
        self.pen.text((x, y - GAP), unit, FAINT, _font(self.letters), anchor="lb")

    def finished(self) -> Image.Image:
        """Return the sheet with notes and outlines, which may extend beyond their panels; lines are anti-aliased."""
        if self.lines:
            fine = 4
            cover = Image.new("L", (self.image.width * fine, self.image.height * fine))
            pen = ImageDraw.Draw(cover)
            for line in self.lines:
                pen.line([(fine * x, fine * y) for x, y in line], fill=255, width=fine)
            self.image.paste(ACCENT, mask=cover.reduce(fine))
        for x, y, text, anchor in self.names:
            self.pen.text((x, y), text, ACCENT, _font(self.letters), anchor=anchor)
        return self.image


def _label_width(row: Row, letters: int) -> int:
    return letters + GAP if row.label else 0


def _beside(row: Row, letters: int) -> int:
    """Return the width of a row without its panels [pixels]."""
    gaps = GAP * (len(row.panels) - 1)
    return 2 * MARGIN + _label_width(row, letters) + gaps + (0 if row.unit is None else 2 * GAP + BAR)


def _outlines(shape: np.ndarray) -> list[np.ndarray]:
    """Return the outlines of a shape as rows and columns."""
    from skimage.measure import find_contours

    return list(find_contours(np.asarray(shape, float), 0.5))


def _coloured(values: np.ndarray, span: Span, colours: str, background: Colour) -> np.ndarray:
    """Return values on a colour scale as RGB, uint8; NaN becomes background."""
    level = np.clip((values - span[0]) / (span[1] - span[0]), 0, 1)
    index = np.where(np.isnan(level), 0, level * 255).round().astype(np.uint8)
    rgb = _colour_table(colours)[index]
    rgb[np.isnan(values)] = background
    return rgb


@cache
def _colour_table(colours: str) -> np.ndarray:
    """Return a colour scale, (256, 3) uint8."""
    stops, anchors = zip(*COLOURS[colours], strict=True)
    level = np.linspace(0, 1, 256)
    red, green, blue = (np.interp(level, stops, channel) for channel in zip(*anchors, strict=True))
    return np.stack([red, green, blue], axis=1).round().astype(np.uint8)


def _fitted(text: str, width: int, font: ImageFont.FreeTypeFont) -> str:
    """Return the text, shortened with an ellipsis if it is wider than `width` pixels."""
    text = " ".join(text.split())
    while len(text) > 1 and font.getlength(text) > width:
        text = text[:-2] + "…"
    return text


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """Return the sans-serif font that matplotlib includes, so that it is available on every machine."""
    import matplotlib

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)
