"""The data term of weak-harmonic inversion: a smooth field that no source in the mask makes is fitted along with χ."""

from __future__ import annotations

from typing import Any

from qsmbench.grid import Grid
from qsmbench.ops.arrays.array import compute, like, namespace
from qsmbench.ops.arrays.difference import laplacian_spectrum
from qsmbench.ops.arrays.fft import irfftn, rfftn
from qsmbench.ops.solvers.admm import FieldData
from qsmbench.ops.solvers.proximal import quadratic


class HarmonicData(FieldData):
    """The data term min over φ of f(Dχ + φ) + β/2 ‖M∇²φ‖², for `admm.minimise`, by y = Dχ + φ and h = −∇²φ.

    χ and φ are solved for together: for each k the normal matrix has 2 × 2 entries, and φ is eliminated. So a field
    that either could make is not handed to and fro between them.

    Args:
        kernel: half spectrum of D.
        field: (nx, ny, nz) float32, ppm, which is also y to begin with.
        pull: (nx, ny, nz) float32, w²/(w² + 1): the data term is Σ w²/2 (y − field)².
        inside: (nx, ny, nz) float32, the mask.
        grid: voxel size.
        weight: β, mm⁴.
        penalty: weight of the splitting h, mm⁴.

    Reference:
        Milovic 2019, doi:10.1002/mrm.27483.
    """

    def __init__(
        self, kernel: Any, field: Any, pull: Any, inside: Any, grid: Grid, *, weight: float, penalty: float
    ) -> None:
        super().__init__(kernel, quadratic, (field, pull), field)
        self._inside = inside
        self._laplacian = like(laplacian_spectrum(grid, field.shape), field)
        self._penalty, self._turn = penalty, 2 * weight / (penalty + weight)
        self._bend = namespace(field).zeros_like(field)  # s of the splitting h
        self._bend_hat: Any = None

    def normal(self, regulariser: Any) -> Any:
        """See `admm.Data`."""
        return compute(_normal, regulariser, self._kernel, self._laplacian, penalty=self._penalty)

    def solve(self, right: Any, normal: Any) -> tuple[Any, Any]:
        """See `admm.Data`."""
        target = rfftn(self._target)
        bend = rfftn(compute(_reflect_bend, self._bend, self._inside, turn=self._turn))
        parts = (target, right, bend)
        compute(_solve, *parts, normal, self._kernel, self._laplacian, out=parts, penalty=self._penalty)
        self._bend_hat = bend
        return target, right

    def update(self, field_hat: Any, relaxation: float) -> None:
        """See `admm.Data`."""
        super().update(field_hat, relaxation)
        bend = irfftn(self._bend_hat, self._bend.shape)
        arrays = (self._bend, bend, self._inside)
        compute(_step_bend, *arrays, out=self._bend, turn=self._turn, relaxation=relaxation)


def _reflect_bend(xp: Any, s: Any, inside: Any, *, turn: float) -> Any:
    """2h − s, where h is s, made smaller inside the mask."""
    return s - turn * inside * s


def _step_bend(xp: Any, s: Any, bend: Any, inside: Any, *, turn: float, relaxation: float) -> Any:
    return s + relaxation * (bend - s + 0.5 * turn * inside * s)


def _normal(xp: Any, regulariser: Any, kernel: Any, laplacian: Any, *, penalty: float) -> Any:
    stiff = penalty * laplacian * laplacian
    return regulariser + kernel * kernel * stiff / (1 + stiff)


def _solve(
    xp: Any, target: Any, right: Any, bend: Any, normal: Any, kernel: Any, laplacian: Any, *, penalty: float
) -> tuple[Any, Any, Any]:
    """χ̂, the spectrum of Dχ + φ, and that of −∇²φ."""
    free = 1 / (1 + penalty * laplacian * laplacian)
    phi = (target + penalty * laplacian * bend) * free  # φ if there were no χ
    chi = (kernel * (target - phi) + right) / normal
    phi = phi - free * kernel * chi
    return chi, kernel * chi + phi, laplacian * phi
