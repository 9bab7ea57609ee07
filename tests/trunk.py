"""A trunk of closed-form shapes with gas, fat and organs, whose water, fat, field and R2* are known in every voxel.

Nothing here uses the simulator or the methods: the field of gas and air comes from a dipole sum in k-space, the shim
from harmonic polynomials, and the signal is the model itself, with one R2* in each voxel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qsmbench.units import hz_per_ppm

FAT_SHIFT = np.array([-3.80, -3.40, -2.60, -1.95, -0.50, 0.60])
FAT_AMPLITUDE = np.array([0.088, 0.700, 0.120, 0.006, 0.039, 0.047])
"""Spectrum of the fat [ppm] (Silva 2023, doi:10.1002/mrm.29597), written out so that a wrong table is found."""

ORGANS = (
    # name, centre [mm], semi-axes [mm], proton density, fat fraction, R2* [1/s]
    ("muscle", (0, 0, 0), (140, 92, 1e4), 0.9, 0.02, 35),
    ("cavity fat", (0, 8, 0), (122, 72, 1e4), 1.0, 0.93, 40),
    ("liver", (62, 8, 25), (58, 58, 70), 0.95, 0.05, 45),
    ("spleen", (-88, -22, 20), (22, 38, 48), 0.95, 0.01, 60),
    ("left kidney", (-52, -42, -20), (24, 20, 42), 1.0, 0.01, 25),
    ("right kidney", (54, -44, -30), (24, 20, 42), 1.0, 0.01, 25),
    ("bowel", (-38, 38, -20), (34, 26, 60), 1.0, 0.01, 30),
    ("stomach", (-52, 34, 40), (34, 30, 28), 1.0, 0.02, 30),
    ("spine", (0, -52, 0), (22, 18, 1e4), 0.7, 0.5, 80),
    ("aorta", (-10, -24, 0), (10, 10, 1e4), 0.95, 0.0, 20),
    ("cava", (16, -22, 0), (10, 9, 1e4), 0.95, 0.0, 35),
)
GAS = (((-40, 52, -10), (20, 10, 24)), ((-48, 50, 44), (16, 9, 14)), ((30, 60, -55), (16, 9, 16)))
GAS_CHI, FAT_CHI = 9.05, 0.6  # ppm relative to water


@dataclass(frozen=True)
class Trunk:
    """The true maps of a trunk, (nx, ny, nz), and its signal without noise.

    Attributes:
        voxel_size: mm.
        te: (n_echoes,) s.
        b0: T.
        water, fat: complex signal at TE = 0.
        field: Hz.
        r2star: 1/s.
        mask: voxels that are mostly tissue.
        signal: (nx, ny, nz, n_echoes) complex.
        organs: masks of voxels entirely in an organ.
    """

    voxel_size: tuple[float, float, float]
    te: np.ndarray
    b0: float
    water: np.ndarray
    fat: np.ndarray
    field: np.ndarray
    r2star: np.ndarray
    mask: np.ndarray
    signal: np.ndarray
    organs: dict[str, np.ndarray]

    @property
    def fat_fraction(self) -> np.ndarray:
        total = np.abs(self.water) + np.abs(self.fat)
        return np.abs(self.fat) / np.where(total > 0, total, 1)

    @property
    def strong(self) -> np.ndarray:
        """Voxels whose first echo exceeds 20 % of the largest one."""
        first = np.abs(self.signal[..., 0])
        return self.mask & (first > 0.2 * first.max())

    def noisy(self, snr: float, seed: int) -> np.ndarray:
        """The signal with noise of 1/snr of the largest first echo in real and imaginary part."""
        sigma = np.abs(self.signal[..., 0]).max() / snr
        rng = np.random.default_rng(seed)
        noise = rng.standard_normal((2, *self.signal.shape), np.float32)
        return (self.signal + np.float32(sigma) * (noise[0] + 1j * noise[1])).astype(np.complex64)


def spectrum(te, b0, shift=FAT_SHIFT, amplitude=FAT_AMPLITUDE):
    """The signal of fat alone at 0 Hz, (n_echoes,) complex."""
    return np.exp(2j * np.pi * hz_per_ppm(b0) * np.outer(te, shift)) @ (amplitude / amplitude.sum())


def trunk(
    shape=(72, 60, 20), voxel_size=(5.0, 5.0, 8.0), te=None, b0=3.0, *, field_range=500.0, liver=None, seed=0, sub=2
):
    """Draw a trunk.

    Args:
        shape, voxel_size: of the grid, mm.
        te: (n_echoes,) s; None: six echoes from 1.2 ms, 1.0 ms apart.
        b0: T.
        field_range: 99.9 % of the tissue lies within ± this field, Hz.
        liver: R2* of the liver, 1/s; None: 45.
        seed: of position, size and shim.
        sub: sub-voxels along x and y, over which borders are averaged.
    """
    te = 0.0012 + 0.001 * np.arange(6) if te is None else np.asarray(te, float)
    rng = np.random.default_rng(seed)
    fine = (shape[0] * sub, shape[1] * sub, shape[2])
    size = (voxel_size[0] / sub, voxel_size[1] / sub, voxel_size[2])
    x, y, z = (
        ((np.arange(n) - (n - 1) / 2) * d).astype(np.float32).reshape([-1 if a == b else 1 for b in range(3)])
        for a, (n, d) in enumerate(zip(fine, size, strict=True))
    )
    layer = 1 + 0.06 * np.sin(z / 60 + rng.uniform(0, 6))
    body = (x / (165 * layer)) ** 2 + (y / (112 * layer)) ** 2 + 0 * z < 1
    pd, ff, rate = (np.zeros(fine, np.float32) for _ in range(3))
    pd[body], ff[body], rate[body] = 1.0, 0.95, 35
    organs = np.zeros(fine, np.uint8)
    for number, (name, centre, axes, density, fraction, r2s) in enumerate(ORGANS, 1):
        c = np.array(centre) + rng.normal(0, 3, 3)
        a = np.array(axes) * rng.uniform(0.92, 1.08, 3)
        inside = ((x - c[0]) / a[0]) ** 2 + ((y - c[1]) / a[1]) ** 2 + ((z - c[2]) / a[2]) ** 2 < 1
        r2s = liver if name == "liver" and liver is not None else r2s
        pd[inside], ff[inside], rate[inside], organs[inside] = density, fraction, r2s, number
    inside = organs == 3  # a liver whose fat increases to one side, so that mixed voxels of all kinds occur
    ff[inside] = np.broadcast_to(0.02 + 0.003 * np.clip(x - 10, 0, 100), fine)[inside]
    gas = ~body
    for centre, axes in GAS:
        c = np.array(centre) + rng.normal(0, 4, 3)
        a = np.array(axes) * rng.uniform(0.8, 1.2, 3)
        gas = gas | (((x - c[0]) / a[0]) ** 2 + ((y - c[1]) / a[1]) ** 2 + ((z - c[2]) / a[2]) ** 2 < 1)
    pd[gas], organs[gas] = 0, 0

    def mean(v):
        return v.reshape(shape[0], sub, shape[1], sub, shape[2]).mean(axis=(1, 3))

    density, tissue = mean(pd), mean((~gas).astype(np.float32))
    fat_part, weight = mean(pd * ff), np.maximum(density, 1e-6)
    r2star = mean(pd * rate) / weight
    r2star *= 1 + 0.1 * np.sin(np.arange(shape[0]) / 3)[:, None, None]
    mask = tissue > 0.6
    chi = mean(np.where(gas, GAS_CHI, FAT_CHI * ff)).astype(np.float32)
    field = hz_per_ppm(b0) * _dipole(chi, voxel_size)
    a, b, c = rng.normal(0, 1, 3), rng.normal(0, 1, 5), rng.normal(0, 1, 2)
    u, v, w = x[::sub] / 150, y[:, ::sub] / 150, z / 150
    shim = a[0] * u + a[1] * v + a[2] * w
    shim = shim + b[0] * u * v + b[1] * u * w + b[2] * v * w + b[3] * (u**2 - v**2) + b[4] * (w**2 - (u**2 + v**2) / 2)
    shim = shim + c[0] * (u**3 - 3 * u * v**2) + c[1] * (w**3 - 1.5 * w * (u**2 + v**2))
    field = field - np.median(field[mask])
    low, high = 0.0, 1e4  # the shim that makes up what the sources leave of the range
    for _ in range(40):
        strength = (low + high) / 2
        total = field + strength * shim
        total = total - np.median(total[mask])
        wide = np.quantile(np.abs(total[mask]), 0.999) > field_range
        low, high = (low, strength) if wide else (strength, high)
    field = field + low * shim
    field = (field - np.median(field[mask])).astype(np.float32)
    coil = (0.6 + 0.4 * np.exp(-((v - 0.9) ** 2) - (u**2))) * np.exp(1j * (0.8 * u - 1.1 * v + 0.5 * w * u + 0.3))
    water, fat = ((density - fat_part) * coil).astype(np.complex64), (fat_part * coil).astype(np.complex64)
    turn = np.exp((2j * np.pi * field - r2star)[..., None] * te)
    signal = ((water[..., None] + fat[..., None] * spectrum(te, b0)) * turn).astype(np.complex64)
    blocks = organs.reshape(shape[0], sub, shape[1], sub, shape[2])
    pure = (blocks.min(axis=(1, 3)) == blocks.max(axis=(1, 3))) & mask
    named = {name: pure & (blocks[:, 0, :, 0] == number) for number, (name, *_) in enumerate(ORGANS, 1)}
    return Trunk(voxel_size, te, b0, water, fat, field, r2star.astype(np.float32), mask, signal, named)


def _dipole(chi, voxel_size):
    """The field of χ in free space along z, padded by air, in its unit."""
    pad = [n + n % 2 for n in (2 * s for s in chi.shape)]
    k = np.meshgrid(
        *(np.fft.fftfreq(n, d) for n, d in zip(pad[:2], voxel_size[:2], strict=True)),
        np.fft.rfftfreq(pad[2], voxel_size[2]),
        indexing="ij",
        sparse=True,
    )
    square = k[0] ** 2 + k[1] ** 2 + k[2] ** 2
    square[0, 0, 0] = 1
    kernel = 1 / 3 - k[2] ** 2 / square
    kernel[0, 0, 0] = 0
    air = np.full(pad, GAS_CHI, np.float32)
    air[tuple(slice(0, n) for n in chi.shape)] = chi
    field = np.fft.irfftn(np.fft.rfftn(air) * kernel, pad, (0, 1, 2))
    return field[tuple(slice(0, n) for n in chi.shape)]


def bound(truth: Trunk, sigma: float, where: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The Cramér–Rao bound of the standard deviation of fat fraction, R2* [1/s] and field [Hz] in voxels of a mask.

    The parameters are real and imaginary part of water and of fat, field and R2*; the fat fraction is
    Re(fat / (water + fat)).
    """
    w, f = (v[where].astype(complex) for v in (truth.water, truth.fat))
    te, c = truth.te, spectrum(truth.te, truth.b0)
    decay = np.exp(np.multiply.outer(2j * np.pi * truth.field[where] - truth.r2star[where], te))
    s = (w[:, None] + f[:, None] * c) * decay
    columns = [decay, 1j * decay, decay * c, 1j * decay * c, 2j * np.pi * te * s, -te * s]
    jacobian = np.stack([np.concatenate([v.real, v.imag], axis=1) for v in columns], axis=2)
    covariance = sigma**2 * np.linalg.inv(np.einsum("vni,vnj->vij", jacobian, jacobian))
    total = w + f
    by_w, by_f = -f / total**2, w / total**2
    gradient = np.stack([by_w.real, -by_w.imag, by_f.real, -by_f.imag], axis=1)
    fraction = np.einsum("vi,vij,vj->v", gradient, covariance[:, :4, :4], gradient)
    return fraction**0.5, covariance[:, 5, 5] ** 0.5, covariance[:, 4, 4] ** 0.5
