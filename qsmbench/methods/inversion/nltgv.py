"""Nonlinear total-generalised-variation inversion by the alternating direction method of multipliers."""

from qsmbench.method import method
from qsmbench.ops.solvers.admm import minimise
from qsmbench.ops.solvers.generalised_variation import GeneralisedVariation
from qsmbench.ops.solvers.problem import Problem
from qsmbench.ops.solvers.robust import phase_data


@method(produces="chi", reference="Milovic 2018, doi:10.1002/mrm.27073", portable=True)
def nltgv(
    local_field,
    magnitude,
    mask,
    te,
    b0,
    grid,
    *,
    regularisation=1.5e-4,
    first_regularisation=0.05,
    first_iterations=20,
    curvature=3.0,
    penalty=2.5,
    curvature_penalty=100.0,
    data_penalty=0.5,
    relaxation=1.8,
    tolerance=0.0025,
    max_iterations=100,
    pad=20.0,
):
    """Nonlinear total generalised variation (FANSI): the data term of `nltv` with the regulariser of `tgv`.

    It finds a minimum of ½‖w(exp(iκDχ) − exp(iκ field))‖²/κ² + min over v of α₁‖∇χ − v‖₁ + α₀‖Ev‖₁, starting, as
    `nltv` does, from some iterations of `l1_qsm`. By ADMM.

    Args:
        regularisation: α₁, weight of the regularisation, ppm·mm (the gradient is per mm).
        penalty: weight of the gradient splitting, in multiples of α₁ / |field|, mm; affects the speed, not the
            converged solution.
        data_penalty: ρ, weight of the field splitting; with 0.1, voxels that are wrong by whole turns
            can keep it from converging (the largest w² is 1 to 2).

    Reference:
        Milovic 2018, doi:10.1002/mrm.27073; Bredies 2010, doi:10.1137/090769521.
    """
    problem = Problem(local_field, mask, grid, pad)
    first = {"regularisation": first_regularisation, "penalty": penalty, "max_iterations": first_iterations}
    data, chi = phase_data(problem, magnitude, te, b0, data_penalty, **first, relaxation=relaxation)
    penalties = penalty / problem.size, curvature_penalty / problem.size
    variation = GeneralisedVariation(chi, grid, regularisation / data_penalty, curvature, *penalties)
    return problem.finish(minimise(data, variation, relaxation, tolerance, max_iterations))
