"""One picture of a reconstruction (truth, reconstruction and error) or of a scan, in three planes.

The planes are those closest to axial, coronal and sagittal by the affine, in radiological convention, with the
voxels' true proportions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from qsmbench.data.artifacts import ARTIFACTS, Artifact, Span
from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid
from qsmbench.view.planes import CONVENTION, Plane, Voxel, default_centre, location, mask_box, orthogonal
from qsmbench.view.volumes import Panel, Row, compose

WIDTH, TALLEST, LETTERS = 1017, 360, 13
"""Pixels: of the picture, of the tallest plane, of a letter."""


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
) -> Image.Image:
    """Draw truth, reconstruction and error in three planes, of a volume with echoes the first echo.

    The colour scale depends on the artifact only, so that all pictures can be compared.

    Args:
        estimate: (nx, ny, nz) or (nx, ny, nz, n_echoes), in `unit`.
        truth: of the same shape, in `unit`; None draws the reconstruction alone.
        mask: (nx, ny, nz) bool; what lies outside is left dark.
        grid: of them all.
        unit: stands at the colour bars.
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
        raise QsmbenchError(f"no colour scale for {artifact!r}; choose from {drawable}")
    estimate, mask = _first_echo(estimate), np.asarray(mask) != 0
    have = mask if support is None else mask & (np.asarray(support) != 0)
    if row.is_mask:
        have = mask = mask | (estimate != 0)
    if not mask.any():
        raise QsmbenchError(f"{title}: cannot draw a picture of an empty mask")
    span, far = row.scale.values, row.scale.error
    shown = _shown(estimate, have, row)
    rows = [_Volume("reconstruction", shown, span, unit)]
    if truth is not None:
        true = _shown(_first_echo(truth), mask, row)
        error = np.where(have, shown - true, np.nan)
        rows = [_Volume("truth", true, span, unit), *rows, _Volume("error", error, (-far, far), unit, "error")]
    point = location(default_centre(mask, grid) if centre is None else centre, grid)
    return _sheet(rows, orthogonal(point, mask_box(mask, grid, rim=2)), grid, title)


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
    """Draw the magnitude and the phase of one echo, and the outline of the mask on the magnitude, in three planes.

    Args:
        phase: (nx, ny, nz, n_echoes), rad; None is left out.
        magnitude: (nx, ny, nz, n_echoes), a.u., from 0 to the value that one in a thousand voxels exceeds; None is
            left out.
        mask: (nx, ny, nz) bool.
        grid: of them all.
        title: stands above.
        echo: index of the echo.
        centre: voxel through which the planes go; by default `default_centre` of the mask.
    """
    rows = []
    if magnitude is not None:
        image = magnitude[..., echo]
        top = float(np.percentile(image, 99.9)) or 1.0
        rows.append(_Volume("magnitude", image, (0.0, top), "a.u.", outline=mask))
    if phase is not None:
        rows.append(_Volume("phase", phase[..., echo], (-np.pi, np.pi), "rad"))
    point = location(default_centre(mask, grid) if centre is None else centre, grid)
    return _sheet(rows, orthogonal(point, mask_box(np.ones_like(mask), grid)), grid, title)


@dataclass(frozen=True)
class _Volume:
    """A row of a picture: its name, (nx, ny, nz) values, the ends of their colours, their unit, an outlined shape."""

    label: str
    values: np.ndarray
    span: Span
    unit: str
    colours: str = "grey"
    outline: np.ndarray | None = None


def _sheet(rows: Iterable[_Volume], planes: Iterable[Plane], grid: Grid, title: str) -> Image.Image:
    """Compose planes of volumes to a picture."""
    drawn: list[Row] = []
    for row in rows:
        panels = (
            Panel(
                plane,
                plane.cut(row.values, grid),
                row.span,
                "" if drawn else plane.name,
                row.colours,
                outline=None if row.outline is None else plane.cut(row.outline, grid),
            )
            for plane in planes
        )
        drawn.append(Row(tuple(panels), row.label, row.unit))
    return compose(drawn, WIDTH, tallest=TALLEST, letters=LETTERS, title=title, footer=CONVENTION)


def _first_echo(volume: np.ndarray) -> np.ndarray:
    return volume[..., 0] if volume.ndim == 4 else volume


def _shown(volume: np.ndarray, mask: np.ndarray, artifact: Artifact) -> np.ndarray:
    """The values in the mask (relative to their mean if they are known up to a constant), NaN elsewhere."""
    values = volume[mask].astype(np.float64)
    shown = np.full(mask.shape, np.nan, np.float32)
    shown[mask] = values - values.mean() if not artifact.own_zero and values.size else values
    return shown
