"""The alternating direction method of multipliers: a data term and a regulariser, each given by its splitting.

It minimises f(y) + R(χ), where y = Dχ is the field. The splitting y keeps weights and mask out of the k-space division,
so that voxels outside the mask carry no data; without it, the field would count as zero there (Milovic 2018,
doi:10.1002/mrm.27073). A splitting stores one array, s: y = prox(s) is the split variable and s − y its multiplier.
That is the Douglas–Rachford form of the method (Eckstein & Bertsekas 1992, doi:10.1007/BF01581204).

The penalty ρ of the splitting y = Dχ is 1 here: for another one, divide the objective by it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from qsmbench.compiled import compiled
from qsmbench.ops.arrays.array import compute, is_numpy, namespace
from qsmbench.ops.arrays.fft import irfftn, rfftn
from qsmbench.threads import over_planes


class Regulariser(Protocol):
    """The splittings of R(χ), as used by the χ-step."""

    chi: Any
    """(nx, ny, nz) float32, χ after the latest step."""

    normal: Any
    """Half spectrum of its part of the normal matrix of the χ-step, not negative; zero at k = 0."""

    def right_hand_side(self) -> Any:
        """Return the half spectrum of its part of the right-hand side of the χ-step."""

    def update(self, chi_hat: Any, relaxation: float) -> float:
        """Update χ and the splittings, and return ‖change of χ‖ / ‖χ‖.

        Args:
            chi_hat: (nx, ny, nz // 2 + 1) complex64, half spectrum of the new χ; overwritten.
            relaxation: over-relaxation, 1 (none) to 2.
        """


class Data(Protocol):
    """The splitting of the data term, which also solves the χ-step."""

    def normal(self, regulariser: Any) -> Any:
        """Return the normal matrix of the χ-step, given the part of the regulariser."""

    def solve(self, right: Any, normal: Any) -> tuple[Any, Any]:
        """Return the half spectra of the new χ and of its field.

        Args:
            right: (nx, ny, nz // 2 + 1) complex64, right-hand side of the regulariser; overwritten.
            normal: (nx, ny, nz // 2 + 1) float32, normal matrix.
        """

    def update(self, field_hat: Any, relaxation: float) -> None:
        """Update the splitting.

        Args:
            field_hat: (nx, ny, nz // 2 + 1) complex64, half spectrum of the field of the new χ; overwritten.
            relaxation: over-relaxation, 1 (none) to 2.
        """


def minimise(data: Data, regulariser: Regulariser, relaxation: float, tolerance: float, max_iterations: int) -> Any:
    """Minimise data term + regulariser over χ.

    Args:
        data: the data term.
        regulariser: the regulariser, which contains the initial χ.
        relaxation: over-relaxation of all splittings, 1 (none) to 2.
        tolerance: stop when χ changes by less than this fraction between iterations.
        max_iterations: largest number of iterations.

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
        start: (nx, ny, nz) float32, initial s, ppm: the measured field, or that of an initial χ.
        reweigh: called with the field of each new χ, before s is updated; may change `arrays` in place.
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
            s = s + relaxation * (field - 0.5 * (target + s))  # y is the mean of target and s
            return s, reflect(xp, s, *arrays)

        self._kernel, self._arrays, self._step, self._reweigh = kernel, arrays, step, reweigh
        self._split = namespace(start).asarray(start, copy=True)
        self._target = compute(reflect, start, *arrays)  # of the χ-step: y minus its multiplier

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
    """Solve the χ-step: return χ̂ = (D · target + right) / normal and D · χ̂, written over `target` and `right`.

    Args:
        target: (nx, ny, nz // 2 + 1) complex64, half spectrum of y minus its multiplier.
        right: (nx, ny, nz // 2 + 1) complex64, right-hand side of the regulariser.
        kernel: (nx, ny, nz // 2 + 1) float32, half spectrum of D.
        normal: (nx, ny, nz // 2 + 1) float32, normal matrix.
    """
    if is_numpy(target):
        over_planes(_divide, target.shape[0], target, right, kernel, normal)
        return target, right
    chi_hat = (kernel * target + right) / normal
    return chi_hat, kernel * chi_hat


@compiled(fastmath={"contract"})
def _divide(start, stop, target, right, kernel, normal):
    _, ny, nz = target.shape
    for i in range(start, stop):
        for j in range(ny):
            t, r, d, n = target[i, j], right[i, j], kernel[i, j], normal[i, j]
            for k in range(nz):
                chi = (t[k] * d[k] + r[k]) / n[k]
                t[k] = chi
                r[k] = chi * d[k]
