"""What `qsmbench conform` writes: the checks as JSON, and a page with pictures that needs no network."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from qsmbench.conform import FAIL, NOT_APPLICABLE, PASS, Check
from qsmbench.conform.checks import Picture
from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.folders import make_folder, write_json
from qsmbench.method import Method

PAGE, TABLE = "index.html", "conform.json"

_ZOOM, _GAP = 3.0, 6  # pixels per mm, and between planes


@dataclass(frozen=True)
class Row:
    """Three planes of one volume: what it is, in which span of grey, and the image as a data URI."""

    label: str
    span: str
    uri: str


def write(method: Method, settings: Mapping[str, Any], checks: Sequence[Check], out: Path) -> Path:
    """Write `conform.json` and `index.html` into a folder.

    Args:
        method: that was tried.
        settings: that differ from the defaults.
        checks: what `conform` returned.
        out: folder; made if need be.

    Returns:
        path of the page.

    Raises:
        QsmbenchError: the folder cannot be written to.
    """
    make_folder(out)
    content = {
        "method": method.name,
        "settings": dict(settings),
        "passed": passed(checks),
        "checks": [
            {"name": c.name, "question": c.question, "status": c.status, "reason": c.reason, "seconds": c.seconds}
            for c in checks
        ],
    }
    write_json(out / TABLE, content)
    page = out / PAGE
    page.write_text(_html(method, settings, checks), encoding="utf-8")
    return page


def passed(checks: Sequence[Check]) -> bool:
    """Whether no check failed."""
    return all(c.status != FAIL for c in checks)


def counted(checks: Sequence[Check]) -> str:
    """How many checks passed, failed and did not apply, in words."""
    number = {status: sum(c.status == status for c in checks) for status in (PASS, FAIL, NOT_APPLICABLE)}
    return f"{number[PASS]} passed, {number[FAIL]} failed, {number[NOT_APPLICABLE]} not applicable"


def _html(method: Method, settings: Mapping[str, Any], checks: Sequence[Check]) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(
        method=method,
        settings={**method.settings, **settings},
        checks=checks,
        summary=counted(checks),
        passed=passed(checks),
        figures={c.name: [(p.name, _rows(p)) for p in c.pictures] for c in checks},
    )


def _rows(picture: Picture) -> list[Row]:
    """Expected, found and their difference, on one scale: that of what was expected."""
    inside = picture.support
    expected, found = (np.where(inside, v.astype(float), np.nan) for v in (picture.expected, picture.found))
    low, high = float(np.nanmin(expected)), float(np.nanmax(expected))
    low, high = (low, high) if high > low else (low - 1, low + 1)
    half = (high - low) / 2
    centre = _centre(expected)
    unit = ARTIFACTS[picture.name].unit
    rows = (
        ("expected", expected, low, high),
        ("found", found, low, high),
        ("difference", found - expected, -half, half),
    )
    return [
        Row(label, f"{a:.3g} to {b:.3g} {unit}".strip(), _uri(volume, centre, picture.voxel_size, a, b))
        for label, volume, a, b in rows
    ]


def _centre(volume: np.ndarray) -> tuple[int, ...]:
    """The voxel that stands out most: planes through it show something."""
    return tuple(int(i) for i in np.unravel_index(np.nanargmax(np.abs(volume - np.nanmean(volume))), volume.shape))


def _uri(volume: np.ndarray, centre: tuple[int, ...], size: tuple[float, float, float], low: float, high: float) -> str:
    """The planes through `centre` across the last, the second and the first axis, side by side."""
    level = np.nan_to_num((volume - low) / (high - low) * 223 + 32, nan=0).clip(0, 255)  # black is outside
    planes = []
    for normal in (2, 1, 0):
        across, up = (a for a in range(3) if a != normal)
        pixels = np.take(level, centre[normal], normal).T[::-1].astype(np.uint8)
        extent = [max(round(volume.shape[a] * size[a] * _ZOOM), 1) for a in (across, up)]
        planes.append(Image.fromarray(pixels).resize((extent[0], extent[1]), Image.Resampling.NEAREST))
    width = sum(p.width for p in planes) + _GAP * (len(planes) - 1)
    sheet = Image.new("L", (width, max(p.height for p in planes)))
    x = 0
    for plane in planes:
        sheet.paste(plane, (x, (sheet.height - plane.height) // 2))
        x += plane.width + _GAP
    packed = io.BytesIO()
    sheet.save(packed, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(packed.getvalue()).decode()
