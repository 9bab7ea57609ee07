"""Total-generalised-variation inversion by the alternating direction method of multipliers."""

from qsmbench.method import method
from qsmbench.ops.solvers.admm import FieldData, minimise
from qsmbench.ops.solvers.generalised_variation import GeneralisedVariation
from qsmbench.ops.solvers.problem import Problem
from qsmbench.ops.solvers.proximal import pull, quadratic


@method(produces="chi", reference="Bilgic 2015, doi:10.1117/12.2188535", portable=True)
def tgv(
    local_field,
    mask,
    grid,
    *,
    regularisation=1.5e-4,
    curvature=3.0,
    penalty=2.5,
    curvature_penalty=100.0,
    data_penalty=0.1,
    relaxation=1.8,
    tolerance=0.0045,
    max_iterations=100,
    pad=20.0,
):
    """Total generalised variation: the minimiser of ½‖M(Dχ − field)‖² + min over v of α₁‖∇χ − v‖₁ + α₀‖Ev‖₁.

    Steps in χ are penalised as in total variation, slopes only where they change, so that there is no staircasing. By
    ADMM, with the data inside the mask M only.

    Args:
        regularisation: α₁, weight of the regularisation, ppm·mm (the gradient is per mm).
        curvature: α₀/α₁, mm; if very large, the method is total variation, except for one linear function.
        penalty: weight of the gradient splitting, in multiples of α₁ / |field|, mm; affects the speed, not the
            converged solution.

    Reference:
        Bredies 2010, doi:10.1137/090769521; Bilgic 2015, doi:10.1117/12.2188535;
        masked data term: Milovic 2018, doi:10.1002/mrm.27073.
    """
    problem = Problem(local_field, mask, grid, pad)
    field, zero = problem.field, problem.zero()
    data = FieldData(problem.kernel, quadratic, (field, pull(problem.inside(), data_penalty)), field)
    weight = regularisation / data_penalty
    penalties = penalty / problem.size, curvature_penalty / problem.size
    variation = GeneralisedVariation(zero, grid, weight, curvature, *penalties)
    return problem.finish(minimise(data, variation, relaxation, tolerance, max_iterations))
