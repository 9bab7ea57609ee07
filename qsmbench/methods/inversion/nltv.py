"""Nonlinear total-variation inversion by the alternating direction method of multipliers."""

from qsmbench.method import method
from qsmbench.ops.solvers.admm import minimise
from qsmbench.ops.solvers.problem import Problem
from qsmbench.ops.solvers.robust import phase_data
from qsmbench.ops.solvers.total_variation import TotalVariation


@method(produces="chi", reference="Milovic 2018, doi:10.1002/mrm.27073", portable=True)
def nltv(
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
    penalty=5.0,
    data_penalty=0.3,
    relaxation=1.8,
    tolerance=0.0025,
    max_iterations=100,
    pad=20.0,
):
    """Nonlinear total variation (FANSI): a minimiser of ½‖w(exp(iκDχ) − exp(iκ field))‖²/κ² + λ‖∇χ‖₁.

    Signals are compared instead of fields, so that multiples of 2π in the phase have no effect, and field errors have
    less; κ is the phase per ppm at the effective echo time, w the relative precision of the field by the magnitude.
    Divided by κ², the data term is that of `tv` for small differences. It has many minima, 2π apart in each voxel;
    starting from some iterations of `l1_qsm`, which is robust to unwrapping errors, leads to the right one. By ADMM.

    Args:
        data_penalty: ρ, weight of the field splitting; with 0.1, voxels that are wrong by whole turns
            can keep it from converging (the largest w² is 1 to 2).

    Reference:
        Milovic 2018, doi:10.1002/mrm.27073.
    """
    problem = Problem(local_field, mask, grid, pad)
    first = {"regularisation": first_regularisation, "penalty": penalty, "max_iterations": first_iterations}
    data, chi = phase_data(problem, magnitude, te, b0, data_penalty, **first, relaxation=relaxation)
    variation = TotalVariation(chi, grid, regularisation / data_penalty, penalty / problem.size)
    return problem.finish(minimise(data, variation, relaxation, tolerance, max_iterations))
