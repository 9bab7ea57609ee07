"""One picture of a reconstruction: truth, reconstruction and error in three planes, on one fixed colour scale."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from qsmbench.data.artifacts import ARTIFACTS, Artifact, Span
from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid
from qsmbench.view.planes import Centre, _axes, _bounds, _ras, _to_ras, default_centre

PLANES = ("axial", "coronal", "sagittal")
CONVENTION = "Radiological convention: the patient's right is on the left of the picture."

_WIDTH, _ROW, _GAP, _MARGIN = 860, 360, 8, 14  # pixels: of the three planes, of the tallest row, between, around
_BAR = 92  # pixels: colour bar with its numbers
_BACKGROUND, _INK, _FAINT = (13, 14, 17), (235, 235, 235), (150, 152, 158)


def can_draw(artifact: str) -> bool:
    """Whether `draw` has a colour scale for the artifact."""
    return artifact in ARTIFACTS and ARTIFACTS[artifact].scale is not None


def draw(
    estimate: np.ndarray,
    truth: np.ndarray | None,
    mask: np.ndarray,
    grid: Grid,
    unit: str,
    path: Path,
    title: str,
    *,
    artifact: str = "chi",
    support: np.ndarray | None = None,
    centre: Centre | None = None,
) -> None:
    """Draw truth, reconstruction and error in three planes into an image file, of a volume with echoes the first echo.

    The planes are those closest to axial, coronal and sagittal by the affine, in radiological convention, with the
    voxels' true proportions. The colour scale depends on the artifact only, so that all pictures can be compared.

    Args:
        estimate: (nx, ny, nz) or (nx, ny, nz, n_echoes), in `unit`.
        truth: of the same shape, in `unit`; None draws the reconstruction alone.
        mask: (nx, ny, nz) bool; what lies outside is left dark.
        grid: of them all.
        unit: stands at the colour bars.
        path: the picture; its ending says the format (such as `.webp`).
        title: stands above.
        artifact: what `estimate` is; one that `can_draw` knows.
        support: (nx, ny, nz) bool, voxels that were reconstructed (by default the mask); others are left dark. An
            `estimate` that is a mask itself is drawn in all voxels that it or `mask` holds.
        centre: voxel through which the planes go; by default `default_centre`.

    Raises:
        QsmbenchError: the mask is empty, or there is no colour scale for the artifact.
    """
    row = ARTIFACTS.get(artifact)
    if row is None or row.scale is None:
        drawable = ", ".join(name for name in ARTIFACTS if can_draw(name))
        raise QsmbenchError(f"no colour scale for {artifact!r}; there are {drawable}")
    estimate, mask = _first_echo(estimate), np.asarray(mask) != 0
    have = mask if support is None else mask & (np.asarray(support) != 0)
    if row.is_mask:
        have = mask = mask | (estimate != 0)
    if not mask.any():
        raise QsmbenchError(f"{path}: cannot draw a picture of an empty mask")
    span, far = row.scale.values, row.scale.error
    shown = _shown(estimate, have, row)
    rows = [("reconstruction", shown, span, "grey")]
    if truth is not None:
        true = _shown(_first_echo(truth), mask, row)
        error = np.where(have, shown - true, np.nan)
        rows = [("truth", true, span, "grey"), *rows, ("error", error, (-far, far), "error")]
    box = _planes_box(mask, grid)
    point = _to_ras(np.array(centre if centre is not None else default_centre(mask, grid)), grid)
    panels = [[_panel(v, grid, box, point, plane, span, c) for plane in range(3)] for _, v, span, c in rows]
    picture = _compose(panels, [(name, span, c) for name, _, span, c in rows], unit, title)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, quality=82, method=3) if path.suffix == ".webp" else picture.save(path)


def _first_echo(volume: np.ndarray) -> np.ndarray:
    return volume[..., 0] if volume.ndim == 4 else volume


def _shown(volume: np.ndarray, mask: np.ndarray, artifact: Artifact) -> np.ndarray:
    """The values in the mask (relative to their mean if they are known up to a constant), NaN elsewhere."""
    values = volume[mask].astype(np.float64)
    shown = np.full(mask.shape, np.nan, np.float32)
    shown[mask] = values - values.mean() if not artifact.own_zero and values.size else values
    return shown


def _planes_box(mask: np.ndarray, grid: Grid) -> tuple[slice, ...]:
    """The box of the mask along the axes of the patient, with a rim of two voxels."""
    turned = _ras(mask, grid)
    low, high = _bounds(turned)
    return tuple(slice(max(a - 2, 0), min(b + 3, n)) for a, b, n in zip(low, high, turned.shape, strict=True))


def _panel(
    volume: np.ndarray,
    grid: Grid,
    box: tuple[slice, ...],
    point: np.ndarray,
    plane: int,
    span: Span,
    colours: str,
) -> tuple[Image.Image, Span]:
    """One plane as an image of one pixel a voxel, and its width and height [mm]."""
    size = [grid.voxel_size[a] for a in _axes(grid)]
    normal = (2, 1, 0)[plane]
    across, up = ((0, 1), (0, 2), (1, 2))[plane]
    cut: list[slice | int] = list(box)
    cut[normal] = int(point[normal])
    # Columns run from the patient's right (or front) to left (or back), rows from top to bottom.
    values = _ras(volume, grid)[tuple(cut)].T[::-1, ::-1]
    image = Image.fromarray(_coloured(values, span, colours))
    return image, (values.shape[1] * size[across], values.shape[0] * size[up])


def _coloured(values: np.ndarray, span: Span, colours: str) -> np.ndarray:
    """RGB, uint8, of values on a colour scale; NaN becomes background."""
    level = np.clip((values - span[0]) / (span[1] - span[0]), 0, 1)
    index = np.where(np.isnan(level), 0, level * 255).round().astype(np.uint8)
    rgb = _table(colours)[index]
    rgb[np.isnan(values)] = _BACKGROUND
    return rgb


@cache
def _table(colours: str) -> np.ndarray:
    """(256, 3) uint8: grey, or for errors blue – dark – red, so that no error looks like the background."""
    if colours == "grey":
        return np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    stops = [0.0, 0.2, 0.5, 0.8, 1.0]
    anchors = np.array([(178, 226, 255), (44, 130, 212), (22, 22, 24), (214, 78, 44), (255, 222, 164)])
    level = np.linspace(0, 1, 256)
    return np.stack([np.interp(level, stops, anchors[:, i]) for i in range(3)], axis=1).round().astype(np.uint8)


def _compose(
    panels: list[list[tuple[Image.Image, Span]]], rows: list[tuple[str, Span, str]], unit: str, title: str
) -> Image.Image:
    """Set the panels, their names and the colour bars on one sheet."""
    extents = [extent for _, extent in panels[0]]
    tallest = max(h for _, h in extents)
    zoom = min((_WIDTH - 2 * _GAP) / sum(w for w, _ in extents), _ROW / tallest)  # pixels per mm
    widths, height = [max(round(w * zoom), 1) for w, _ in extents], max(round(tallest * zoom), 120)
    left, top = _MARGIN + 26, _MARGIN + 54
    total = max(left + sum(widths) + 3 * _GAP + _BAR + _MARGIN, 640)
    sheet = Image.new("RGB", (total, top + len(rows) * (height + _GAP) + 24 + _MARGIN), _BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    pen.text((left, _MARGIN), _fitted(title, total - left - _MARGIN), _INK, _font(19))
    x = left
    for plane, width in zip(PLANES, widths, strict=True):
        pen.text((x + width / 2, top - 10), plane, _FAINT, _font(13), anchor="ms")
        x += width + _GAP
    for i, (name, span, colours) in enumerate(rows):
        y = top + i * (height + _GAP)
        _row(sheet, panels[i], (left, y), widths, height, zoom)
        _sideways(sheet, name, (_MARGIN, y), height)
        _bar(sheet, (left + sum(widths) + 3 * _GAP, y), height, span, colours, unit)
    pen.text((left, sheet.height - _MARGIN), CONVENTION, _FAINT, _font(12), anchor="lb")
    return sheet


def _row(
    sheet: Image.Image,
    panels: list[tuple[Image.Image, Span]],
    corner: tuple[int, int],
    widths: list[int],
    height: int,
    zoom: float,
) -> None:
    """Set the three planes of one volume side by side, with the sides of the patient marked."""
    pen = ImageDraw.Draw(sheet)
    x, y = corner
    for plane, ((image, (_, tall)), width) in enumerate(zip(panels, widths, strict=True)):
        scaled = image.resize((width, max(round(tall * zoom), 1)), Image.Resampling.BILINEAR)
        sheet.paste(scaled, (x, y + (height - scaled.height) // 2))
        first, last = ("A", "P") if PLANES[plane] == "sagittal" else ("R", "L")
        for mark, at, anchor in ((first, x + 3, "lm"), (last, x + width - 3, "rm")):
            pen.text((at, y + 16), mark, _INK, _font(14), anchor=anchor)
        x += width + _GAP


def _sideways(sheet: Image.Image, text: str, corner: tuple[int, int], height: int) -> None:
    """Write the name of a row upwards along its left edge."""
    strip = Image.new("RGB", (height, 22), _BACKGROUND)
    ImageDraw.Draw(strip).text((height / 2, 11), text, _INK, _font(14), anchor="mm")
    sheet.paste(strip.rotate(90, expand=True), corner)


def _bar(sheet: Image.Image, corner: tuple[int, int], height: int, span: Span, colours: str, unit: str) -> None:
    """Draw a colour bar with its ends, its zero and its unit."""
    pen = ImageDraw.Draw(sheet)
    x, y, tall = corner[0], corner[1] + height // 6, 2 * height // 3
    ramp = np.linspace(span[1], span[0], tall)[:, None].repeat(14, axis=1)
    sheet.paste(Image.fromarray(_coloured(ramp, span, colours)), (x, y))
    pen.rectangle((x - 1, y - 1, x + 14, y + tall), outline=_FAINT)
    for value in sorted({span[0], 0.0, span[1]}):
        at = y + (span[1] - value) / (span[1] - span[0]) * (tall - 1)
        pen.line((x + 15, at, x + 19, at), fill=_FAINT)
        pen.text((x + 23, at), f"{value:+.3g}".replace("-", "−") if value else "0", _INK, _font(13), anchor="lm")
    pen.text((x, y - 8), unit, _FAINT, _font(13), anchor="lb")


def _fitted(text: str, width: int) -> str:
    """The text, cut with an ellipsis where it would be wider than `width` pixels."""
    text = " ".join(text.split())
    while len(text) > 1 and _font(19).getlength(text) > width:
        text = text[:-2] + "…"
    return text


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """The sans-serif face that matplotlib brings along, so that it is there on every machine."""
    import matplotlib

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)
