"""Least absolute differences, robust to outliers, and a nonlinear data term that starts from their solution."""

from __future__ import annotations

from typing import Any

import numpy as np

from qsmbench.ops.solvers.admm import FieldData, minimise
from qsmbench.ops.solvers.problem import Problem
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
    """Minimise ‖w(Dχ − field)‖₁ + λ‖∇χ‖₁ by ADMM, with a limited number of iterations.

    Args:
        problem: the field to invert.
        weight: (nx, ny, nz) float32, w, of the padded shape.
        regularisation: λ, mm.
        penalty: weight of the gradient splitting, in multiples of λ / |field|, mm.
        relaxation: over-relaxation of the splittings, 1 (none) to 2.
        max_iterations: largest number of iterations; with 0, χ is zero.
        data_penalty: weight of the field splitting, in multiples of 1 / |field|.
        tolerance: stop when χ changes by less than this fraction between iterations.

    Returns:
        chi: (nx, ny, nz) float32, of the padded shape, ppm.

    Reference:
        Milovic 2022, doi:10.1002/mrm.28957.
    """
    rho = data_penalty / problem.size
    data = FieldData(problem.kernel, absolute, (problem.field, weight / rho), problem.field)
    variation = TotalVariation(problem.zero(), problem.grid, regularisation / rho, penalty / problem.size)
    return minimise(data, variation, relaxation, tolerance, max_iterations)


def phase_data(
    problem: Problem, magnitude: Any, te: np.ndarray, b0: float, data_penalty: float, **first: Any
) -> tuple[FieldData, Any]:
    """Return the data term ½‖w(exp(iκDχ) − exp(iκ field))‖²/κ², and an initial χ near its global minimum.

    Args:
        problem: the field to invert.
        magnitude: (nx, ny, nz, n_echoes) a.u., which gives the relative precision w of the field.
        te: (n_echoes,) s; with the magnitude it gives κ, rad/ppm.
        b0: T.
        data_penalty: ρ, weight of the field splitting.
        first: settings of `least_absolute`, which computes the first χ.

    Returns:
        data: the data term, divided by ρ.
        chi: (nx, ny, nz) float32, of the padded shape, ppm.

    Reference:
        Milovic 2018, doi:10.1002/mrm.27073.
    """
    weight = problem.weight(magnitude, te)
    chi = least_absolute(problem, weight, **first)
    scale = problem.phase_scale(magnitude, te, b0)
    arrays = problem.field, weight**2 / data_penalty
    return FieldData(problem.kernel, phase, arrays, problem.field_of(chi), scale=scale), chi
