"""Total-generalised-variation inversion by the alternating direction method of multipliers."""

from qsmbench.method import method
from qsmbench.ops.solvers.admm import FieldData, Problem, minimise
from qsmbench.ops.solvers.generalised_variation import GeneralisedVariation
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
    curvature_penalty=20.0,
    data_penalty=0.3,
    relaxation=1.8,
    tolerance=0.01,
    max_iterations=100,
    pad=20.0,
):
    """Total generalised variation: the minimiser of ½‖M(Dχ − field)‖² + min over v of α₁‖∇χ − v‖₁ + α₀‖Ev‖₁.

    Steps in χ cost as with total variation; slopes cost only where they bend, so they are not turned into stairs.

    Args:
        local_field: (nx, ny, nz) ppm.
        mask: (nx, ny, nz) bool.
        grid: voxel size and B0 direction.
        regularisation: α₁, ppm·mm (the gradient is per mm).
        curvature: α₀/α₁, mm; very large, the method becomes total variation, but for one linear function.
        penalty: weight of the gradient splitting, in multiples of α₁ / |field|, mm; changes the speed, not the limit.
        curvature_penalty: weight of the splitting of Ev, in multiples of α₀ / |field|, mm²; likewise.
        data_penalty: ρ, weight of the field splitting; changes the speed, not the limit.
        relaxation: over-relaxation of the splittings, 1 (none) to 2.
        tolerance: stop when χ changes by less than this fraction between iterations.
        max_iterations: stop then at the latest.
        pad: zeros around the bounding box of the mask, mm along each axis.

    Returns:
        chi: (nx, ny, nz) float32, ppm, zero mean over the mask.

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
