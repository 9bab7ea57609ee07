"""The measured part of k-space: reduced matrix and partial Fourier, both zero-filled."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import scipy.fft
from pydantic import Field

from qsmbench.threads import n_threads
from qsmbench.typed_yaml import Model

Fraction = Annotated[float, Field(gt=0, le=1)]
Partial = Annotated[float, Field(ge=0.5, le=1)]


class KSpace(Model):
    """The measured part of k-space along x, y, z; the rest is zero, which causes Gibbs ringing."""

    fraction: tuple[Fraction, Fraction, Fraction] = Field(
        (1, 1, 1), description="acquired matrix over image matrix, along x, y, z"
    )
    partial_fourier: tuple[Partial, Partial, Partial] = Field(
        (1, 1, 1), description="measured share of the acquired matrix; the most negative frequencies are omitted"
    )

    @property
    def sampled(self) -> np.ndarray:
        """Nominal ratio of measured to reconstructed samples along each axis, (3,)."""
        return np.array(self.fraction) * np.array(self.partial_fourier)


WHOLE = KSpace()


def count(n: int, fraction: float, partial: float) -> tuple[int, int]:
    """Return the number of acquired frequencies, and how many of the most negative ones partial Fourier omits.

    Args:
        n: frequencies of the image along an axis.
        fraction: acquired over image matrix.
        partial: share measured of the acquired matrix.
    """
    acquired = max(round(n * fraction), 1)
    return acquired, int((1 - partial) * acquired + 1e-6)


def measured_frequencies(n: int, fraction: float = 1, partial: float = 1) -> np.ndarray:
    """Return the measured frequencies, (n,) bool in FFT order.

    The acquired ones are the lowest round(n·fraction); for an even number, the unpaired frequency is negative.

    Args:
        n: frequencies of the image along an axis.
        fraction: acquired over image matrix.
        partial: share measured of the acquired matrix.
    """
    acquired, left_out = count(n, fraction, partial)
    frequency = np.rint(np.fft.fftfreq(n) * n).astype(int)
    return (frequency >= left_out - acquired // 2) & (frequency < acquired - acquired // 2)


def windows(kspace: KSpace, shape: tuple[int, ...]) -> list[np.ndarray]:
    """Return the measured frequencies along x, y, z of an image of `shape`; see `measured_frequencies`."""
    axes = zip(shape[:3], kspace.fraction, kspace.partial_fourier, strict=True)
    return [measured_frequencies(*axis) for axis in axes]


def sampled_fraction(kspace: KSpace, shape: tuple[int, ...]) -> float:
    """Return the ratio of measured to reconstructed samples of an image of `shape`."""
    return float(np.prod([w.mean() for w in windows(kspace, shape)]))


def keep_measured(image: np.ndarray, kspace: KSpace) -> np.ndarray:
    """Return the image reconstructed from the measured part of k-space.

    Args:
        image: (nx, ny, nz, …) complex64.
        kspace: measured part; if complete, the image is returned unchanged.
    """
    for axis, window in enumerate(windows(kspace, image.shape)):
        if not window.all():
            image = multiply_spectrum(image, window.astype(np.float32), axis)
    return image


def multiply_spectrum(image: np.ndarray, factor: np.ndarray, axis: int) -> np.ndarray:
    """Multiply the spectrum of an image along one axis.

    Args:
        image: (nx, ny, nz, …) complex64.
        factor: (n,) in the order of an FFT, or (n, n_echoes), one for each echo.
        axis: of the image.
    """
    spectrum = scipy.fft.fft(image, axis=axis, workers=n_threads())
    shape = [1] * image.ndim
    shape[axis] = factor.shape[0]
    if factor.ndim == 2:
        shape[-1] = factor.shape[1]
    spectrum *= factor.reshape(shape).astype(np.complex64)
    return scipy.fft.ifft(spectrum, axis=axis, workers=n_threads(), overwrite_x=True)
