"""Nonlinear total-generalised-variation inversion by the alternating direction method of multipliers."""

from qsmbench.method import method
from qsmbench.ops.solvers.admm import Problem, minimise
from qsmbench.ops.solvers.generalised_variation import GeneralisedVariation
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
    curvature_penalty=20.0,
    data_penalty=1.0,
    relaxation=1.8,
    tolerance=0.01,
    max_iterations=100,
    pad=20.0,
):
    """Nonlinear total generalised variation (FANSI): the data term of `nltv` with the regulariser of `tgv`.

    It is a minimiser of ½‖w(exp(iκDχ) − exp(iκ field))‖²/κ² + min over v of α₁‖∇χ − v‖₁ + α₀‖Ev‖₁, begun, as `nltv`
    is, with some iterations of `l1_qsm`.

    Args:
        local_field: (nx, ny, nz) ppm.
        magnitude: (nx, ny, nz, n_echoes) a.u.; gives the relative precision w of the field.
        mask: (nx, ny, nz) bool.
        te: (n_echoes,) s.
        b0: T.
        grid: voxel size and B0 direction.
        regularisation: α₁, ppm·mm (the gradient is per mm).
        curvature: α₀/α₁, mm.
        first_regularisation: λ of the L1 iterations, mm.
        first_iterations: number of L1 iterations.
        penalty: weight of the gradient splitting, in multiples of α₁ / |field|, mm; changes the speed, not the limit.
        curvature_penalty: weight of the splitting of Ev, in multiples of α₀ / |field|, mm²; likewise.
        data_penalty: ρ, weight of the field splitting; far below the largest w², which is 1 to 2, it does not converge.
        relaxation: over-relaxation of the splittings, 1 (none) to 2.
        tolerance: stop when χ changes by less than this fraction between iterations.
        max_iterations: stop then at the latest.
        pad: zeros around the bounding box of the mask, mm along each axis.

    Returns:
        chi: (nx, ny, nz) float32, ppm, zero mean over the mask.

    Reference:
        Milovic 2018, doi:10.1002/mrm.27073; Bredies 2010, doi:10.1137/090769521.
    """
    problem = Problem(local_field, mask, grid, pad)
    first = {"regularisation": first_regularisation, "penalty": penalty, "max_iterations": first_iterations}
    data, chi = phase_data(problem, magnitude, te, b0, data_penalty, **first, relaxation=relaxation)
    penalties = penalty / problem.size, curvature_penalty / problem.size
    variation = GeneralisedVariation(chi, grid, regularisation / data_penalty, curvature, *penalties)
    return problem.finish(minimise(data, variation, relaxation, tolerance, max_iterations))
