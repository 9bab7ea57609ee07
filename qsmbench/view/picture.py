"""One picture of a reconstruction: truth, reconstruction and error in three planes, on one fixed colour scale."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from qsmbench.data.artifacts import ARTIFACTS, Artifact
from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid
from qsmbench.view.planes import CONVENTION, Voxel, default_centre, location, mask_box, orthogonal
from qsmbench.view.volumes import Panel, Row, compose, save

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
    path: Path,
    title: str,
    *,
    artifact: str = "chi",
    support: np.ndarray | None = None,
    centre: Voxel | None = None,
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
        raise QsmbenchError(f"no colour scale for {artifact!r}; choose from {drawable}")
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
    point = location(default_centre(mask, grid) if centre is None else centre, grid)
    planes = orthogonal(point, mask_box(mask, grid, rim=2))
    drawn: list[Row] = []
    for label, volume, ends, colours in rows:
        titles = ("", "", "") if drawn else [p.name for p in planes]
        panels = (Panel(p, p.cut(volume, grid), ends, t, colours) for p, t in zip(planes, titles, strict=True))
        drawn.append(Row(tuple(panels), label, unit))
    save(compose(drawn, WIDTH, tallest=TALLEST, letters=LETTERS, title=title, footer=CONVENTION), path)


def _first_echo(volume: np.ndarray) -> np.ndarray:
    return volume[..., 0] if volume.ndim == 4 else volume


def _shown(volume: np.ndarray, mask: np.ndarray, artifact: Artifact) -> np.ndarray:
    """Return the values in the mask (relative to their mean if they are known up to a constant), NaN elsewhere."""
    values = volume[mask].astype(np.float64)
    shown = np.full(mask.shape, np.nan, np.float32)
    shown[mask] = values - values.mean() if not artifact.own_zero and values.size else values
    return shown
