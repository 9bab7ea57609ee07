"""Weights 0…1 by which a magnitude image is multiplied, to weight it with phase or susceptibility.

The phase grows with the field: that of a vein along B0 is positive. On scanners whose phase falls with the field, such
as that of Haacke 2004, the formulas have the opposite sign.
"""

from __future__ import annotations

import numpy as np


def phase_weight(phase: np.ndarray, *, negative: bool = False) -> np.ndarray:
    """Compute the phase mask of susceptibility-weighted imaging: 1 − φ/π for 0 < φ < π, 1 for φ ≤ 0.

    Args:
        phase: rad, high-pass filtered; beyond ±π it counts as ±π.
        negative: suppress negative phase in place of positive, as at the centre of calcifications.

    Reference:
        Haacke 2004, doi:10.1002/mrm.20198, where the sign of the phase is opposite.
    """
    towards = -phase if negative else phase
    return 1 - np.clip(towards / np.float32(np.pi), 0, 1)


def chi_weight(chi: np.ndarray, low: float, high: float) -> np.ndarray:
    """Compute the susceptibility mask: 1 below `low`, 0 above `high`, linear in between.

    Args:
        chi: ppm.
        low: ppm.
        high: ppm, above `low`.

    Reference:
        Liu 2014, doi:10.1002/jmri.24413 (true SWI); with low = 0: Gho 2014, doi:10.1002/mrm.24920 (SMWI).
    """
    return 1 - np.clip((chi - np.float32(low)) / np.float32(high - low), 0, 1)


def sigmoid_weight(phase: np.ndarray, scale: float) -> np.ndarray:
    """Compute the sigmoid phase mask of CLEAR-SWI, ½·(1 + tanh(1 − φ/scale)).

    Args:
        phase: any unit, high-pass filtered.
        scale: of the phase, in its unit.

    Reference:
        Eckstein 2021, doi:10.1016/j.neuroimage.2021.118175.
    """
    return (1 + np.tanh(1 - phase / np.float32(scale))) / 2
