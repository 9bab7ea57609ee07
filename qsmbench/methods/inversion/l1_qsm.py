"""Inversion with an L1 data term by the alternating direction method of multipliers."""

from qsmbench.method import method
from qsmbench.ops.solvers.admm import Problem
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
    data_penalty=1.5,
    relaxation=1.8,
    tolerance=0.005,
    max_iterations=200,
    pad=20.0,
):
    """L1-QSM: the minimiser of ‖w(Dχ − field)‖₁ + λ‖∇χ‖₁.

    A voxel whose field is quite wrong pulls no more than one whose field is a little wrong, so outliers (wraps, flow,
    strong sources beside the voxel) make no streaks.

    Args:
        local_field: (nx, ny, nz) ppm.
        magnitude: (nx, ny, nz, n_echoes) a.u.; gives the relative precision w of the field.
        mask: (nx, ny, nz) bool.
        te: (n_echoes,) s.
        grid: voxel size and B0 direction.
        regularisation: λ, mm (the gradient is per mm).
        penalty: weight of the gradient splitting, in multiples of λ / |field|, mm; changes the speed, not the limit.
        data_penalty: weight of the field splitting, in multiples of 1 / |field|; changes the speed, not the limit.
        relaxation: over-relaxation of the splittings, 1 (none) to 2.
        tolerance: stop when χ changes by less than this fraction between iterations.
        max_iterations: stop then at the latest.
        pad: zeros around the bounding box of the mask, mm along each axis.

    Returns:
        chi: (nx, ny, nz) float32, ppm, zero mean over the mask.

    Reference:
        Milovic 2022, doi:10.1002/mrm.28957 (its linear variant).
    """
    problem = Problem(local_field, mask, grid, pad)
    splittings = {"penalty": penalty, "data_penalty": data_penalty, "relaxation": relaxation}
    stop = {"tolerance": tolerance, "max_iterations": max_iterations}
    weight = problem.weight(magnitude, te)
    return problem.finish(least_absolute(problem, weight, regularisation=regularisation, **splittings, **stop))
