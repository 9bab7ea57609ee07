"""The data term of weak-harmonic inversion, which fits a nearly harmonic field along with χ."""

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

    χ and φ are solved for jointly: for each k the normal matrix has 2 × 2 entries, and φ is eliminated. This converges
    faster than alternating between them, since both explain part of the same field.

    Args:
        kernel: half spectrum of D.
        field: (nx, ny, nz) float32, ppm, which is also the initial y.
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
        self._penalty, self._reflection = penalty, 2 * weight / (penalty + weight)
        self._split_h = namespace(field).zeros_like(field)  # s of the splitting h
        self._h_hat: Any = None

    def normal(self, regulariser: Any) -> Any:
        """See `admm.Data`."""
        return compute(_normal, regulariser, self._kernel, self._laplacian, penalty=self._penalty)

    def solve(self, right: Any, normal: Any) -> tuple[Any, Any]:
        """See `admm.Data`."""
        target = rfftn(self._target)
        h = rfftn(compute(_reflect, self._split_h, self._inside, reflection=self._reflection))
        parts = (target, right, h)
        compute(_solve, *parts, normal, self._kernel, self._laplacian, out=parts, penalty=self._penalty)
        self._h_hat = h
        return target, right

    def update(self, field_hat: Any, relaxation: float) -> None:
        """See `admm.Data`."""
        super().update(field_hat, relaxation)
        h = irfftn(self._h_hat, self._split_h.shape)
        arrays = (self._split_h, h, self._inside)
        compute(_step, *arrays, out=self._split_h, reflection=self._reflection, relaxation=relaxation)


def _reflect(xp: Any, s: Any, inside: Any, *, reflection: float) -> Any:
    """Return 2h − s, where h is s, shrunk inside the mask."""
    return s - reflection * inside * s


def _step(xp: Any, s: Any, h: Any, inside: Any, *, reflection: float, relaxation: float) -> Any:
    return s + relaxation * (h - s + 0.5 * reflection * inside * s)


def _normal(xp: Any, regulariser: Any, kernel: Any, laplacian: Any, *, penalty: float) -> Any:
    stiff = penalty * laplacian * laplacian
    return regulariser + kernel * kernel * stiff / (1 + stiff)


def _solve(
    xp: Any, target: Any, right: Any, h: Any, normal: Any, kernel: Any, laplacian: Any, *, penalty: float
) -> tuple[Any, Any, Any]:
    """Return χ̂ and the spectra of Dχ + φ and of −∇²φ."""
    free = 1 / (1 + penalty * laplacian * laplacian)
    phi = (target + penalty * laplacian * h) * free  # φ if χ were zero
    chi = (kernel * (target - phi) + right) / normal
    phi = phi - free * kernel * chi
    return chi, kernel * chi + phi, laplacian * phi
