"""Breathing: the motion of the chest changes B0 in the head between lines of k-space."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, PositiveFloat

from qsmbench.grid import Grid
from qsmbench.scan.harmonics import evaluate
from qsmbench.seeds import generator
from qsmbench.typed_yaml import Model
from qsmbench.units import rad_per_ppm

BINS = 8
"""Number of states of the breathing cycle."""


class Breathing(Model):
    """Sinusoidal variation of B0 in time; some Hz in the head at 7 T (Van de Moortele 2002, doi:10.1002/mrm.10145)."""

    field: list[float] = Field(
        min_length=1,
        max_length=9,
        description="amplitude, ppm of B0: coefficients of 1, x, y, z, xy, xz, yz, x²−y², 2z²−x²−y² (100 mm)",
    )
    period: PositiveFloat = Field(description="duration of a breath, s")
    seed: Annotated[int, Field(ge=0)] = Field(0, description="seed of the phase of the breath at the start of the scan")


def depth(breathing: Breathing, time: np.ndarray) -> np.ndarray:
    """Return the breathing state at `time` [s]: one of `BINS` states, 0 has the lowest field."""
    start = generator(breathing.seed).uniform(0, 2 * np.pi)
    wave = np.sin(2 * np.pi * time / breathing.period + start)
    return np.clip(((wave + 1) / 2 * BINS).astype(int), 0, BINS - 1)


def state(image: np.ndarray, breathing: Breathing, b: int, grid: Grid, te: np.ndarray, b0: float) -> np.ndarray:
    """Return the image with the breath held in one state.

    Args:
        image: (nx, ny, nz, n_echoes) complex64.
        breathing: amplitude of the field.
        b: breathing state, 0 … `BINS` − 1.
        grid: of the image.
        te: (n_echoes,) s.
        b0: T.

    Returns:
        (nx, ny, nz, n_echoes) complex64.
    """
    amplitude = (2 * b + 1) / BINS - 1
    field = evaluate(amplitude * np.array(breathing.field), grid)
    turned = np.empty_like(image)
    for e, t in enumerate(te):
        turned[..., e] = image[..., e] * np.exp(1j * (field * np.float32(rad_per_ppm(b0, t))))
    return turned
