"""The inversion of a field in its padded window."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from qsmbench.grid import Grid
from qsmbench.ops.arrays.array import like, namespace, to_numpy
from qsmbench.ops.arrays.fft import Window, convolve
from qsmbench.ops.kernels.dipole import dipole_kernel
from qsmbench.ops.solvers.reference import subtract_mask_mean
from qsmbench.ops.solvers.solution import report_solution
from qsmbench.ops.solvers.weight import effective_echo_time, field_weight
from qsmbench.units import rad_per_ppm


class Problem:
    """A field to invert, in its padded window.

    Attributes:
        field: (nx, ny, nz) float32 of the padded shape, ppm, zero outside the mask.
        grid: voxel size and B0 direction.
        shape: of the padded window.
    """

    def __init__(self, field: Any, mask: Any, grid: Grid, pad: float) -> None:
        """Crop the field to its window.

        Args:
            field: (nx, ny, nz) ppm.
            mask: (nx, ny, nz) bool.
            grid: voxel size and B0 direction.
            pad: zeros around the bounding box of the mask, mm along each axis.

        Raises:
            NotApplicable: the mask is empty.
        """
        self._window, self._mask, self.grid = Window.around(mask, grid, pad), mask, grid
        self.shape = self._window.shape
        self.field = self.take(field)

    @cached_property
    def kernel(self) -> Any:
        """(nx, ny, nz // 2 + 1) float32, half spectrum of the dipole."""
        return like(dipole_kernel(self.grid, self.shape), self.field)

    @cached_property
    def size(self) -> float:
        """Median of |field| where it is not zero, ppm (1 if it is zero everywhere).

        Penalties are proportional to it, so that the speed does not depend on the strength of the sources.
        """
        strength = np.abs(to_numpy(self.field))
        return float(np.median(strength[strength > 0])) if strength.any() else 1.0

    @cached_property
    def mask(self) -> Any:
        """(nx, ny, nz) bool, the mask, of the padded shape."""
        return self._window.take_mask(self._mask)

    def take(self, volume: Any) -> Any:
        """Crop a volume to the window; set it to zero outside the mask."""
        return self._window.take(volume, self._mask)

    def zero(self) -> Any:
        """Return a volume of zeros, of the padded shape."""
        return namespace(self.field).zeros_like(self.field)

    def inside(self) -> Any:
        """Return 1 inside the mask and 0 outside, float32, of the padded shape."""
        return self.take(self._mask)

    def weight(self, magnitude: Any, te: np.ndarray) -> Any:
        """Return the relative precision of the field, w, of the padded shape (see `field_weight`).

        Args:
            magnitude: (nx, ny, nz, n_echoes) a.u.
            te: (n_echoes,) s.
        """
        return self.take(field_weight(magnitude, te, self._mask))

    def phase_scale(self, magnitude: Any, te: np.ndarray, b0: float) -> float:
        """Return the phase per field at the effective echo time, κ (see `effective_echo_time`).

        Args:
            magnitude: (nx, ny, nz, n_echoes) a.u.
            te: (n_echoes,) s.
            b0: T.

        Returns:
            rad/ppm.
        """
        return rad_per_ppm(b0, effective_echo_time(magnitude, te, self._mask))

    def field_of(self, chi: Any) -> Any:
        """Return the field of a χ of the padded shape, ppm."""
        return convolve(chi, self.kernel)

    def finish(self, chi: Any) -> Any:
        """Report a χ of the padded shape as the solution, and return it with zero mean over the mask, zero outside."""
        report_solution(chi, self.field, self.mask, self.grid)
        return subtract_mask_mean(self._window.put(chi, self._mask), self._mask)
