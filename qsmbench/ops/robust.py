"""A first χ that outliers of the field do not spoil, to begin with."""

from __future__ import annotations

from typing import Any

from qsmbench.grid import Grid
from qsmbench.ops.admm import FieldData, Problem, minimise
from qsmbench.ops.proximal import absolute
from qsmbench.ops.total_variation import TotalVariation

DATA_PENALTY = 1.5
"""Weight of the field splitting, in multiples of 1 / |field|."""


def first_chi(
    problem: Problem,
    weight: Any,
    grid: Grid,
    *,
    regularisation: float,
    penalty: float,
    relaxation: float,
    iterations: int,
) -> Any:
    """Some iterations towards the minimiser of ‖w(Dχ − field)‖₁ + λ‖∇χ‖₁.

    Args:
        problem: the field to invert.
        weight: w, of the padded shape.
        grid: voxel size.
        regularisation: λ, mm.
        penalty: weight of the gradient splitting, in multiples of λ / |field|, mm.
        relaxation: over-relaxation of the splittings, 1 (none) to 2.
        iterations: how many; with none, χ is zero.

    Returns:
        chi: (nx, ny, nz) float32, of the padded shape, ppm.
    """
    rho = DATA_PENALTY / problem.size
    data = FieldData(problem.kernel, absolute, (problem.field, weight / rho), problem.field)
    variation = TotalVariation(problem.zero(), grid, regularisation / rho, penalty / problem.size)
    return minimise(data, variation, relaxation, 0.0, iterations)
