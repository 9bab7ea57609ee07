"""Inversion with an L1 data term by the alternating direction method of multipliers."""

from qsmbench.method import method
from qsmbench.ops.solvers.problem import Problem
from qsmbench.ops.solvers.robust import least_absolute


@method(produces="chi", reference="Milovic 2022, doi:10.1002/mrm.28957", portable=True)
def l1_qsm(
    local_field,
    magnitude,
    mask,
    te,
    grid,
    *,
    regularisation=0.05,
    penalty=2.5,
    data_penalty=0.5,
    relaxation=1.8,
    tolerance=0.003,
    max_iterations=200,
    pad=20.0,
):
    """L1-QSM: the minimiser of ‖w(Dχ − field)‖₁ + λ‖∇χ‖₁.

    The influence of a voxel does not increase with its error, so that outliers (wraps, flow, strong sources nearby)
    cause no streaks. w is the relative precision of the field by the magnitude. By ADMM.

    Args:
        regularisation: λ, weight of the regularisation, mm (the gradient is per mm).
        data_penalty: weight of the field splitting, in multiples of 1 / |field|; affects the speed, not the converged
            solution.

    Reference:
        Milovic 2022, doi:10.1002/mrm.28957 (its linear variant).
    """
    problem = Problem(local_field, mask, grid, pad)
    splittings = {"penalty": penalty, "data_penalty": data_penalty, "relaxation": relaxation}
    stop = {"tolerance": tolerance, "max_iterations": max_iterations}
    weight = problem.weight(magnitude, te)
    return problem.finish(least_absolute(problem, weight, regularisation=regularisation, **splittings, **stop))
