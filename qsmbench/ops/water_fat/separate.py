"""Water, fat, field and R2* of a scan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt

from qsmbench.grid import Grid
from qsmbench.ops.phase.noise import noise_from_texture
from qsmbench.ops.water_fat.field_map import field_map
from qsmbench.ops.water_fat.fit import fit_voxels
from qsmbench.ops.water_fat.model import check_echoes, fat_dephasing
from qsmbench.threads import over_planes
from qsmbench.units import hz_per_ppm

_NOISE = 1.9  # root mean square over echoes below which a voxel has no signal, in σ: 1.4 is noise alone
_WEAK = 0.05  # and in fractions of the strongest


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
        """Re(fat / (water + fat)), which is not clipped to 0–1, so that noise does not bias its mean."""
        total = self.water + self.fat
        power = np.abs(total) ** 2
        return np.divide((self.fat * total.conj()).real, power, out=np.zeros(len(total), np.float32), where=power > 0)


def separate(
    phase: np.ndarray,
    magnitude: np.ndarray,
    mask: np.ndarray,
    grid: Grid,
    te: np.ndarray,
    b0: float,
    *,
    spectrum: str,
    r2star_max: float,
) -> Separated:
    te = np.asarray(te, float)
    check_echoes(te)
    fat = fat_dephasing(te, b0, spectrum)
    signal = (magnitude[mask] * np.exp(1j * phase[mask])).astype(np.complex64)
    scale = np.abs(signal).max(initial=0)
    if not scale > 0:
        empty = np.zeros(len(signal), np.float32)
        return Separated(empty.astype(np.complex64), empty.astype(np.complex64), empty, empty.copy())
    sigma = min((s for e in range(te.size) if (s := noise_from_texture(magnitude[..., e], mask)) > 0), default=0.0)
    sigma = max(sigma, 1e-3 * float(np.median(np.abs(signal[:, 0]))))
    field, r2star = _start(signal, mask, grid, te, fat, b0, sigma)
    water_part, fat_part = np.zeros(len(signal), np.complex64), np.zeros(len(signal), np.complex64)
    over_planes(fit_voxels, len(signal), signal, te, fat, field, r2star, water_part, fat_part, -200.0, r2star_max)
    return Separated(water_part, fat_part, field, r2star)


def _start(signal, mask, grid, te, fat, b0, sigma):
    """Compute the field [Hz] and R2* [1/s] near the right minimum: of voxels without signal, those of the nearest one."""
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
