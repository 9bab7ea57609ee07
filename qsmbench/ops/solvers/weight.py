"""What the magnitude of the echoes says about the precision of the field."""

from __future__ import annotations

from typing import Any

import numpy as np

from qsmbench.ops.arrays.array import namespace


def field_weight(magnitude: Any, te: np.ndarray, mask: Any) -> Any:
    """Relative precision of the field, 1/σ, that a weighted fit over the echoes has: √Σ (magnitude · TE)².

    Args:
        magnitude: (nx, ny, nz, n_echoes) a.u.
        te: (n_echoes,) s.
        mask: (nx, ny, nz) bool.

    Returns:
        (nx, ny, nz) float32, without unit, with a mean square of 1 over the mask and zero outside, so that a data term
        keeps its size. Where no voxel of the mask has any signal, 1 throughout the mask.

    Reference:
        The phase's σ is that of the signal over its magnitude: Gudbjartsson & Patz 1995, doi:10.1002/mrm.1910340618.
    """
    xp = namespace(magnitude)
    squares = xp.zeros(magnitude.shape[:3], dtype=xp.float32, device=magnitude.device)
    for echo, t in enumerate(te):
        squares += (magnitude[..., echo] * float(t / te[-1])) ** 2
    squares = xp.where(mask, squares, xp.zeros_like(squares))
    mean = float(xp.sum(squares, dtype=xp.float64)) / float(xp.sum(xp.astype(mask, xp.float64)))
    if mean == 0:
        return xp.astype(mask, xp.float32)
    return xp.sqrt(squares / mean)


def effective_echo_time(magnitude: Any, te: np.ndarray, mask: Any) -> float:
    """The echo time [s] whose phase carries as much of the field as the echoes do on average: ⟨TE⟩ by (magnitude·TE)².

    Nonlinear data terms compare phases, in rad; this is the echo time that they turn the field into phase with.

    Args:
        magnitude: (nx, ny, nz, n_echoes) a.u.
        te: (n_echoes,) s.
        mask: (nx, ny, nz) bool.
    """
    xp = namespace(magnitude)
    inside = [xp.where(mask, magnitude[..., e], xp.zeros_like(magnitude[..., e])) for e in range(len(te))]
    weights = [float(xp.sum((m * float(t)) ** 2, dtype=xp.float64)) for m, t in zip(inside, te, strict=True)]
    return float(np.average(te, weights=weights)) if sum(weights) > 0 else float(te[-1])
