"""The mask given to the methods: the true mask, or one computed from the scan as a user would."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from qsmbench.data.masks import brain, deeper_than
from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid
from qsmbench.typed_yaml import Model

WORDS: dict[str, dict[str, Any]] = {
    "true": {},
    "magnitude": {"of": "magnitude"},
    "eroded": {"erode": 2.0},
    "holes": {"holes": True},
}
"""Keys that each word is an abbreviation of."""


HOLE = 0.5
"""Fraction of the median magnitude of the last echo in the mask, below which voxels are excluded; assumed."""


class AcquiredMask(Model):
    """The mask of a scan. The truth and its local field use the true mask.

    A single word can be used instead of the keys: true, magnitude, eroded (by 2 mm), holes.
    """

    of: Literal["truth", "magnitude"] = Field(
        "truth", description="truth: the true mask; magnitude: threshold, largest part, holes filled"
    )
    erode: Annotated[float, Field(ge=0)] = Field(0, description="depth to erode the mask by, mm")
    holes: bool = Field(False, description="exclude voxels that are dark in the last echo, such as veins and nuclei")

    @model_validator(mode="before")
    @classmethod
    def _word(cls, content: Any) -> Any:
        if isinstance(content, str | bool):
            word = str(content).lower()
            if word not in WORDS:
                raise ValueError(f"choose from {', '.join(WORDS)}, or the keys of, erode, holes")
            return WORDS[word]
        return content


def acquired(choice: AcquiredMask, truth: np.ndarray, magnitude: np.ndarray, grid: Grid) -> np.ndarray:
    """Compute the mask of a scan.

    Args:
        choice: kind of mask.
        truth: (nx, ny, nz) bool, the true mask.
        magnitude: (nx, ny, nz, n_echoes), with noise.
        grid: of both.

    Returns:
        (nx, ny, nz) bool.

    Raises:
        QsmbenchError: it is empty.
    """
    mask = truth if choice.of == "truth" else brain(magnitude, grid)
    if choice.erode:
        mask = deeper_than(mask, grid, choice.erode)
    if choice.holes and mask.any():
        last = magnitude[..., -1]
        mask = mask & (last > HOLE * np.median(last[mask]))
    if not mask.any():
        raise QsmbenchError(f"mask: {choice!r} leaves no voxel; erode less, or use another mask")
    return mask
