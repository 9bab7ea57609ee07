"""Phase modulo 2π."""

from __future__ import annotations

from typing import Any

import numpy as np

from qsmbench.ops.arrays.array import compute

TURN = np.float32(2 * np.pi)


def wrap(phase: np.ndarray) -> np.ndarray:
    """Wrap a phase [rad] to ±π, in its own precision."""
    return compute(wrapped, phase)


def wrapped(xp: Any, phase: Any) -> Any:
    """Wrap a phase [rad] to ±π, as an expression for `compute`."""
    turn = phase.dtype.type(2 * np.pi)
    return phase - turn * xp.round(phase / turn)


def nearest(xp: Any, phase: Any, reference: Any) -> Any:
    """Add the multiple of 2π to a phase that brings it nearest to a reference, as an expression for `compute`.

    Args:
        xp: array namespace.
        phase: rad, float32.
        reference: rad, float32.
    """
    return phase + TURN * xp.round((reference - phase) / TURN)
