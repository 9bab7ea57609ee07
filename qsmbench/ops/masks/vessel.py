"""Tubes in an image: the bottom hat, which shows what is darker than its surroundings, and Frangi's vesselness."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

from qsmbench.grid import Grid, Triple
from qsmbench.ops.arrays.array import compute, like, namespace, to_numpy
from qsmbench.ops.arrays.fft import irfftn, rfftn
from qsmbench.ops.arrays.smooth import gaussian_spectrum

_PLATE = 0.5  # α, sensitivity to the difference between a tube and a plate
_BLOB = 0.5  # β, sensitivity to the difference between a tube and a blob


def bottom_hat(image: Any, inside: Any, grid: Grid, radius: float) -> Any:
    """Compute the bottom hat of an image: its greyscale closing by a box, minus the image.

    Args:
        image: (nx, ny, nz) float32, any unit.
        inside: (nx, ny, nz) bool; voxels outside are ignored.
        grid: voxel size.
        radius: half the side of the box, mm; at least one voxel.

    Returns:
        (nx, ny, nz) float32, unit of the image, zero outside.
    """
    values, known = to_numpy(image), to_numpy(inside)
    sides = [2 * max(round(radius / d), 1) + 1 for d in grid.voxel_size]
    brightest = ndimage.maximum_filter(np.where(known, values, -np.inf), sides, mode="constant", cval=-np.inf)
    brightest[np.isneginf(brightest)] = np.inf  # the box meets nothing inside
    closed = ndimage.minimum_filter(brightest, sides, mode="constant", cval=np.inf)
    hat = np.zeros(known.shape, np.float32)
    np.subtract(closed, values, out=hat, where=known)
    return like(hat, image)


def vesselness(image: Any, grid: Grid, widths: tuple[float, ...]) -> Any:
    """Compute the similarity of each voxel to a bright tube on a dark background, maximum over several widths.

    Args:
        image: (nx, ny, nz) float32, any unit, on a cyclic grid.
        grid: voxel size.
        widths: standard deviations of the Gaussians that the image is smoothed with, mm.

    Returns:
        (nx, ny, nz) float32, 0 … 1.

    Reference:
        Frangi 1998, doi:10.1007/BFb0056195. As there, c is half of the largest norm of the Hessian.
    """
    xp = namespace(image)
    spectrum = rfftn(image)
    best = xp.zeros_like(image)
    for width in widths:
        smooth = irfftn(spectrum * like(gaussian_spectrum(grid, image.shape, width), image), image.shape)
        _update_vesselness(best, smooth, grid.voxel_size)
    return best


def _update_vesselness(best: Any, smooth: Any, size: Triple) -> None:
    """Raise `best`, in place, to the vesselness of a smoothed image where that is larger."""
    hessian = _hessian(smooth, size)
    norm = compute(_hessian_norm, *hessian)
    largest = float(namespace(norm).max(norm))
    if largest > 0:
        compute(_larger_vesselness, best, norm, *hessian, out=best, contrast=0.5 * largest)


def _hessian(volume: Any, size: Triple) -> list[Any]:
    """Compute the second derivatives xx, yy, zz, xy, xz and yz by central differences."""
    straight, mixed = [], []
    for a in range(3):
        slope, behind = _neighbours(volume, a)
        straight.append(compute(_second_difference, slope, behind, volume, square=size[a] ** 2))
        slope -= behind
        for b in range(a + 1, 3):
            cross, behind = _neighbours(slope, b)
            cross -= behind
            cross /= 4 * size[a] * size[b]
            mixed.append(cross)
    return straight + mixed


def _neighbours(volume: Any, axis: int) -> tuple[Any, Any]:
    """Return the volume shifted one voxel forwards and backwards, as new arrays."""
    xp = namespace(volume)
    return xp.roll(volume, -1, axis=axis), xp.roll(volume, 1, axis=axis)


def _second_difference(xp, ahead, behind, here, *, square):
    return (ahead + behind - 2 * here) / square


def _hessian_norm(xp, xx, yy, zz, xy, xz, yz):
    return xp.sqrt(xx**2 + yy**2 + zz**2 + 2 * (xy**2 + xz**2 + yz**2))


def _larger_vesselness(xp, best, norm, xx, yy, zz, xy, xz, yz, *, contrast):
    """Return the larger of `best` and the vesselness by the eigenvalues of the Hessian."""
    most, middle, least = _eigenvalues(xp, xx, yy, zz, xy, xz, yz)
    tube = (middle < 0) & (xp.abs(most) <= -middle)  # the two of largest magnitude are negative
    middle, least = (xp.where(tube, v, -xp.ones_like(v)) for v in (middle, least))
    flat, round_ = middle / least, most**2 / (middle * least)
    value = (1 - xp.exp(-(flat**2) / (2 * _PLATE**2))) * (1 - xp.exp(-(norm**2) / (2 * contrast**2)))
    value = value * xp.exp(-xp.clip(round_, None, 100.0) / (2 * _BLOB**2))
    return xp.where(tube & (value > best), value, best)


def _eigenvalues(xp, xx, yy, zz, xy, xz, yz):
    """Compute the eigenvalues of a symmetric 3 × 3 matrix, in descending order, by Viète's formula."""
    mean = (xx + yy + zz) / 3
    a, b, c = xx - mean, yy - mean, zz - mean
    spread = xp.sqrt((a**2 + b**2 + c**2 + 2 * (xy**2 + xz**2 + yz**2)) / 6)
    scale = 1 / xp.where(spread > 0, spread, xp.ones_like(spread))
    a, b, c, d, e, f = (v * scale for v in (a, b, c, xy, xz, yz))
    determinant = a * (b * c - f**2) - d * (d * c - f * e) + e * (d * f - b * e)
    angle = xp.acos(xp.clip(determinant / 2, -1.0, 1.0)) / 3
    most = mean + 2 * spread * xp.cos(angle)
    least = mean + 2 * spread * xp.cos(angle + 2 * np.pi / 3)
    return most, 3 * mean - most - least, least


def ridge(image: np.ndarray, grid: Grid, widths: tuple[float, ...]) -> np.ndarray:
    """Compute the contrast of bright tubes at the scale that fits them, the maximum over several widths.

    σ² · √(λ₂ λ₃), λ₂ and λ₃ being the two most negative eigenvalues of the Hessian of the image smoothed by a Gaussian
    of standard deviation σ; 0 where one of them is positive. A tube with a Gaussian profile of the same width and a
    contrast of 1 gives ¼ at its centre; blobs give less, plates and a slope nothing.

    Args:
        image: (nx, ny, nz) float32, any unit, on a cyclic grid.
        grid: voxel size.
        widths: σ, mm.

    Returns:
        (nx, ny, nz) float32, unit of the image.

    Reference:
        Sato 1998, doi:10.1016/S1361-8415(98)80009-1.
    """
    spectrum = rfftn(image)
    best = np.zeros(image.shape, np.float32)
    for width in widths:
        smooth = irfftn(spectrum * gaussian_spectrum(grid, image.shape, width), image.shape)
        _, middle, least = _eigenvalues(np, *_hessian(smooth, grid.voxel_size))
        tube = np.sqrt(np.maximum(-middle, 0) * np.maximum(-least, 0))
        np.maximum(best, np.float32(width**2) * tube, out=best)
    return best
