"""Iterative Tikhonov inversion by conjugate gradients."""

from qsmbench.method import method
from qsmbench.ops.arrays.array import compute
from qsmbench.ops.arrays.fft import convolve
from qsmbench.ops.solvers.problem import Problem
from qsmbench.ops.solvers.solve import cg


@method(produces="chi", reference="de Rochefort 2010, doi:10.1002/mrm.22187", portable=True)
def cgls(
    local_field,
    magnitude,
    mask,
    grid,
    te,
    *,
    regularisation=0.003,
    tolerance=0.005,
    max_iterations=40,
    pad=30.0,
):
    """Weighted least squares for the χ in the mask: the minimiser of ‖W(Dχ − field)‖² + λ‖χ‖².

    W is the relative precision of the field by the magnitude, and zero outside the mask, where the field is unknown. χ
    is zero there, since the local field has its sources in the mask. The normal equations are solved by conjugate
    gradients; stopping early also regularises, with or without λ.

    Args:
        regularisation: λ, without unit (W² is 1 on average).
        tolerance: stop when the gradient has fallen to this fraction of its start.

    Reference:
        Weighted least squares: de Rochefort 2010, doi:10.1002/mrm.22187; conjugate gradients: Hestenes & Stiefel 1952,
        doi:10.6028/jres.049.044.
    """
    problem = Problem(local_field, mask, grid, pad)
    kernel, inside, weight = problem.kernel, problem.inside(), problem.weight(magnitude, te) ** 2

    def normal(chi):
        back = convolve(convolve(chi, kernel) * weight, kernel)
        return compute(_masked_sum, back, chi, inside, out=back, factor=regularisation)

    right = convolve(problem.field * weight, kernel) * inside
    return problem.finish(cg(normal, right, tolerance, max_iterations))


def _masked_sum(xp, back, chi, inside, *, factor):
    return back * inside + factor * chi
