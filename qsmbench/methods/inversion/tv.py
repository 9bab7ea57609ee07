"""Total-variation inversion by the alternating direction method of multipliers."""

from qsmbench.method import method
from qsmbench.ops.solvers.admm import FieldData, minimise
from qsmbench.ops.solvers.problem import Problem
from qsmbench.ops.solvers.proximal import pull, quadratic
from qsmbench.ops.solvers.total_variation import TotalVariation


@method(produces="chi", reference="Bilgic 2014, doi:10.1002/mrm.25029", portable=True)
def tv(
    local_field,
    mask,
    grid,
    *,
    regularisation=1.5e-4,
    penalty=4.0,
    data_penalty=0.1,
    relaxation=1.8,
    tolerance=0.005,
    max_iterations=100,
    pad=20.0,
):
    """Total variation: the minimiser of ½‖M(Dχ − field)‖² + λ‖∇χ‖₁, with the data inside the mask M only, by ADMM.

    Reference:
        Bilgic 2014, doi:10.1002/mrm.25029; Bilgic 2015, doi:10.1117/12.2188535;
        masked data term: Milovic 2018, doi:10.1002/mrm.27073.
    """
    problem = Problem(local_field, mask, grid, pad)
    field = problem.field
    data = FieldData(problem.kernel, quadratic, (field, pull(problem.inside(), data_penalty)), field)
    variation = TotalVariation(problem.zero(), grid, regularisation / data_penalty, penalty / problem.size)
    return problem.finish(minimise(data, variation, relaxation, tolerance, max_iterations))
