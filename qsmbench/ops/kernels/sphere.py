"""Spherical mean value (SMV) kernels on voxels of any shape."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from qsmbench.errors import NotApplicable
from qsmbench.grid import Grid
from qsmbench.ops.arrays.array import compute, like, namespace
from qsmbench.ops.arrays.fft import Shape, Window, convolve, irfftn, rfftn

_PARTS = 6  # sub-points along each side of a voxel; the weights at the surface are right to about 1/6³


def sphere_weights(radius: float, voxel_size: tuple[float, float, float]) -> np.ndarray:
    """Compute the weight of each voxel in the mean over a ball around the centre of the central voxel.

    A voxel that the surface cuts counts with the fraction of it that lies in the ball. On anisotropic voxels, the
    weights of a true ball would not average a harmonic field like x² − z² to its value at the centre: a voxel of
    side d adds d²/12 to the second moment along its axis. So the ball is flattened along the longer sides until the
    moments are equal, and the remaining difference is moved between the centre and its neighbours. Then the mean of
    harmonic polynomials up to third order is exact.

    Args:
        radius: mm, not smaller than the longest side of a voxel.
        voxel_size: mm.

    Returns:
        (2hx + 1, 2hy + 1, 2hz + 1) float64 with sum 1; all but possibly the central one are ≥ 0.
    """
    size = np.array(voxel_size)
    squares = radius**2 - 5 / 12 * (size**2 - size.min() ** 2)
    for _ in range(3):
        weights = _ellipsoid(np.sqrt(squares), size)
        moments = _second_moments(weights, size)
        squares = np.maximum(squares - 5 * (moments - moments.min()), squares.max() / 4)
    _equalise(weights, moments, size)
    return weights


def _ellipsoid(semiaxes: np.ndarray, size: np.ndarray) -> np.ndarray:
    half = np.maximum(np.floor(semiaxes / size + 0.5).astype(int), 1)
    sub = (np.arange(_PARTS) + 0.5) / _PARTS - 0.5
    x, y, z = ((np.arange(h + 1)[:, None] + sub).ravel() * d / a for h, d, a in zip(half, size, semiaxes, strict=True))
    inside = (x**2)[:, None, None] + (y**2)[:, None] + z**2 <= 1
    nx, ny, nz = half + 1
    octant = inside.reshape(nx, _PARTS, ny, _PARTS, nz, _PARTS).sum(axis=(1, 3, 5)).astype(float)
    weights = octant[np.ix_(*(np.abs(np.arange(-h, h + 1)) for h in half))]
    return weights / weights.sum()


def _second_moments(weights: np.ndarray, size: np.ndarray) -> np.ndarray:
    x, y, z = ((np.arange(n) - n // 2) * d for n, d in zip(weights.shape, size, strict=True))
    return np.array([(weights * square).sum() for square in ((x**2)[:, None, None], (y**2)[:, None], z**2)])


def _equalise(weights: np.ndarray, moments: np.ndarray, size: np.ndarray) -> None:
    """Move weight, in place, from the centre to its neighbours until the second moments are equal."""
    centre = np.array(weights.shape) // 2
    for axis, share in enumerate((moments.max() - moments) / (2 * size**2)):
        for step in (-1, 1):
            neighbour = centre.copy()
            neighbour[axis] += step
            weights[tuple(neighbour)] += share
        weights[tuple(centre)] -= 2 * share


@lru_cache(maxsize=1)
def smv_kernel(grid: Grid, shape: Shape, radius: float) -> np.ndarray:
    """Compute the half spectrum of the SMV kernel of a ball, which is real since the ball is symmetric.

    Args:
        grid: gives the voxel size.
        shape: padded shape of the transform, not smaller than the ball.
        radius: mm.

    Returns:
        (nx, ny, nz // 2 + 1) float32, read-only, 1 at k = 0.
    """
    weights = sphere_weights(radius, grid.voxel_size)
    around = [np.arange(-(n // 2), n // 2 + 1) % size for n, size in zip(weights.shape, shape, strict=True)]
    volume = np.zeros(shape, np.float32)
    np.add.at(volume, np.ix_(*around), weights.astype(np.float32))
    kernel = np.ascontiguousarray(rfftn(volume).real)
    kernel.flags.writeable = False
    return kernel


def ball_centres(mask_hat: Any, kernel: Any, shape: Shape) -> Any:
    """Find the voxels around which the ball of an SMV kernel lies within a mask.

    One voxel of zeros between the mask and its cyclic copies is sufficient, since a ball that crosses it contains part
    of it.

    Args:
        mask_hat: (nx, ny, nz // 2 + 1), half spectrum of the mask.
        kernel: (nx, ny, nz // 2 + 1) float32, of the ball.
        shape: of the transform.

    Returns:
        (nx, ny, nz) bool.
    """
    return irfftn(kernel * mask_hat, shape) > 1 - 2e-5  # beyond rounding, the ball lies in the mask


class SphericalMean:
    """Spherical mean values of one ball, in the window of a mask.

    Attributes:
        kernel: (nx, ny, nz // 2 + 1) float32, half spectrum of the mean over the ball.
        centres: (nx, ny, nz) bool, the voxels around which the ball lies in the mask.
    """

    def __init__(self, mask: Any, grid: Grid, radius: float, pad: float = 0.0) -> None:
        """Compute the kernel of the ball and find where the ball fits.

        Args:
            mask: (nx, ny, nz) bool.
            grid: of the mask.
            radius: mm; raised to the longest side of a voxel if smaller.
            pad: zeros around the bounding box of the mask, mm along each axis; at least one voxel and the ball's size.

        Raises:
            NotApplicable: the ball fits nowhere in the mask.
        """
        xp = namespace(mask)
        radius = max(radius, *grid.voxel_size)
        self._window, self._mask = Window.around(mask, grid, max(pad, *grid.voxel_size)), mask
        inside = xp.astype(self._window.take_mask(mask), xp.float32)
        self.kernel = like(smv_kernel(grid, self._window.shape, radius), inside)
        self.centres = ball_centres(rfftn(inside), self.kernel, self._window.shape)
        if not xp.any(self.centres):
            raise NotApplicable(f"no ball of radius {radius:g} mm fits into the mask")

    def subtract_mean(self, field: Any) -> Any:
        """Crop a field to the window and subtract its mean over the ball at the centres; set it to zero elsewhere."""
        volume = self._window.take(field, self._mask)
        return compute(_difference, volume, convolve(volume, self.kernel), self.centres)

    def finish(self, local_field: Any) -> tuple[Any, Any]:
        """Return a local field in the window as a volume, zero away from the centres, and the mask of the centres."""
        eroded = self._window.put(self.centres, self._mask)
        return self._window.put(local_field, eroded), eroded


def _difference(xp, volume, mean, centres):
    return xp.where(centres, volume - mean, 0.0)


def deconvolve_smv(filtered: Any, kernel: Any, threshold: float) -> Any:
    """Divide a volume by the filter 1 − SMV, omitting frequencies at which the filter is below `threshold`.

    Args:
        filtered: (nx, ny, nz) float32.
        kernel: (nx, ny, nz // 2 + 1) float32, of the ball.
        threshold: truncation of the singular values.

    Returns:
        (nx, ny, nz) float32.

    Reference:
        Schweser 2011, doi:10.1016/j.neuroimage.2010.10.070.
    """
    spectrum = rfftn(filtered)
    compute(_truncated_division, spectrum, kernel, out=spectrum, threshold=threshold)
    return irfftn(spectrum, filtered.shape)


def _truncated_division(xp, spectrum, kernel, *, threshold):
    passed = 1 - kernel
    return xp.where(passed < threshold, xp.zeros_like(spectrum), spectrum / xp.where(passed < threshold, 1.0, passed))
