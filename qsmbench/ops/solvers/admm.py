"""The alternating direction method of multipliers: a data term and a regulariser, each given by its splitting.

It minimises f(y) + R(χ), where y = Dχ is the field. Splitting y off keeps weights and mask out of the k-space division,
so voxels outside the mask carry no data, rather than the false statement that the field is zero there (Milovic 2018,
doi:10.1002/mrm.27073). A splitting keeps one array, s: y = prox(s) is the split variable and s − y its multiplier. That
is the Douglas–Rachford form of the method (Eckstein & Bertsekas 1992, doi:10.1007/BF01581204).

The penalty ρ of the splitting y = Dχ is 1 here: for another one, divide the objective by it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, Protocol

import numba
import numpy as np

from qsmbench.grid import Grid
from qsmbench.ops.arrays.array import compute, is_numpy, like, namespace, to_numpy
from qsmbench.ops.arrays.fft import Window, irfftn, rfftn
from qsmbench.ops.kernels.dipole import dipole_kernel
from qsmbench.ops.solvers.reference import subtract_mask_mean
from qsmbench.ops.solvers.solution import report_solution
from qsmbench.ops.solvers.weight import effective_echo_time, field_weight
from qsmbench.threads import over_planes
from qsmbench.units import rad_per_ppm


class Problem:
    """A field to invert, in its padded window.

    Attributes:
        field: (nx, ny, nz) float32 of the padded shape, ppm, zero outside the mask.
        kernel: half spectrum of the dipole.
        grid: voxel size and B0 direction.
    """

    def __init__(self, local_field: Any, mask: Any, grid: Grid, pad: float) -> None:
        self._window, self._mask, self.grid = Window.around(mask, grid, pad), mask, grid
        self.field = self.take(local_field)
        self.kernel = like(dipole_kernel(grid, self._window.shape), self.field)

    @cached_property
    def size(self) -> float:
        """The median of |field| where there is one, ppm (1 if nowhere).

        Penalties are in proportion to it, so that the speed does not depend on how strong the sources are.
        """
        strength = np.abs(to_numpy(self.field))
        return float(np.median(strength[strength > 0])) if strength.any() else 1.0

    def take(self, volume: Any) -> Any:
        """A volume, zero outside the mask, of the padded shape."""
        return self._window.take(volume, self._mask)

    def zero(self) -> Any:
        """A volume of zeros, of the padded shape."""
        return namespace(self.field).zeros_like(self.field)

    def inside(self) -> Any:
        """1 inside the mask and 0 outside, float32, of the padded shape."""
        return self.take(self._mask)

    def weight(self, magnitude: Any, te: np.ndarray) -> Any:
        """The relative precision of the field, w, of the padded shape (see `field_weight`)."""
        return self.take(field_weight(magnitude, te, self._mask))

    def phase_scale(self, magnitude: Any, te: np.ndarray, b0: float) -> float:
        """The phase per field at the scan's effective echo time, κ, rad/ppm (see `effective_echo_time`)."""
        return rad_per_ppm(b0, effective_echo_time(magnitude, te, self._mask))

    def field_of(self, chi: Any) -> Any:
        """The field of a χ of the padded shape, ppm."""
        return irfftn(rfftn(chi) * self.kernel, chi.shape)

    def finish(self, chi: Any) -> Any:
        """χ of the padded shape as a volume, with zero mean over the mask and zero outside."""
        report_solution(chi, self.field, self._window.take_mask(self._mask), self.grid)
        return subtract_mask_mean(self._window.put(chi, self._mask), self._mask)


class Regulariser(Protocol):
    """The splittings of R(χ), as the χ-step sees them."""

    chi: Any
    """(nx, ny, nz) float32, χ after the latest step."""

    normal: Any
    """Half spectrum of its part of the χ-step's normal matrix, not negative; zero at k = 0."""

    def right_hand_side(self) -> Any:
        """Half spectrum of its part of the χ-step's right-hand side."""

    def update(self, chi_hat: Any, relaxation: float) -> float:
        """Take the spectrum of a new χ, which is overwritten, and return ‖change of χ‖ / ‖χ‖."""


class Data(Protocol):
    """The splitting of the data term, which also solves the χ-step."""

    def normal(self, regulariser: Any) -> Any:
        """The χ-step's normal matrix, given the regulariser's part of it."""

    def solve(self, right: Any, normal: Any) -> tuple[Any, Any]:
        """Half spectra of the new χ, given the regulariser's right-hand side (overwritten), and of its field."""

    def update(self, field_hat: Any, relaxation: float) -> None:
        """Take the field of a new χ."""


def minimise(data: Data, regulariser: Regulariser, relaxation: float, tolerance: float, max_iterations: int) -> Any:
    """Minimise data term + regulariser over χ.

    Args:
        data: the data term.
        regulariser: the regulariser; it holds the χ to start from.
        relaxation: over-relaxation of all splittings, 1 (none) to 2.
        tolerance: stop when χ changes by less than this fraction between iterations.
        max_iterations: stop then at the latest.

    Returns:
        chi: (nx, ny, nz) float32, of the padded shape, ppm, zero mean.
    """
    normal = data.normal(regulariser.normal)
    normal[0, 0, 0] = 1  # all parts are zero there: the mean of χ is undetermined and left at zero
    for _ in range(max_iterations):
        chi_hat, field_hat = data.solve(regulariser.right_hand_side(), normal)
        if regulariser.update(chi_hat, relaxation) < tolerance:
            break
        data.update(field_hat, relaxation)
    return regulariser.chi


class FieldData:
    """The data term f(Dχ).

    Args:
        kernel: half spectrum of D.
        proximal: argmin over y of f(y) + ½ (y − s)², as an expression (xp, s, *arrays, **constants).
        arrays: of the padded shape, passed on to `proximal`.
        start: (nx, ny, nz) float32, s to begin with, ppm: the measured field, or that of a first χ.
        reweigh: called with the field of each new χ, before s follows it; may change `arrays` in place.
        constants: passed on to `proximal`.
    """

    def __init__(
        self,
        kernel: Any,
        proximal: Callable[..., Any],
        arrays: tuple[Any, ...],
        start: Any,
        reweigh: Callable[[Any], None] | None = None,
        **constants: float,
    ) -> None:
        def reflect(xp: Any, s: Any, *arrays: Any) -> Any:
            return 2 * proximal(xp, s, *arrays, **constants) - s

        def step(xp: Any, s: Any, target: Any, field: Any, *arrays: Any, relaxation: float) -> tuple[Any, Any]:
            s = s + relaxation * (field - 0.5 * (target + s))  # the middle of the two is y
            return s, reflect(xp, s, *arrays)

        self._kernel, self._arrays, self._step, self._reweigh = kernel, arrays, step, reweigh
        self._split = namespace(start).asarray(start, copy=True)
        self._target = compute(reflect, start, *arrays)  # what the χ-step shall come to: y minus its multiplier

    def normal(self, regulariser: Any) -> Any:
        """See `Data`."""
        return compute(lambda _, r, d: r + d * d, regulariser, self._kernel)

    def solve(self, right: Any, normal: Any) -> tuple[Any, Any]:
        """See `Data`."""
        return divide(rfftn(self._target), right, self._kernel, normal)

    def update(self, field_hat: Any, relaxation: float) -> None:
        """See `Data`."""
        s, target = self._split, self._target
        field = irfftn(field_hat, s.shape)
        if self._reweigh:
            self._reweigh(field)
        compute(self._step, s, target, field, *self._arrays, out=(s, target), relaxation=relaxation)


def divide(target: Any, right: Any, kernel: Any, normal: Any) -> tuple[Any, Any]:
    """χ̂ = (D · target + right) / normal, and its field D · χ̂, written over `target` and `right`."""
    if is_numpy(target):
        over_planes(_divide, target.shape[0], target, right, kernel, normal)
        return target, right
    chi_hat = (kernel * target + right) / normal
    return chi_hat, kernel * chi_hat


@numba.njit(nogil=True, cache=True, fastmath={"contract"})
def _divide(start, stop, target, right, kernel, normal):
    _, ny, nz = target.shape
    for i in range(start, stop):
        for j in range(ny):
            t, a, d, n = target[i, j], right[i, j], kernel[i, j], normal[i, j]
            for k in range(nz):
                chi = (t[k] * d[k] + a[k]) / n[k]
                t[k] = chi
                a[k] = chi * d[k]
