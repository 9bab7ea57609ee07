"""Physical constants and unit conversions.

Sign convention: signal ∝ exp(+i·2π·γ̄·B0·ΔB·1e-6·TE) with ΔB in ppm of B0, so phase increases with the field.
"""

import numpy as np

GAMMA_BAR = 42.577478518e6
"""Gyromagnetic ratio of the proton divided by 2π [Hz/T] (CODATA 2018)."""

DR_3T = 137.0
"""Relaxivity of susceptibility at 3 T, R2′ per |χ| [1/s/ppm] (Shin 2021, doi:10.1016/j.neuroimage.2021.118371)."""


def hz_per_ppm(b0: float) -> float:
    """Return the frequency [Hz] of a field shift of 1 ppm at `b0` [T]."""
    return GAMMA_BAR * b0 * 1e-6


def rad_per_ppm(b0: float, te: float) -> float:
    """Return the phase [rad] that a field of 1 ppm causes in `te` [s] at `b0` [T]."""
    return 2 * np.pi * hz_per_ppm(b0) * te


def blood_chi(hct: float, oxygenation: float) -> float:
    """Compute the susceptibility of blood relative to water [ppm], Hct·(3.43·(1−Y) − 0.10).

    Jain 2012, doi:10.1002/mrm.23282: Δχ of deoxygenated blood 0.273 ppm cgs, of oxygenated blood −0.008 ppm cgs.

    Args:
        hct: haematocrit, 0–1.
        oxygenation: oxygen saturation Y, 0–1.
    """
    return hct * (3.43 * (1 - oxygenation) - 0.10)
