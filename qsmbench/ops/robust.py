"""A first χ that outliers of the field do not spoil, to begin with."""

from __future__ import annotations

from typing import Any

from qsmbench.grid import Grid
from qsmbench.ops.admm import FieldData, Problem, minimise
from qsmbench.ops.proximal import absolute
from qsmbench.ops.total_variation import TotalVariation

DATA_PENALTY = 300.0
"""Weight of the field splitting, 1/ppm: its inverse is the size of a misfit that counts as one."""


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
        penalty: weight of the gradient splitting, in multiples of λ, mm/ppm.
        relaxation: over-relaxation of the splittings, 1 (none) to 2.
        iterations: how many; with none, χ is zero.

    Returns:
        chi: (nx, ny, nz) float32, of the padded shape, ppm.
    """
    data = FieldData(problem.kernel, absolute, (problem.field, weight / DATA_PENALTY), problem.field)
    variation = TotalVariation(problem.zero(), grid, regularisation / DATA_PENALTY, penalty)
    return minimise(data, variation, relaxation, 0.0, iterations)
