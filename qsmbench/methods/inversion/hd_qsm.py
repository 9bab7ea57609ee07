"""Inversion with a hybrid data term, L1 and then L2, by the alternating direction method of multipliers."""

from qsmbench.method import method
from qsmbench.ops.arrays.array import compute, namespace
from qsmbench.ops.solvers.admm import FieldData, minimise
from qsmbench.ops.solvers.problem import Problem
from qsmbench.ops.solvers.proximal import pull, quadratic
from qsmbench.ops.solvers.robust import least_absolute
from qsmbench.ops.solvers.total_variation import TotalVariation


@method(produces="chi", reference="Lambert 2022, doi:10.1002/mrm.29218", portable=True)
def hd_qsm(
    local_field,
    magnitude,
    mask,
    te,
    grid,
    *,
    regularisation=1.5e-4,
    first_regularisation=0.05,
    penalty=4.0,
    data_penalty=0.1,
    first_iterations=20,
    relaxation=1.8,
    tolerance=0.004,
    max_iterations=80,
    pad=20.0,
):
    """HD-QSM: find inconsistent voxels with an L1 data term, then minimise an L2 term with less weight there.

    The first stage approximates the minimiser of ‖w(Dχ − field)‖₁ + λ₁‖∇χ‖₁. The second one starts from there and
    minimises ½‖w(1 − d)(Dχ − field)‖² + λ‖∇χ‖₁, where d is |Dχ − field| of the first stage, divided by its maximum. w
    is the relative precision of the field by the magnitude. By ADMM.

    Args:
        first_regularisation: λ₁ of the first stage, mm.
        penalty: weight of the gradient splitting, in multiples of λ / |field| and λ₁ / |field|, mm.
        data_penalty: weight of the field splitting in the second stage.
        first_iterations: number of iterations of the first stage.
        tolerance: stop when χ changes by less than this fraction between iterations of the second stage.
        max_iterations: largest number of iterations of the second stage.

    Reference:
        Lambert 2022, doi:10.1002/mrm.29218.
    """
    problem = Problem(local_field, mask, grid, pad)
    field, weight = problem.field, problem.weight(magnitude, te)
    first = {"regularisation": first_regularisation, "penalty": penalty, "max_iterations": first_iterations}
    chi = least_absolute(problem, weight, **first, relaxation=relaxation)
    first_field = problem.field_of(chi)
    weight *= _agreement(field, first_field, problem.inside())
    data = FieldData(problem.kernel, quadratic, (field, pull(weight, data_penalty)), first_field)
    variation = TotalVariation(chi, grid, regularisation / data_penalty, penalty / problem.size)
    return problem.finish(minimise(data, variation, relaxation, tolerance, max_iterations))


def _agreement(field, model, inside):
    """Return 1 − d, where d is the difference of the two fields inside the mask over its maximum."""
    difference = compute(lambda xp, f, m, i: xp.abs(f - m) * i, field, model, inside)
    largest = float(namespace(difference).max(difference))
    return 1 - difference / largest if largest > 0 else inside
