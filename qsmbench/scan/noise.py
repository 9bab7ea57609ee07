"""Receiver noise: complex Gaussian, one σ for the whole acquisition."""

from __future__ import annotations

import numpy as np


def sigma_for(snr: float, magnitude: np.ndarray, mask: np.ndarray) -> float:
    """σ of each of the real and imaginary parts for a stated SNR.

    Args:
        snr: mean magnitude of the first echo in the mask, over σ.
        magnitude: (nx, ny, nz, n_echoes), noise-free.
        mask: (nx, ny, nz) bool.
    """
    return float(magnitude[..., 0][mask].mean(dtype=float)) / snr


def add_noise(signal: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """`signal` (complex64, any shape) plus complex Gaussian noise of `sigma` in each part, as complex64."""
    noise = rng.standard_normal((*signal.shape, 2), dtype=np.float32).view(np.complex64)[..., 0]
    noise *= np.float32(sigma)
    noise += signal
    return noise
