"""The L-curve: roughness of χ against misfit of its field, for a range of regularisation strengths."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline

from qsmbench.errors import NotApplicable

_FINE = 400  # points of the spline between the second strength and the last but one


def _slopes(strengths: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return logarithms of strengths on a fine grid, and the first two derivatives of log(values) there."""
    t = np.log(strengths)
    spline = CubicSpline(t, np.log(values))
    fine = np.linspace(t[1], t[-2], _FINE)  # a spline is poorly determined at its ends
    return fine, spline(fine, 1), spline(fine, 2)


def curvature(strengths: np.ndarray, misfits: np.ndarray, roughnesses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute the signed curvature of the L-curve in log-log axes, positive where it bends like the corner of an L.

    Args:
        strengths: (n,) of regularisation, increasing.
        misfits: (n,) ‖M(Dχ − field)‖, see `ops.solvers.solution`.
        roughnesses: (n,) ‖∇χ‖₁.

    Returns:
        strengths: (m,) on a fine logarithmic grid.
        curvature: (m,) there.
    """
    fine, x1, x2 = _slopes(strengths, misfits)
    _, y1, y2 = _slopes(strengths, roughnesses)
    return np.exp(fine), (x1 * y2 - x2 * y1) / (x1**2 + y1**2) ** 1.5


def corner(strengths: np.ndarray, misfits: np.ndarray, roughnesses: np.ndarray) -> float:
    """Find the corner of the L-curve, where its curvature is greatest.

    Args:
        strengths, misfits, roughnesses: as for `curvature`.

    Returns:
        the strength there.

    Raises:
        NotApplicable: it has no corner.

    Reference:
        Hansen & O'Leary 1993, doi:10.1137/0914086.
    """
    fine, bend = curvature(strengths, misfits, roughnesses)
    return float(fine[_top(bend, strengths)])


def _top(bend: np.ndarray, strengths: np.ndarray) -> int:
    top = int(np.argmax(bend))
    if bend[top] <= 0:
        raise NotApplicable(f"the L-curve has no corner between {strengths[0]:.2g} and {strengths[-1]:.2g}")
    return top


def inflection(strengths: np.ndarray, misfits: np.ndarray, roughnesses: np.ndarray) -> float:
    """Find the point of zero curvature that is nearest to the corner on the side of less regularisation.

    The corner tends to over-regularise with variational penalties; the inflection before it does less so. Without one
    in the range, the point of smallest curvature is taken.

    Args:
        strengths, misfits, roughnesses: as for `curvature`.

    Returns:
        the strength there.

    Raises:
        NotApplicable: there is no corner.

    Reference:
        Milovic 2021, doi:10.1002/mrm.28435.
    """
    fine, bend = curvature(strengths, misfits, roughnesses)
    top = _top(bend, strengths)
    if top == 0:
        return float(fine[0])
    below = np.flatnonzero(bend[:top] <= 0)
    return float(fine[below[-1]] if below.size else fine[np.argmin(bend[:top])])
