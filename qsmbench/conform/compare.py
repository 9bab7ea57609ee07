"""Agreement of a product with the truth, or with another product."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_erosion, uniform_filter

from qsmbench.conform.scene import Scene, Volumes, parts


@dataclass(frozen=True)
class Agreement:
    """Agreement of a product with the truth: slope of the regression (NaN: no scale), and correlation."""

    slope: float
    correlation: float


@dataclass(frozen=True)
class Band:
    """Accepted range of a product.

    Attributes:
        slope: largest accepted factor between slope and 1, in either direction.
        drift: largest accepted change of the slope between scenes, as a factor in either direction.
        fall: largest accepted loss of correlation between scenes.
        correlation: smallest accepted correlation with the truth.
        far: whether it is mostly caused by distant sources, so that the local mean hides a displacement.
        placed: whether it has small structure, which shows a displacement.
    """

    slope: float
    drift: float
    fall: float
    correlation: float
    far: bool = False
    placed: bool = True


FIT = (1.2, 1.2, 0.05)
"""Slope, drift and fall of measured volumes: an error of a fifth fails."""

RATE = (1.2, 1.2, 0.2)
"""The same for relaxation rates, which are noisier."""

INVERSE = (2.0, 2**0.5, 0.2)
"""The same for regularised solutions, which underestimate. The smallest likely error of units or constants is a factor
of 3 (the Lorentz sphere; then 2π and 4π), so a factor of 2 detects it. Scenes differ by factors of 2 and more in
properties that must have no effect, so √2 detects an effect."""

SPREAD = (5.0, 5.0, 1.0)
"""The same for a noise map: it is estimated from a few echoes, and depends on whether the fit has an offset."""

BANDS = {
    "mask": Band(*FIT, 0.9, placed=False),
    "phase": Band(*FIT, 0.9, far=True, placed=False),
    "unwrapped": Band(*FIT, 0.9, far=True),
    "total_field": Band(*FIT, 0.9, far=True),
    "field_noise": Band(*SPREAD, 0.0, placed=False),
    "local_field": Band(*INVERSE, 0.7),
    "chi": Band(*INVERSE, 0.7),
    "chi_para": Band(*INVERSE, 0.5),
    "chi_dia": Band(*INVERSE, 0.5),
    "r2star": Band(*RATE, 0.8),
    "r2prime": Band(*RATE, 0.8),
}
"""The products that can be compared with the truth."""


def support(products: Volumes, scene: Scene) -> np.ndarray:
    """Return the voxels that the method reports as reconstructed, within the mask."""
    return products["mask"].astype(bool) & scene.mask if "mask" in products else scene.mask


def core(region: np.ndarray) -> np.ndarray:
    """Return the region without its outermost voxels, which are partly outside; the whole region if it is thin."""
    inner = binary_erosion(region)
    return inner if inner.sum() > 0.2 * region.sum() else region


def agreement(name: str, products: Volumes, scene: Scene) -> list[Agreement]:
    """Compare a product with the truth of the scene over the core of its support; return one agreement per echo."""
    region, measure = core(support(products, scene)), _MEASURES.get(name, _linear)
    pairs = zip(_echoes(products[name]), _echoes(scene.truth[name]), strict=True)
    return [measure(estimate, truth, region) for estimate, truth in pairs]


def _echoes(volume: np.ndarray) -> list[np.ndarray]:
    return [volume[..., e] for e in range(volume.shape[3])] if volume.ndim == 4 else [volume]


def _linear(estimate: np.ndarray, truth: np.ndarray, region: np.ndarray) -> Agreement:
    """Regress over the region, after subtracting the mean of each connected part, which is arbitrary."""
    e, t = (_referred(v, region)[region] for v in (estimate, truth))
    norms = float(np.linalg.norm(e)), float(np.linalg.norm(t))
    product = float(e @ t)
    return Agreement(product / max(norms[1] ** 2, 1e-30), product / max(norms[0] * norms[1], 1e-30))


def _near(estimate: np.ndarray, truth: np.ndarray, region: np.ndarray) -> Agreement:
    """Regress after subtracting the local mean: unwrapping may omit the part that is harmonic in the mask."""
    inner = binary_erosion(region, np.ones((3, 3, 3)))
    return _linear(_without_mean(estimate), _without_mean(truth), inner if inner.any() else region)


def _without_mean(volume: np.ndarray) -> np.ndarray:
    """Subtract the mean over 3 × 3 × 3 voxels, which a harmonic field equals."""
    return volume - uniform_filter(volume.astype(float), 3)


def _referred(volume: np.ndarray, region: np.ndarray) -> np.ndarray:
    referred = volume.astype(float)
    for part in parts(region):
        referred[part] -= referred[part].mean()
    return referred


def _wrapped(estimate: np.ndarray, truth: np.ndarray, region: np.ndarray) -> Agreement:
    """Compute the coherence of the difference of two wrapped phases. The scale is right if the values span ±π."""
    apart = estimate[region].astype(float) - truth[region]
    against = estimate[region].astype(float) + truth[region]
    same, opposite = (float(abs(np.exp(1j * a).mean())) for a in (apart, against))
    peak = float(np.abs(estimate[region]).max()) / float(np.abs(truth[region]).max())
    return Agreement(peak if same >= opposite else -peak, max(same, opposite))


def _overlap(estimate: np.ndarray, truth: np.ndarray, region: np.ndarray) -> Agreement:
    """Compute the fraction of a mask inside the true one, if that is more than a tenth of it (it may be eroded)."""
    inside, size, true_size = (int(np.count_nonzero(m)) for m in (estimate & truth, estimate, truth))
    found = inside / true_size
    return Agreement(np.nan, inside / max(size, 1) if found > 0.1 else found)


def _level(estimate: np.ndarray, truth: np.ndarray, region: np.ndarray) -> Agreement:
    """Compute the ratio of the medians of two noise maps."""
    return Agreement(float(np.median(estimate[region]) / np.median(truth[region])), 1.0)


_MEASURES: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], Agreement]] = {
    "mask": _overlap,
    "phase": _wrapped,
    "unwrapped": _near,
    "field_noise": _level,
}


def best_shift(name: str, products: Volumes, scene: Scene) -> tuple[int, int, int]:
    """Find the shift of the truth (−1, 0 or 1 voxels along each axis) that agrees best with the product."""
    region = binary_erosion(support(products, scene), iterations=2)
    region = region if region.any() else support(products, scene)
    estimate, truth = (v[..., -1] if v.ndim == 4 else v for v in (products[name], scene.truth[name]))
    if BANDS[name].far:
        estimate, truth = _without_mean(estimate), _without_mean(truth)
        region = binary_erosion(region)
    shifts = sorted(itertools.product((-1, 0, 1), repeat=3), key=lambda s: sum(map(abs, s)))  # of equals, the nearest
    x, y, z = max(shifts, key=lambda s: abs(_linear(estimate, np.roll(truth, s, (0, 1, 2)), region).correlation))
    return x, y, z


def difference(name: str, one: np.ndarray, other: np.ndarray, region: np.ndarray) -> float:
    """Compute how far two products differ over the region, as a fraction of the second.

    Masks: voxels that differ. Wrapped phases: modulo 2π, as a fraction of 1 rad. Unwrapped phases: without the local
    mean, since multiples of 2π and the harmonic part are arbitrary. All others: root mean square.
    """
    if name == "mask":
        return int(np.count_nonzero(one != other)) / max(int(np.count_nonzero(other)), 1)
    if name == "phase":
        return _rms(np.abs(np.exp(1j * one[region].astype(float)) - np.exp(1j * other[region].astype(float))))
    if name == "unwrapped":
        one, other = (np.stack([_without_mean(e) for e in _echoes(v)], -1) for v in (one, other))
        region = binary_erosion(region, np.ones((3, 3, 3)))
    change = _rms(one[region].astype(float) - other[region])
    return change / max(_rms(other[region]), 1e-12) if change else 0.0


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=float)))) if values.size else 0.0
