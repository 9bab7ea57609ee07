"""The precision of the field, and the echo time that determines it, from the magnitude of the echoes."""

from __future__ import annotations

from typing import Any

import numpy as np

from qsmbench.ops.arrays.algebra import mean_inside
from qsmbench.ops.arrays.array import masked, namespace


def field_weight(magnitude: Any, te: np.ndarray, mask: Any) -> Any:
    """Compute the relative precision of the field, 1/σ, of a weighted fit over the echoes: √Σ (magnitude · TE)².

    Args:
        magnitude: (nx, ny, nz, n_echoes) a.u.
        te: (n_echoes,) s.
        mask: (nx, ny, nz) bool.

    Returns:
        (nx, ny, nz) float32, without unit, zero outside the mask, with a mean square of 1 over it, so that weighting
        does not change the scale of a data term. 1 throughout the mask if it has no signal at all.

    Reference:
        σ of the phase is σ of the signal over its magnitude: Gudbjartsson & Patz 1995, doi:10.1002/mrm.1910340618.
    """
    xp = namespace(magnitude)
    squares = xp.zeros(magnitude.shape[:3], dtype=xp.float32, device=magnitude.device)
    for echo, t in enumerate(te):
        squares += (magnitude[..., echo] * float(t / te[-1])) ** 2
    squares = masked(squares, mask)
    mean = mean_inside(squares, mask)
    if mean == 0:
        return xp.astype(mask, xp.float32)
    return xp.sqrt(squares / mean)


def effective_echo_time(magnitude: Any, te: np.ndarray, mask: Any) -> float:
    """Compute the mean echo time, weighted by (magnitude · TE)², like the echoes in a field fit.

    Nonlinear data terms, which compare phases in rad, convert the field to phase with it.

    Args:
        magnitude: (nx, ny, nz, n_echoes) a.u.
        te: (n_echoes,) s.
        mask: (nx, ny, nz) bool.

    Returns:
        s; the last echo time if there is no signal.
    """
    xp = namespace(magnitude)
    inside = [xp.where(mask, magnitude[..., e], xp.zeros_like(magnitude[..., e])) for e in range(len(te))]
    weights = [float(xp.sum((m * float(t)) ** 2, dtype=xp.float64)) for m, t in zip(inside, te, strict=True)]
    return float(np.average(te, weights=weights)) if sum(weights) > 0 else float(te[-1])
