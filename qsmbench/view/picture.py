"""One picture of a reconstruction (truth, reconstruction and error) or of a scan, in three planes.

By the affine, the planes are those closest to axial, coronal and sagittal, in radiological convention and with the true
voxel proportions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from qsmbench.data.artifacts import ARTIFACTS, Artifact, Span
from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid
from qsmbench.ops.arrays.box import bounding_box
from qsmbench.view.planes import CONVENTION, Plane, Voxel, default_centre, location, mask_box, orthogonal
from qsmbench.view.scales import reference_mean, widening
from qsmbench.view.volumes import Panel, Row, compose

WIDTH, TALLEST, LETTERS = 1017, 360, 13
"""Sizes in pixels: width of the picture, height of the tallest plane, font size."""


def can_draw(artifact: str) -> bool:
    """Whether `draw` has a colour scale for the artifact."""
    return artifact in ARTIFACTS and ARTIFACTS[artifact].scale is not None


def draw(
    estimate: np.ndarray,
    truth: np.ndarray | None,
    mask: np.ndarray,
    grid: Grid,
    unit: str,
    title: str,
    *,
    artifact: str = "chi",
    support: np.ndarray | None = None,
    centre: Voxel | None = None,
    names: tuple[str, str, str] = ("truth", "reconstruction", "error"),
) -> Image.Image:
    """Draw truth, reconstruction and error in three planes; of a volume with echoes, the first echo.

    The colour scale depends only on the artifact and the truth (see `widening`), so that pictures are comparable;
    images in arbitrary units are drawn relative to their median in the mask.

    Args:
        estimate: (nx, ny, nz) or (nx, ny, nz, n_echoes), in `unit`.
        truth: of the same shape, in `unit`; None: draw only the reconstruction.
        mask: (nx, ny, nz) bool; voxels outside are dark.
        grid: of all volumes.
        unit: label of the colour bars.
        title: of the picture.
        artifact: name of the artifact; see `can_draw`.
        support: (nx, ny, nz) bool, reconstructed voxels (by default the mask); others are dark. An `estimate` that is a
            mask is drawn in all of its own voxels and those of `mask`.
        centre: voxel that the planes pass through; by default `default_centre`.
        names: of the three rows.

    Raises:
        QsmbenchError: the mask is empty, or there is no colour scale for the artifact.
    """
    row = ARTIFACTS.get(artifact)
    if row is None or row.scale is None:
        drawable = ", ".join(name for name in ARTIFACTS if can_draw(name))
        raise QsmbenchError(f"no colour scale for {artifact!r}; choose from {drawable}")
    estimate, mask = first_echo(estimate), np.asarray(mask) != 0
    truth = None if truth is None else first_echo(truth)
    have = mask if support is None else mask & (np.asarray(support) != 0)
    if row.is_mask:
        have = mask = mask | (estimate != 0)
    if not mask.any():
        raise QsmbenchError(f"{title}: cannot draw a picture of an empty mask")
    if row.scale.relative:
        estimate, unit = _relative(estimate, have), "of the median"
        truth = None if truth is None else _relative(truth, mask)
    wider = widening(truth, mask, artifact)
    (low, high), far = row.scale.values, wider * row.scale.error
    span = wider * low, wider * high
    planes = _planes(mask_box(mask, grid, rim=2), mask, grid, centre)
    shown = _shown(estimate, have, row, planes, grid, reference_mean(truth, have, mask, artifact))
    rows = [_Row(names[1], shown, span, unit)]
    if truth is not None:
        true = _shown(truth, mask, row, planes, grid)
        error = [s - t for s, t in zip(shown, true, strict=True)]
        rows = [_Row(names[0], true, span, unit), *rows, _Row(names[2], error, (-far, far), unit, "error")]
    return _sheet(rows, planes, title)


def draw_scan(
    phase: np.ndarray | None,
    magnitude: np.ndarray | None,
    mask: np.ndarray,
    grid: Grid,
    title: str,
    *,
    echo: int = 0,
    centre: Voxel | None = None,
) -> Image.Image:
    """Draw the magnitude and the phase of one echo in three planes, with the mask outlined on the magnitude.

    Args:
        phase: (nx, ny, nz, n_echoes), rad; None: omitted.
        magnitude: (nx, ny, nz, n_echoes), a.u., scaled from 0 to its 99.9th percentile; None: omitted.
        mask: (nx, ny, nz) bool.
        grid: of all volumes.
        title: of the picture.
        echo: index of the echo.
        centre: voxel that the planes pass through; by default `default_centre` of the mask.
    """
    planes = _planes(mask_box(np.ones_like(mask), grid), mask, grid, centre)
    rows = []
    if magnitude is not None:
        image = magnitude[..., echo]
        top = float(np.percentile(image, 99.9)) or 1.0
        outlines = [plane.cut(mask, grid) for plane in planes]
        rows.append(_Row("magnitude", [p.cut(image, grid) for p in planes], (0.0, top), "a.u.", outlines=outlines))
    if phase is not None:
        rows.append(_Row("phase", [p.cut(phase[..., echo], grid) for p in planes], (-np.pi, np.pi), "rad"))
    return _sheet(rows, planes, title)


@dataclass(frozen=True)
class _Row:
    """A row of a picture: its name, an image per plane, their colour range and unit, and outlined shapes."""

    label: str
    images: Sequence[np.ndarray]
    span: Span
    unit: str
    colours: str = "grey"
    outlines: Sequence[np.ndarray | None] = (None, None, None)


def _planes(box: Any, mask: np.ndarray, grid: Grid, centre: Voxel | None) -> tuple[Plane, ...]:
    """Return the planes through a voxel (by default `default_centre` of the mask) that show a box."""
    return tuple(orthogonal(location(default_centre(mask, grid) if centre is None else centre, grid), box))


def _sheet(rows: Sequence[_Row], planes: Sequence[Plane], title: str) -> Image.Image:
    """Compose rows of images into a picture."""
    drawn: list[Row] = []
    for row in rows:
        titles = ["" if drawn else plane.name for plane in planes]
        panels = (
            Panel(plane, image, row.span, name, row.colours, outline=outline)
            for plane, image, name, outline in zip(planes, row.images, titles, row.outlines, strict=True)
        )
        drawn.append(Row(tuple(panels), row.label, row.unit))
    return compose(drawn, WIDTH, tallest=TALLEST, letters=LETTERS, title=title, footer=CONVENTION)


def first_echo(volume: np.ndarray) -> np.ndarray:
    """Return a volume, (nx, ny, nz), or the first echo of one with echoes."""
    return volume[..., 0] if volume.ndim == 4 else volume


def _shown(
    volume: np.ndarray, mask: np.ndarray, artifact: Artifact, planes: Sequence[Plane], grid: Grid, mean: float = 0.0
) -> list[np.ndarray]:
    """Return planes of a volume, with a given mean in the mask if known up to a constant; NaN outside the mask."""
    zero = 0.0 if artifact.own_zero or not mask.any() else _mean(volume, mask) - mean
    cuts = ((p.cut(volume, grid).astype(np.float64) - zero, p.cut(mask, grid)) for p in planes)
    return [np.where(inside, values, np.nan).astype(np.float32) for values, inside in cuts]


def _relative(volume: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return a volume in multiples of its median in the mask; unchanged if that is 0."""
    median = float(np.median(volume[mask])) if mask.any() else 0.0
    return volume / np.float32(median) if median else volume


def _mean(volume: np.ndarray, mask: np.ndarray) -> float:
    """Compute the mean in the mask, using only its bounding box."""
    box = bounding_box(mask)
    return float(np.array(volume[box], np.float64, order="C")[mask[box]].mean())
