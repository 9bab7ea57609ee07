"""Respiration: the diaphragm moves during the scan, after a breath hold or throughout."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, NonNegativeFloat, PositiveFloat

from qsmbench.typed_yaml import Model


class Respiration(Model):
    """A breath hold, during which the diaphragm creeps up, and breaths after it.

    The organs move with the diaphragm as the phantom's key `breath` says; their fields move with them.
    """

    hold: NonNegativeFloat | None = Field(
        None, description="duration of the breath hold from the start of the scan, s; null: all of it; 0: none"
    )
    creep: NonNegativeFloat = Field(
        0.23, description="rise of the diaphragm in a breath hold, mm/s; 5.6 mm in 24 s (PMC7055431)"
    )
    descent: NonNegativeFloat = Field(
        15, description="descent of the diaphragm in a breath, mm; 10–20 at rest, up to 60 if deep (assumed)"
    )
    period: PositiveFloat = Field(4, description="duration of a breath (assumed), s")
    states: Annotated[int, Field(ge=2, le=16)] = Field(6, description="number of steps between its extreme positions")


def position(respiration: Respiration, time: np.ndarray) -> np.ndarray:
    """Compute how far the dome of the diaphragm has descended since the start of the scan.

    Args:
        respiration: its course.
        time: s, of any shape.

    Returns:
        mm, of the same shape.
    """
    held = np.inf if respiration.hold is None else respiration.hold
    breath = np.sin(np.pi * np.maximum(time - held, 0) / respiration.period) ** 2
    return respiration.descent * breath - respiration.creep * np.minimum(time, held)
