"""Spherical mean value (SMV) kernels on voxels of any shape."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from qsmbench.errors import NotApplicable
from qsmbench.grid import Grid
from qsmbench.ops.arrays.array import compute, like, namespace
from qsmbench.ops.arrays.fft import Shape, Window, convolve, irfftn, rfftn


def sphere_weights(radius: float, voxel_size: tuple[float, float, float]) -> np.ndarray:
    """Compute the weight of each voxel in the mean over a ball around the centre of the central voxel.

    A voxel belongs to the ball if its centre does, as in the published implementations of SHARP and RESHARP. Counting
    cut voxels by their share would make the surface smoother, but the ball larger: it would not fit around many voxels
    at the edge of a mask. On cubic voxels, the mean of any harmonic polynomial up to third order is exact by symmetry.
    On others, equal weights would not average x² − z² to its value at the centre; so they are changed, as little as
    possible, until the second moments are equal.

    Args:
        radius: mm, not smaller than the longest side of a voxel.
        voxel_size: mm.

    Returns:
        (2hx + 1, 2hy + 1, 2hz + 1) float64 with sum 1; ≥ 0, unless the radius is the longest side of a voxel and that
            is five times the shortest or more.
    """
    size = np.array(voxel_size)
    limit = radius * (1 + 1e-6)
    x, y, z = (np.arange(-h, h + 1) * d for h, d in zip((limit / size).astype(int), size, strict=True))
    inside = (x**2)[:, None, None] + (y**2)[:, None] + z**2 <= limit**2
    weights = np.zeros(inside.shape)
    weights[inside] = _with_equal_moments(np.argwhere(inside) * size - [x[-1], y[-1], z[-1]])
    return weights


def _with_equal_moments(points: np.ndarray) -> np.ndarray:
    """Compute the weights of symmetric points (n, 3), nearest to 1/n, whose second moments about 0 are equal."""
    squares = points**2
    moments = squares.mean(axis=0)
    deviation = squares - moments
    spread = np.linalg.inv(deviation.T @ deviation / len(points))
    target = spread.sum(axis=0) @ moments / spread.sum()
    return (1 + deviation @ spread @ (target - moments)) / len(points)


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
    of it. Rounding limits the ball to about 100 000 voxels.

    Args:
        mask_hat: (nx, ny, nz // 2 + 1), half spectrum of the mask.
        kernel: (nx, ny, nz // 2 + 1) float32, of the ball.
        shape: of the transform.

    Returns:
        (nx, ny, nz) bool.
    """
    return irfftn(kernel * mask_hat, shape) > 1 - 5e-6  # less than a voxel of the ball, more than rounding


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

    def take(self, field: Any) -> Any:
        """Crop a field to the window, zero outside the mask."""
        return self._window.take(field, self._mask)

    def subtract_mean(self, field: Any) -> Any:
        """Crop a field to the window and subtract its mean over the ball at the centres; set it to zero elsewhere."""
        volume = self.take(field)
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
