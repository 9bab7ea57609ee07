"""Receive coils, and the combination of their images."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import reduce
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, PositiveFloat, model_validator
from scipy import ndimage

from qsmbench.grid import Grid
from qsmbench.scan.geometry import Point
from qsmbench.typed_yaml import Model

SMOOTH_MM = 5.0
"""Standard deviation of the Gaussian that smooths a coil's phase offset [mm]; assumed."""

Coil = tuple[np.ndarray, np.ndarray]
Acceleration = Annotated[int, Field(ge=1, le=8)]


class Coils(Model):
    """Small loops on a ring about the isocentre, in the plane perpendicular to the world's z, facing its axis."""

    count: Annotated[int, Field(ge=1, le=64)] = Field(description="number of coils")
    radius: PositiveFloat = Field(200, description="distance of the coils from the isocentre (assumed), mm")
    combine: Literal["ideal", "mcpc"] = Field(
        "ideal", description="ideal: matched filter with the true sensitivities; mcpc: phase offsets from two echoes"
    )
    acceleration: tuple[Acceleration, Acceleration, Acceleration] = Field(
        (1, 1, 1), description="of every how many lines of k-space one is measured along x, y, z; unfolded by SENSE"
    )

    @model_validator(mode="after")
    def _can_unfold(self) -> Coils:
        folded = math.prod(self.acceleration)
        if folded > 1 and self.combine != "ideal":
            raise ValueError(f"acceleration is {self.acceleration}, and combine is {self.combine}; it must be ideal")
        if folded > self.count:
            raise ValueError(
                f"acceleration is {self.acceleration}; {self.count} coils unfold at most {self.count} voxels"
            )
        return self


def sensitivities(coils: Coils, grid: Grid, isocentre: Point) -> Iterator[np.ndarray]:
    """Yield Bx − i·By of each coil, a magnetic dipole that points to the isocentre (reciprocity: Hoult 2000,
    doi:10.1002/1099-0534(2000)12:4<173::AID-CMR1>3.0.CO;2-Q); relative to the amplitude at the isocentre.

    Args:
        coils: number and radius of the ring.
        grid: where.
        isocentre: mm, in the world.

    Yields:
        (nx, ny, nz) complex64.
    """
    index = [np.arange(n) for n in grid.shape]
    for angle in 2 * np.pi * np.arange(coils.count) / coils.count:
        moment = -np.array([np.cos(angle), np.sin(angle), 0])
        coil = np.array(isocentre) - coils.radius * moment
        x, y, z = (
            (
                a[0] * index[0][:, None, None]
                + a[1] * index[1][None, :, None]
                + a[2] * index[2][None, None, :]
                + (origin - c)
            )
            for a, origin, c in zip(grid.affine[:3, :3], grid.affine[:3, 3], coil, strict=True)
        )
        r2 = x * x + y * y + z * z
        radial = 3 * (moment[0] * x + moment[1] * y) / r2
        field = (radial * x - moment[0]) - 1j * (radial * y - moment[1])
        yield (field * (coils.radius**3 / 2) / r2**1.5).astype(np.complex64)


def root_sum_of_squares(coils: Coils, grid: Grid, isocentre: Point) -> np.ndarray:
    """Return the root sum of squares of all sensitivities: the signal after ideal combination.

    Args:
        coils: number and radius of the ring.
        grid: where.
        isocentre: mm, in the world.

    Returns:
        (nx, ny, nz) float32.
    """
    total = np.zeros(grid.shape, np.float32)
    for s in sensitivities(coils, grid, isocentre):
        total += s.real**2 + s.imag**2
    return np.sqrt(total)


def combine(coils: Coils, images: Callable[[], Iterator[Coil]], te: list[float], grid: Grid) -> np.ndarray:
    """Combine the images of all coils.

    `ideal` is Σ s*·y / √Σ|s|² (Roemer 1990, doi:10.1002/mrm.1910160203): noise of σ in each coil stays σ. `mcpc` takes
    from each coil's phase its offset at TE = 0, extrapolated from the first two echoes and smoothed (MCPC-3D-S;
    Eckstein 2018, doi:10.1002/mrm.26963), and weights by magnitude.

    Args:
        coils: how to combine.
        images: function that yields image (nx, ny, nz, n_echoes) and sensitivity (nx, ny, nz) coil by coil, complex64;
            the same on each call, so that not all need to be in memory.
        te: s.
        grid: of the images.

    Returns:
        (nx, ny, nz, n_echoes) complex64.
    """
    if coils.combine == "ideal":
        terms = ((y * s.conj()[..., None], (s.real**2 + s.imag**2)[..., None]) for y, s in images())
    else:
        # its phase is what the field makes between two echoes
        apart = reduce(np.add, (y[..., 1] * y[..., 0].conj() for y, _ in images()))
        turns = whole_turns(te)
        aligned = ((y, y * _offset(y, apart, turns, grid).conj()[..., None]) for y, _ in images())
        terms = ((turned * np.abs(y), np.abs(y) ** 2) for y, turned in aligned)
    total, weight = next(terms)
    for term, w in terms:
        total += term
        weight += w
    return total / np.sqrt(np.maximum(weight, np.float32(1e-20)))


def _offset(image: np.ndarray, apart: np.ndarray, turns: int, grid: Grid) -> np.ndarray:
    """Return exp(i·phase at TE = 0) of a coil, smoothed, weighted by magnitude; (nx, ny, nz) complex64."""
    unit = apart / np.maximum(np.abs(apart), np.float32(1e-20))
    offset = image[..., 0] * unit.conj() ** turns
    sigma = [SMOOTH_MM / d for d in grid.voxel_size]
    smooth = ndimage.gaussian_filter(offset.real, sigma) + 1j * ndimage.gaussian_filter(offset.imag, sigma)
    return (smooth / np.maximum(np.abs(smooth), np.float32(1e-20))).astype(np.complex64)


def whole_turns(te: list[float]) -> int:
    """Return TE1 divided by the spacing of the first two echoes; 0 if it is not a whole number.

    If it is, extrapolation to TE = 0 uses integer multiples of a phase, and wraps have no effect.
    """
    ratio = te[0] / (te[1] - te[0]) if len(te) > 1 else 0
    return round(ratio) if abs(ratio - round(ratio)) < 0.01 else 0
