"""The mask that reconstructions are given: the true one, or one made from the scan as a user would."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator
from scipy import ndimage

from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid
from qsmbench.model import Model

WORDS: dict[str, dict[str, Any]] = {
    "true": {},
    "magnitude": {"of": "magnitude"},
    "eroded": {"erode": 2.0},
    "holes": {"holes": True},
}
"""What a single word in place of the keys stands for."""

THRESHOLD = 0.4
"""Of the median magnitude of the brightest half: below it is bone and air; assumed."""

BRIDGE_MM = 12.0
"""Half the width of what may join the brain to the scalp, and is cut; assumed."""

HOLE = 0.5
"""Of the median magnitude of the last echo in the mask: below it a voxel is left out; assumed."""


class AcquiredMask(Model):
    """How the mask is made. The truth, and its local field, keep the true one.

    One word may stand for it all: true, magnitude, eroded (by 2 mm), holes.
    """

    of: Literal["truth", "magnitude"] = Field("truth", description="magnitude: threshold, largest part, holes filled")
    erode: Annotated[float, Field(ge=0)] = Field(0, description="mm")
    holes: bool = Field(False, description="leave out what is dark in the last echo, such as veins and nuclei")

    @model_validator(mode="before")
    @classmethod
    def _word(cls, content: Any) -> Any:
        if isinstance(content, str | bool):
            word = str(content).lower()
            if word not in WORDS:
                raise ValueError(f"legal are {', '.join(WORDS)}, or the keys of, erode, holes")
            return WORDS[word]
        return content


def acquired(choice: AcquiredMask, truth: np.ndarray, magnitude: np.ndarray, grid: Grid) -> np.ndarray:
    """The mask of a scan.

    Args:
        choice: how it is made.
        truth: (nx, ny, nz) bool, the true one.
        magnitude: (nx, ny, nz, n_echoes), with its noise.
        grid: of both.

    Returns:
        (nx, ny, nz) bool.

    Raises:
        QsmbenchError: nothing is left of it.
    """
    mask = truth if choice.of == "truth" else brain(magnitude, grid)
    if choice.erode:
        mask = eroded(mask, grid, choice.erode)
    if choice.holes and mask.any():
        last = magnitude[..., -1]
        mask = mask & (last > HOLE * np.median(last[mask]))
    if not mask.any():
        raise QsmbenchError(f"mask: {choice!r} leaves no voxel; erode less, or use another mask")
    return mask


def brain(magnitude: np.ndarray, grid: Grid) -> np.ndarray:
    """The largest bright part of a head that thin bridges alone join to the rest, with its holes filled.

    Args:
        magnitude: (nx, ny, nz, n_echoes).
        grid: of the magnitude.

    Returns:
        (nx, ny, nz) bool; empty if the magnitude is zero everywhere.
    """
    combined = np.sqrt(np.mean(np.square(magnitude, dtype=np.float32), axis=-1))
    bright = combined[combined > np.median(combined)]
    if not bright.size:
        return np.zeros(combined.shape, bool)
    tissue = combined > THRESHOLD * np.median(bright[bright > np.median(bright)])
    # the edge of a slab is none of the brain, so that only what is dark counts as an end
    core = tissue if tissue.all() else ndimage.distance_transform_edt(tissue, sampling=grid.voxel_size) > BRIDGE_MM
    core = _largest(core)
    if not core.any():
        return _largest(tissue)
    grown = ndimage.distance_transform_edt(~core, sampling=grid.voxel_size) <= 1.2 * BRIDGE_MM
    return ndimage.binary_fill_holes(_largest(grown & tissue))


def eroded(mask: np.ndarray, grid: Grid, depth: float) -> np.ndarray:
    """Where the mask is at least `depth` [mm] deep, counted from its surface; beyond the grid it ends."""
    distance = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=grid.voxel_size)[1:-1, 1:-1, 1:-1]
    # distances are between middles; the surface lies half a voxel before the first one outside
    return distance >= depth + min(grid.voxel_size) / 2


def _largest(mask: np.ndarray) -> np.ndarray:
    parts, count = ndimage.label(mask)
    return parts == 1 + np.argmax(np.bincount(parts.ravel())[1:]) if count else mask
