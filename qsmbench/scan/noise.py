"""Receiver noise: complex Gaussian, with the same σ for the whole acquisition."""

from __future__ import annotations

import numpy as np

from qsmbench.scan.kspace import KSpace, keep_measured, sampled_fraction


def sigma_for(snr: float, magnitude: np.ndarray, mask: np.ndarray) -> float:
    """Return σ of the real and imaginary parts for a given SNR.

    Args:
        snr: mean magnitude of the first echo in the mask divided by σ.
        magnitude: (nx, ny, nz, n_echoes), noise-free.
        mask: (nx, ny, nz) bool.
    """
    return float(magnitude[..., 0][mask].mean(dtype=float)) / snr


def add_noise(signal: np.ndarray, sigma: float, rng: np.random.Generator, kspace: KSpace | None = None) -> np.ndarray:
    """Add complex Gaussian noise of `sigma` in each part to `signal`, in place.

    Args:
        signal: complex64, of two axes or more; (nx, ny, nz, …) with `kspace`.
        sigma: of the image, independently of the measured part of k-space.
        rng: random generator.
        kspace: measured part; the rest has no noise, so that noise is correlated between neighbouring voxels.

    Returns:
        `signal`.
    """
    if kspace is not None and (part := sampled_fraction(kspace, signal.shape)) < 1:
        noise = keep_measured(_complex(signal.shape, sigma, rng), kspace)
        noise /= np.float32(np.sqrt(part))
        signal += noise
        return signal
    for plane in signal:  # one after the other, to save memory: the same numbers as all at once
        plane += _complex(plane.shape, sigma, rng)
    return signal


def _complex(shape: tuple[int, ...], sigma: float, rng: np.random.Generator) -> np.ndarray:
    noise = rng.standard_normal((*shape, 2), dtype=np.float32).view(np.complex64)[..., 0]
    noise *= np.float32(sigma)
    return noise
