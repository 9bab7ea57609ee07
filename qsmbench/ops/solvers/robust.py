"""Least absolute differences, which outliers do not spoil, and the nonlinear data term that starts from there."""

from __future__ import annotations

from typing import Any

import numpy as np

from qsmbench.ops.solvers.admm import FieldData, Problem, minimise
from qsmbench.ops.solvers.proximal import absolute, phase
from qsmbench.ops.solvers.total_variation import TotalVariation


def least_absolute(
    problem: Problem,
    weight: Any,
    *,
    regularisation: float,
    penalty: float,
    relaxation: float,
    max_iterations: int,
    data_penalty: float = 1.5,
    tolerance: float = 0.0,
) -> Any:
    """The minimiser of ‖w(Dχ − field)‖₁ + λ‖∇χ‖₁, or some iterations towards it.

    Args:
        problem: the field to invert.
        weight: w, of the padded shape.
        regularisation: λ, mm.
        penalty: weight of the gradient splitting, in multiples of λ / |field|, mm.
        relaxation: over-relaxation of the splittings, 1 (none) to 2.
        max_iterations: stop then at the latest; with none, χ is zero.
        data_penalty: weight of the field splitting, in multiples of 1 / |field|.
        tolerance: stop when χ changes by less than this fraction between iterations.

    Returns:
        chi: (nx, ny, nz) float32, of the padded shape, ppm.
    """
    rho = data_penalty / problem.size
    data = FieldData(problem.kernel, absolute, (problem.field, weight / rho), problem.field)
    variation = TotalVariation(problem.zero(), problem.grid, regularisation / rho, penalty / problem.size)
    return minimise(data, variation, relaxation, tolerance, max_iterations)


def phase_data(
    problem: Problem, magnitude: Any, te: np.ndarray, b0: float, data_penalty: float, **first: Any
) -> tuple[FieldData, Any]:
    """The data term ½‖w(exp(iκDχ) − exp(iκ field))‖²/κ², and a first χ, in the basin of its right minimum.

    Args:
        problem: the field to invert.
        magnitude: (nx, ny, nz, n_echoes) a.u.; gives the relative precision w of the field.
        te: (n_echoes,) s; with the magnitude it gives κ, the phase per ppm.
        b0: T.
        data_penalty: ρ, weight of the field splitting.
        first: settings of `least_absolute`, which gives the first χ.

    Returns:
        data: divided by ρ.
        chi: (nx, ny, nz) float32, of the padded shape, ppm.
    """
    weight = problem.weight(magnitude, te)
    chi = least_absolute(problem, weight, **first)
    scale = problem.phase_scale(magnitude, te, b0)
    arrays = problem.field, weight**2 / data_penalty
    return FieldData(problem.kernel, phase, arrays, problem.field_of(chi), scale=scale), chi
