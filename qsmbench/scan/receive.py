"""From a noise-free image to the measured image: receive coils and noise."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from qsmbench.grid import Grid
from qsmbench.scan import coils, sense
from qsmbench.scan.geometry import Point
from qsmbench.scan.noise import add_noise
from qsmbench.scan.protocol import Protocol
from qsmbench.seeds import generator


def received(
    signal: np.ndarray, protocol: Protocol, grid: Grid, isocentre: Point, sigma: float, seed: int, orientation: int = 0
) -> np.ndarray:
    """Add noise to an image; with several coils, to the image of each, and combine or unfold them.

    Args:
        signal: (nx, ny, nz, n_echoes) complex64, for a coil of uniform sensitivity; overwritten.
        protocol: coils and k-space.
        grid: of the signal.
        isocentre: mm, in the world.
        sigma: of the noise in each part, in each coil, if all lines were measured; 0: none.
        seed: of the noise.
        orientation: index; each has different noise.

    Returns:
        (nx, ny, nz, n_echoes) complex64.
    """

    def noisy(image: np.ndarray, numbers: int | list[int]) -> np.ndarray:
        return add_noise(image, sigma, generator(numbers), protocol.kspace) if sigma else image

    if protocol.coils is None:
        return noisy(signal, [seed, orientation] if orientation else seed)
    chosen, shape = protocol.coils, grid.shape
    accelerated = max(chosen.acceleration) > 1
    if accelerated:
        grid = sense.padded(grid, chosen.acceleration)
        signal = np.pad(signal, [*((0, m - n) for m, n in zip(grid.shape, shape, strict=True)), (0, 0)])

    def images() -> Iterator[coils.Coil]:
        for c, s in enumerate(coils.sensitivities(chosen, grid, isocentre)):
            yield noisy(signal * s[..., None], [seed, orientation, c]), s

    if not accelerated:
        return coils.combine(chosen, images, protocol.te, grid)
    nx, ny, nz = shape
    return sense.unfold(images, chosen.acceleration)[:nx, :ny, :nz]
