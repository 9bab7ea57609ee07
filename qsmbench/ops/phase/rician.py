"""The mean of a magnitude with noise in its real and imaginary part."""

from __future__ import annotations

import numpy as np
from scipy.special import i0e, i1e


def rician_mean(signal: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Compute the mean of the magnitude of `signal` plus complex Gaussian noise, and its derivative by `signal`.

    σ·√(π/2)·L½(−x²/2) with x = signal/σ, by exponentially scaled Bessel functions, which do not overflow.

    Args:
        signal: true magnitude, a.u., ≥ 0, float64.
        sigma: standard deviation of the noise in real and imaginary part, a.u.; 0: no noise.

    Returns:
        mean: a.u., of the shape of `signal`.
        derivative: 0 … 1, of the shape of `signal`.

    Reference:
        Gudbjartsson & Patz 1995, doi:10.1002/mrm.1910340618.
    """
    if sigma == 0:
        return signal, np.ones_like(signal)
    # beyond 1e4 σ the difference is below single precision
    x = np.minimum(signal / sigma, 1e4)
    quarter = x**2 / 4
    zero, one = i0e(quarter), i1e(quarter)
    mean = np.sqrt(np.pi / 2) * ((1 + 2 * quarter) * zero + 2 * quarter * one)
    derivative = np.sqrt(np.pi / 2) * x / 2 * (zero + one)
    return sigma * mean + (signal - sigma * x), derivative
