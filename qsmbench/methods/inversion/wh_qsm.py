"""Weak-harmonic inversion by the alternating direction method of multipliers."""

from qsmbench.method import method
from qsmbench.ops.solvers.admm import Problem, minimise
from qsmbench.ops.solvers.proximal import pull
from qsmbench.ops.solvers.total_variation import TotalVariation
from qsmbench.ops.solvers.weak_harmonic import HarmonicData


@method(produces="chi", reference="Milovic 2019, doi:10.1002/mrm.27483", portable=True)
def wh_qsm(
    local_field,
    magnitude,
    mask,
    te,
    grid,
    *,
    regularisation=1.5e-4,
    harmonic_weight=150.0,
    penalty=2.5,
    data_penalty=0.3,
    harmonic_penalty=3.0,
    relaxation=1.8,
    tolerance=0.003,
    max_iterations=200,
    pad=20.0,
):
    """Weak-harmonic QSM: the minimiser over χ and φ of ½‖w(Dχ + φ − field)‖² + β/2 ‖M∇²φ‖² + λ‖∇χ‖₁.

    φ takes up what background removal has left behind: a field that is nearly harmonic in the mask, and free outside.

    Args:
        local_field: (nx, ny, nz) ppm.
        magnitude: (nx, ny, nz, n_echoes) a.u.; gives the relative precision w of the field.
        mask: (nx, ny, nz) bool.
        te: (n_echoes,) s.
        grid: voxel size and B0 direction.
        regularisation: λ, ppm·mm (the gradient is per mm).
        harmonic_weight: β, mm⁴; very large, φ is harmonic; zero, it takes up any field.
        penalty: weight of the gradient splitting, in multiples of λ / |field|, mm; changes the speed, not the limit.
        data_penalty: ρ, weight of the field splitting; changes the speed, not the limit.
        harmonic_penalty: weight of the splitting of ∇²φ, mm⁴; changes the speed, not the limit.
        relaxation: over-relaxation of the splittings, 1 (none) to 2.
        tolerance: stop when χ changes by less than this fraction between iterations.
        max_iterations: stop then at the latest.
        pad: zeros around the bounding box of the mask, mm along each axis.

    Returns:
        chi: (nx, ny, nz) float32, ppm, zero mean over the mask.

    Reference:
        Milovic 2019, doi:10.1002/mrm.27483 (its linear variant).
    """
    problem = Problem(local_field, mask, grid, pad)
    data = HarmonicData(
        problem.kernel,
        problem.field,
        pull(problem.weight(magnitude, te), data_penalty),
        problem.inside(),
        grid,
        weight=harmonic_weight / data_penalty,
        penalty=harmonic_penalty / data_penalty,
    )
    variation = TotalVariation(problem.zero(), grid, regularisation / data_penalty, penalty / problem.size)
    return problem.finish(minimise(data, variation, relaxation, tolerance, max_iterations))
