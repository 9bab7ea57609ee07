"""Scans with changing states: each line of k-space is taken from the state in which it is measured."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import scipy.fft

from qsmbench.scan.kspace import KSpace, count
from qsmbench.threads import n_threads


def _rank(n: int, fraction: float, partial: float) -> tuple[np.ndarray, int]:
    """Return the order in which `n` frequencies (in FFT order) are measured, lowest first, and their number."""
    acquired, left_out = count(n, fraction, partial)
    frequency = np.rint(np.fft.fftfreq(n) * n).astype(int)
    lines = acquired - left_out
    return np.clip(frequency + acquired // 2 - left_out, 0, lines - 1), lines


def times(
    shape: tuple[int, int, int], readout: int, kspace: KSpace, tr: float, slices: bool
) -> tuple[np.ndarray, tuple[int, ...], float]:
    """Return the time at which each line is measured.

    In 3D the first phase-encoded axis is the slow one; both run from the lowest frequency to the highest. In 2D each
    line is measured for all slices within a TR, in their order.

    Args:
        shape: of the image.
        readout: index of its axis.
        kspace: measured part of k-space.
        tr: s.
        slices: whether z is an axis of slices rather than of frequencies.

    Returns:
        time [s] of each line (shape, with 1 along the readout); the axes that are frequencies; the total duration [s].
    """
    encoded = [a for a in range(3) if a != readout and not (slices and a == 2)]
    time, inner = np.zeros((1, 1, 1)), tr
    if slices:
        time = time + np.arange(shape[2]) / shape[2] * tr
    for axis in reversed(encoded):
        rank, lines = _rank(shape[axis], kspace.fraction[axis], kspace.partial_fourier[axis])
        size = [1, 1, 1]
        size[axis] = -1
        time = time + (rank * inner).reshape(size)
        inner *= lines
    return time, tuple(encoded), inner


def assemble(states: Iterable[np.ndarray], of_line: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """Return the image whose lines of k-space come from different states.

    Args:
        states: (nx, ny, nz, n_echoes) complex64 each, the complete image in state 0, 1, ….
        of_line: state of each line, broadcastable to (nx, ny, nz), in the order of an FFT along `axes`.
        axes: which are frequencies.

    Returns:
        (nx, ny, nz, n_echoes) complex64.
    """
    total: np.ndarray | None = None
    for s, image in enumerate(states):
        spectrum = scipy.fft.fftn(image, axes=axes, workers=n_threads())
        spectrum *= (of_line == s)[..., None]
        total = spectrum if total is None else total + spectrum
    assert total is not None
    return scipy.fft.ifftn(total, axes=axes, workers=n_threads(), overwrite_x=True)
