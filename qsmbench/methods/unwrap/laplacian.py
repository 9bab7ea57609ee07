"""Laplacian phase unwrapping."""

import numpy as np
import scipy.fft

from qsmbench.method import method
from qsmbench.ops.arrays.fft import Window
from qsmbench.threads import n_threads


@method(produces="unwrapped", reference="Schofield & Zhu 2003, doi:10.1364/OL.28.001194")
def laplacian(phase, mask, grid, *, pad=10.0):
    """Laplacian unwrapping: solve Poisson's equation for the Laplacian of the phase, which wraps do not affect.

    The Laplacian is the sum of the differences to the six neighbours, wrapped to ±π; differences to voxels outside
    the mask are omitted. The equation is solved exactly for the same stencil, with no flux through the boundary of
    the padded box (cosine transform). The result is smooth, but not congruent with the phase modulo 2π: the two
    differ by a field that is harmonic inside the mask, which background removal removes.
    A constant for each echo restores the mean phase, assuming that it changes by less than π between echoes.

    Reference:
        Schofield & Zhu 2003, doi:10.1364/OL.28.001194; wrapped differences and cosine transform: Ghiglia & Romero
        1994, doi:10.1364/JOSAA.11.000107.
    """
    window = Window.around(mask, grid, pad)
    inside = window.take_mask(mask)
    eigenvalues = _neumann_eigenvalues(window.shape, grid.voxel_size)
    unwrapped = np.zeros(phase.shape, np.float32)
    offsets = []
    for echo in range(phase.shape[-1]):
        wrapped = window.take(phase[..., echo])
        spectrum = scipy.fft.dctn(_laplacian(wrapped, inside, grid.voxel_size), workers=n_threads())
        spectrum /= eigenvalues
        smooth = scipy.fft.idctn(spectrum, workers=n_threads(), overwrite_x=True)
        difference = wrapped[inside] - smooth[inside]
        offsets.append(np.arctan2(np.sin(difference).mean(), np.cos(difference).mean()))
        unwrapped[..., echo] = window.put(smooth, mask)
    unwrapped += np.unwrap(offsets).astype(np.float32)
    unwrapped *= mask[..., None]
    return unwrapped


def _laplacian(phase, inside, voxel_size):
    """Sum the wrapped differences to those of the six neighbours that are in the mask [rad/mm²]."""
    total = np.zeros_like(phase)
    for axis, d in enumerate(voxel_size):
        low, high = (slice(None),) * axis + (slice(0, -1),), (slice(None),) * axis + (slice(1, None),)
        flux = phase[high] - phase[low]
        flux -= np.float32(2 * np.pi) * np.round(flux * np.float32(1 / (2 * np.pi)))
        flux *= np.float32(1 / d**2)
        flux *= inside[high] & inside[low]
        total[low] += flux
        total[high] -= flux
    return total


def _neumann_eigenvalues(shape, voxel_size):
    """Compute the eigenvalues of the seven-point Laplacian with mirrored borders, for the type-2 cosine transform."""
    parts = [
        (-((2 / d * np.sin(np.pi * np.arange(n) / (2 * n))) ** 2)).astype(np.float32)
        for n, d in zip(shape, voxel_size, strict=True)
    ]
    eigenvalues = parts[0][:, None, None] + parts[1][:, None] + parts[2]
    eigenvalues[0, 0, 0] = np.inf  # the mean is undetermined: zero
    return eigenvalues
