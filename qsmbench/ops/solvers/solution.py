"""A look at the solution of an inversion before it is cut to the mask.

Sources outside the mask are part of many solutions: they make the field at its rim fit. Whoever judges a solution by
its misfit, as the choice of the regularisation does, has to see them.
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
    """What an inversion balances, over its padded window.

    Attributes:
        misfit: ‖M(Dχ − field)‖₂, ppm.
        roughness: ‖∇χ‖₁, ppm/mm, summed over voxels and axes.
    """

    misfit: float = float("nan")
    roughness: float = float("nan")


_watcher: ContextVar[Terms | None] = ContextVar("watcher", default=None)


def report_solution(chi: Any, field: Any, inside: Any, grid: Grid) -> None:
    """Called by an inversion with its solution; computes the terms if somebody watches, and nothing otherwise.

    Args:
        chi: (nx, ny, nz) float32, ppm, of the padded window, not yet masked.
        field: (nx, ny, nz) float32, ppm, likewise.
        inside: (nx, ny, nz) bool, the mask M, likewise.
        grid: voxel size and B0 direction.
    """
    terms = _watcher.get()
    if terms is None:
        return
    model = convolve(chi, like(dipole_kernel(grid, tuple(chi.shape)), chi))
    terms.misfit = norm(masked(model - field, inside))
    terms.roughness = total(lambda xp, g: xp.abs(g), gradient(chi, grid.voxel_size))


@contextmanager
def record_solution() -> Iterator[Terms]:
    """The terms of the last solution that is found within."""
    terms = Terms()
    token = _watcher.set(terms)
    try:
        yield terms
    finally:
        _watcher.reset(token)
