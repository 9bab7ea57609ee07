"""Water, fat, field and R2* of a scan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt

from qsmbench.grid import Grid
from qsmbench.ops.phase.noise import noise_from_texture
from qsmbench.ops.water_fat.field_map import field_map
from qsmbench.ops.water_fat.fit import fit_voxels
from qsmbench.ops.water_fat.model import check_echoes
from qsmbench.spectra import spectrum
from qsmbench.threads import over_planes
from qsmbench.units import hz_per_ppm

_LOWEST = -1.0  # R2* that a fit may reach because of noise, in units of 1 / (last − first echo time)
_FREE, _ROOM = np.float32(0.25), np.float32(0.15)  # of the fat fraction outside 0–1: unchanged, and beyond that at most
_LEAST_NOISE = 1e-4  # in fractions of the largest signal
_NOISE = 1.9  # root mean square over echoes below which a voxel has no signal, in σ: 1.4 is noise alone
_WEAK = 0.05  # and in fractions of the strongest


def signed_fraction(water: np.ndarray, fat: np.ndarray) -> np.ndarray:
    """Compute the fraction of fat, fat / (water + fat), from signed amplitudes.

    It is not clipped to 0–1, so that noise does not bias its mean. Only what lies far outside, where noise cancels most
    of the sum, is limited smoothly: beyond −0.25 and 1.25, towards −0.4 and 1.4.

    Args:
        water, fat: (n_voxels,) amplitudes along a common phase, whose sum is not negative.
    """
    total = water + fat
    fraction = np.divide(fat, total, out=np.zeros_like(fat), where=total > 0)
    beyond = np.maximum(np.abs(fraction - 0.5) - 0.5 - _FREE, 0)
    limited = _ROOM * (1 - np.exp(-beyond / _ROOM))
    return fraction - np.sign(fraction - 0.5) * (beyond - limited)


@dataclass(frozen=True)
class Separated:
    """The voxels of a mask.

    Attributes:
        water, fat: (n_voxels,) complex64, signals at TE = 0.
        field: (n_voxels,) float32, Hz.
        r2star: (n_voxels,) float32, 1/s.
    """

    water: np.ndarray
    fat: np.ndarray
    field: np.ndarray
    r2star: np.ndarray

    @property
    def fat_fraction(self) -> np.ndarray:
        """Signed fraction of fat in the signal, (n_voxels,); see `signed_fraction`."""
        total = self.water + self.fat
        size = np.abs(total)
        turn = np.divide(total.conj(), size, out=np.zeros_like(total), where=size > 0)
        return signed_fraction((self.water * turn).real, (self.fat * turn).real)

    def volumes(self, mask: np.ndarray, b0: float) -> tuple[np.ndarray, ...]:
        """Return fat fraction, magnitude of water and of fat, field [ppm] and R2* as volumes."""
        values = (self.fat_fraction, np.abs(self.water), np.abs(self.fat), self.field / hz_per_ppm(b0), self.r2star)
        found = np.zeros((len(values), *mask.shape), np.float32)
        found[:, mask] = values
        return tuple(found)


def separate(
    phase: np.ndarray,
    magnitude: np.ndarray,
    mask: np.ndarray,
    grid: Grid,
    te: np.ndarray,
    b0: float,
    *,
    peaks: int,
    r2star_max: float,
) -> Separated:
    """Separate water and fat in the voxels of a mask.

    Args:
        phase: (nx, ny, nz, n_echoes) rad.
        magnitude: (nx, ny, nz, n_echoes) a.u.
        mask: (nx, ny, nz) bool.
        grid: of the volumes.
        te: (n_echoes,) s.
        b0: T.
        peaks: number of peaks of the fat spectrum.
        r2star_max: 1/s.

    Raises:
        NotApplicable: there are fewer than three echoes.
        QsmbenchError: there is no spectrum with so many peaks.
    """
    te = np.asarray(te, float)
    check_echoes(te)
    signal = signal_in(phase, magnitude, mask)
    field, r2star = np.zeros(len(signal), np.float32), np.zeros(len(signal), np.float32)
    if signal.any():
        sigma = noise_of(magnitude, mask, float(np.abs(signal[:, 0]).max()))
        field, r2star = _start(signal, mask, grid, te, spectrum("fat", peaks).dephasing(te, b0), b0, sigma)
    return complete(signal, field, r2star, te, b0, peaks=peaks, r2star_max=r2star_max)


def noise_of(magnitude: np.ndarray, mask: np.ndarray, largest: float) -> float:
    """Return the standard deviation of the noise [a.u.]: that of the echo with the least texture.

    Args:
        magnitude: (nx, ny, nz, n_echoes) a.u.
        mask: (nx, ny, nz) bool.
        largest: signal of the first echo [a.u.]; the noise is at least a small fraction of it.
    """
    echoes = np.moveaxis(magnitude, -1, 0)
    found = min((s for echo in echoes if (s := noise_from_texture(echo, mask)) > 0), default=0.0)
    return max(found, _LEAST_NOISE * largest)


def signal_in(phase: np.ndarray, magnitude: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the complex signal of the voxels in a mask, (n_voxels, n_echoes) complex64."""
    angle = phase[mask]
    signal = np.empty(angle.shape, np.complex64)
    np.cos(angle, out=signal.real)
    np.sin(angle, out=signal.imag)
    signal *= magnitude[mask]
    return signal


def complete(
    signal: np.ndarray,
    field: np.ndarray,
    r2star: np.ndarray,
    te: np.ndarray,
    b0: float,
    *,
    peaks: int,
    r2star_max: float,
) -> Separated:
    """Fit water, fat, field and R2* to each voxel, from a start near the right minimum.

    Args:
        signal: (n_voxels, n_echoes) complex64.
        field: (n_voxels,) float32, start, Hz.
        r2star: (n_voxels,) float32, start, 1/s.
        te: (n_echoes,) s.
        b0: T.
        peaks: number of peaks of the fat spectrum.
        r2star_max: 1/s.
    """
    fat = spectrum("fat", peaks).dephasing(te, b0)
    field, r2star = field.astype(np.float32), r2star.astype(np.float32)
    water_part, fat_part = np.zeros(len(signal), np.complex64), np.zeros(len(signal), np.complex64)
    lowest = _LOWEST / (te[-1] - te[0])
    over_planes(fit_voxels, len(signal), signal, te, fat, field, r2star, water_part, fat_part, lowest, r2star_max)
    return Separated(water_part, fat_part, field, r2star)


def _start(signal, mask, grid, te, fat, b0, sigma):
    """Compute the field [Hz] and R2* [1/s] near the right minimum; voxels without signal have those of the nearest."""
    strength = np.sqrt((signal.real**2 + signal.imag**2).mean(axis=1))
    threshold = max(_NOISE * sigma, _WEAK * float(np.quantile(strength, 0.99)))
    strong = strength > threshold
    support = np.zeros(mask.shape, bool)
    support[mask] = strong
    maps = np.zeros((2, *mask.shape), np.float32)
    maps[:, support] = field_map(signal[strong], support, grid, te, fat, b0, sigma)
    if strong.all():
        return maps[0][mask], maps[1][mask]
    nearest = distance_transform_edt(~support, grid.voxel_size, return_distances=False, return_indices=True)
    field, r2star = (m[tuple(nearest)][mask] for m in maps)
    return field, r2star
