"""A plain, slow minimiser in double precision, to hold fast ones against; it shares no code with the package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Volume = np.ndarray


@dataclass(frozen=True)
class Term:
    """One term f(Ax) of an objective.

    Attributes:
        forward: A.
        adjoint: its adjoint.
        proximal: (s, σ) → argmin over y of f(y) + σ/2 ‖y − s‖².
        sigma: step of its dual variable.
        square: an upper bound of ‖A‖².
    """

    forward: Callable[[Volume], Volume]
    adjoint: Callable[[Volume], Volume]
    proximal: Callable[[Volume, float], Volume]
    sigma: float
    square: float


def minimise(terms: list[Term], shape: tuple, n: int) -> Volume:
    """The minimiser of Σ f(Ax) by the primal-dual method (Chambolle & Pock 2011, doi:10.1007/s10851-010-0251-1)."""
    x = np.zeros(shape)
    duals = [np.zeros_like(t.forward(x)) for t in terms]
    tau = 1 / sum(t.sigma * t.square for t in terms)
    bar = x
    for _ in range(n):
        for i, t in enumerate(terms):
            s = duals[i] + t.sigma * t.forward(bar)
            duals[i] = s - t.sigma * t.proximal(s / t.sigma, t.sigma)
        new = x - tau * sum(t.adjoint(d) for t, d in zip(terms, duals, strict=True))
        bar, x = 2 * new - x, new
    return x


def difference(volume: Volume, axis: int, spacing: float) -> Volume:
    """Cyclic forward difference."""
    return (np.roll(volume, -1, axis) - volume) / spacing


def difference_adjoint(volume: Volume, axis: int, spacing: float) -> Volume:
    """Its adjoint."""
    return (np.roll(volume, 1, axis) - volume) / spacing


def gradient(volume: Volume, size: tuple) -> Volume:
    """Cyclic forward differences along the three axes."""
    return np.stack([difference(volume, a, d) for a, d in enumerate(size)])


def gradient_adjoint(vector: Volume, size: tuple) -> Volume:
    """Its adjoint."""
    return sum(difference_adjoint(vector[a], a, d) for a, d in enumerate(size))


def jacobian(vector: Volume, size: tuple) -> Volume:
    """The symmetrised gradient as nine components: ½ (∂ᵢvⱼ + ∂ⱼvᵢ)."""
    full = np.stack([gradient(v, size) for v in vector])
    return (full + full.swapaxes(0, 1)) / 2


def jacobian_adjoint(tensor: Volume, size: tuple) -> Volume:
    """Its adjoint."""
    return np.stack([gradient_adjoint(row, size) for row in (tensor + tensor.swapaxes(0, 1)) / 2])


def soft(weight: float) -> Callable[[Volume, float], Volume]:
    """Proximal operator of weight · ‖y‖₁."""
    return lambda s, sigma: s - np.clip(s, -weight / sigma, weight / sigma)


def dipole(shape: tuple, size: tuple, b0_dir: tuple) -> Callable[[Volume], Volume]:
    """Cyclic convolution with the unit dipole (odd sizes, so that no Nyquist sample is ambiguous)."""
    assert all(n % 2 for n in shape)
    k = np.meshgrid(*map(np.fft.fftfreq, shape, size), indexing="ij")
    square = sum(x**2 for x in k)
    square[0, 0, 0] = 1
    kernel = 1 / 3 - sum(x * b for x, b in zip(k, b0_dir, strict=True)) ** 2 / square
    kernel[0, 0, 0] = 0
    return lambda x: np.fft.ifftn(np.fft.fftn(x) * kernel).real
