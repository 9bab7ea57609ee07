"""The terms of an inversion's solution, computed before it is masked.

Many solutions have sources outside the mask, which fit the field at its rim. Choosing the regularisation by the misfit
must include them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from qsmbench.grid import Grid
from qsmbench.ops.arrays.algebra import norm
from qsmbench.ops.arrays.array import like, masked, total
from qsmbench.ops.arrays.difference import gradient
from qsmbench.ops.arrays.fft import convolve
from qsmbench.ops.kernels.dipole import dipole_kernel


@dataclass
class Terms:
    """The two terms that an inversion balances, over its padded window.

    Attributes:
        misfit: ‖M(Dχ − field)‖₂, ppm.
        roughness: ‖∇χ‖₁, ppm/mm, summed over voxels and axes.
    """

    misfit: float = float("nan")
    roughness: float = float("nan")


_recorded: ContextVar[Terms | None] = ContextVar("recorded", default=None)


def report_solution(chi: Any, field: Any, inside: Any, grid: Grid) -> None:
    """Compute the terms of a solution within `record_solution`; do nothing elsewhere. Inversions call it.

    Args:
        chi: (nx, ny, nz) float32, ppm, of the padded window, not yet masked.
        field: (nx, ny, nz) float32, ppm, of the padded window.
        inside: (nx, ny, nz) bool, the mask M, of the padded window.
        grid: voxel size and B0 direction.
    """
    terms = _recorded.get()
    if terms is None:
        return
    model = convolve(chi, like(dipole_kernel(grid, tuple(chi.shape)), chi))
    terms.misfit = norm(masked(model - field, inside))
    terms.roughness = total(lambda xp, g: xp.abs(g), gradient(chi, grid.voxel_size))


@contextmanager
def record_solution() -> Iterator[Terms]:
    """Record the terms of the last solution reported within the context."""
    terms = Terms()
    token = _recorded.set(terms)
    try:
        yield terms
    finally:
        _recorded.reset(token)
