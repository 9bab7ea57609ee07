"""Output of `qsmbench conform`: the checks as JSON, and an offline page with pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qsmbench.conform import FAIL, NOT_APPLICABLE, PASS, Check
from qsmbench.conform.checks import Picture
from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.folders import make_folder, write_json
from qsmbench.grid import Grid
from qsmbench.method import Method
from qsmbench.view.page import data_uri, render
from qsmbench.view.planes import CONVENTION, Voxel, location, mask_box, orthogonal
from qsmbench.view.volumes import Panel, Row, compose, png

PAGE, TABLE = "index.html", "conform.json"

WIDTH = 600
"""Width of a figure [pixels]."""


@dataclass(frozen=True)
class Figure:
    """Three planes of one volume: its label, its grey-scale range, and the picture as a data URI."""

    label: str
    span: str
    uri: str


def write(method: Method, settings: Mapping[str, Any], checks: Sequence[Check], out: Path) -> Path:
    """Write `conform.json` and `index.html` into a folder.

    Args:
        method: that was checked.
        settings: that differ from the defaults.
        checks: returned by `conform`.
        out: folder; created if necessary.

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
    """Say how many checks passed, failed and did not apply."""
    number = {status: sum(c.status == status for c in checks) for status in (PASS, FAIL, NOT_APPLICABLE)}
    return f"{number[PASS]} passed, {number[FAIL]} failed, {number[NOT_APPLICABLE]} not applicable"


def _html(method: Method, settings: Mapping[str, Any], checks: Sequence[Check]) -> str:
    return render(
        Path(__file__).with_name("page.html.j2"),
        method=method,
        settings={**method.settings, **settings},
        checks=checks,
        summary=counted(checks),
        passed=passed(checks),
        figures={c.name: [(p.name, _figures(p)) for p in c.pictures] for c in checks},
        convention=CONVENTION,
    )


def _figures(picture: Picture) -> list[Figure]:
    """Return the expected volume, the actual one and their difference, on the scale of the expected one."""
    expected, found = (np.where(picture.support, v.astype(float), np.nan) for v in (picture.expected, picture.found))
    low, high = float(np.nanmin(expected)), float(np.nanmax(expected))
    low, high = (low, high) if high > low else (low - 1, low + 1)
    half = (high - low) / 2
    grid = Grid(expected.shape, picture.voxel_size)
    planes = orthogonal(location(_centre(expected), grid), mask_box(np.ones(grid.shape, bool), grid))
    rows = {
        "expected": (expected, (low, high)),
        "found": (found, (low, high)),
        "difference": (found - expected, (-half, half)),
    }
    unit = ARTIFACTS[picture.name].unit
    figures = []
    for label, (volume, (black, white)) in rows.items():
        panels = tuple(Panel(plane, plane.cut(volume, grid), (black, white)) for plane in planes)
        uri = data_uri(png(compose([Row(panels)], WIDTH)), "png")
        figures.append(Figure(label, f"{black:.3g} to {white:.3g} {unit}".strip(), uri))
    return figures


def _centre(volume: np.ndarray) -> Voxel:
    """Return the voxel with the largest deviation, through which planes are drawn."""
    x, y, z = np.unravel_index(np.nanargmax(np.abs(volume - np.nanmean(volume))), volume.shape)
    return int(x), int(y), int(z)
