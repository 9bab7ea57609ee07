"""Weak-harmonic inversion by the alternating direction method of multipliers."""

from qsmbench.method import method
from qsmbench.ops.solvers.admm import minimise
from qsmbench.ops.solvers.problem import Problem
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
    penalty=4.0,
    data_penalty=0.1,
    harmonic_penalty=0.3,
    relaxation=1.8,
    tolerance=0.001,
    max_iterations=150,
    pad=20.0,
):
    """Weak-harmonic QSM: the minimiser over χ and φ of ½‖w(Dχ + φ − field)‖² + β/2 ‖M∇²φ‖² + λ‖∇χ‖₁.

    φ is the background that remains in the local field: nearly harmonic in the mask M, and free outside. w is the
    relative precision of the field by the magnitude. By ADMM.

    χ and φ explain smooth fields almost equally well, so that the iterations approach their limit slowly. They stop by
    the rule of the authors' program: χ changes by less than 0.1 %, or 150 iterations. The penalties are others than
    there, so that χ is nearer to the limit by then.

    Args:
        harmonic_weight: β, mm⁴; if very large, φ is harmonic; if zero, φ explains any field.
        harmonic_penalty: weight of the splitting of ∇²φ, mm⁴; affects the speed, not the limit. The authors' is 3.
        max_iterations: largest number of iterations; several hundred, with `tolerance` 0, come near the limit.

    Reference:
        Milovic 2019, doi:10.1002/mrm.27483 (its linear variant); stopping: the authors' FANSI toolbox, 2021.
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
