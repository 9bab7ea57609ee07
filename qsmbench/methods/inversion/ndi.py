"""Nonlinear dipole inversion by early-stopped descent."""

from qsmbench.method import method
from qsmbench.ops.arrays.algebra import add, dot, scale_add
from qsmbench.ops.arrays.array import compute
from qsmbench.ops.arrays.fft import convolve
from qsmbench.ops.solvers.problem import Problem


@method(produces="chi", reference="Polak 2020, doi:10.1002/nbm.4271", portable=True)
def ndi(
    local_field,
    magnitude,
    mask,
    grid,
    te,
    b0,
    *,
    regularisation=1e-4,
    n_iterations=15,
    n_linear=5,
    pad=30.0,
):
    """Nonlinear dipole inversion: descend on ½‖W(exp(i·s·Dχ) − exp(i·s·field))‖²/s² + ½λ‖χ‖², and stop early.

    s converts ppm to phase at the effective echo time. The misfit of phases is periodic: near strong sources, where the
    phase of the field exceeds π, descent from zero goes in the wrong direction. So the first iterations use the linear
    misfit.

    W is the relative precision of the field by the magnitude. The small number of iterations is the regularisation; λ
    only prevents growth of components that they do not determine. The descent is by nonlinear conjugate gradients. Each
    step goes to the minimum of the parabola that bounds the misfit from above, so that the misfit never increases.

    Differences:
        The publication has no linear iterations; without them, voxels with wraps have no effect. Nonlinear conjugate
        gradients replace its fixed steps of gradient descent; 15 of them are equivalent to 120 of those.

    Args:
        regularisation: λ, without unit (W² is 1 on average).
        n_iterations: number of iterations.
        n_linear: number of the first iterations, with the linear misfit.

    Reference:
        Polak 2020, doi:10.1002/nbm.4271; nonlinear conjugate gradients: Fletcher & Reeves 1964,
        doi:10.1093/comjnl/7.2.149, with the factor of Polak & Ribière.
    """
    problem = Problem(local_field, mask, grid, pad)
    field, kernel, weight = problem.field, problem.kernel, problem.weight(magnitude, te) ** 2
    scale = problem.phase_scale(magnitude, te, b0)

    chi, model = problem.zero(), problem.zero()
    slope = descent = None
    for i in range(n_iterations):
        previous = slope
        derivative = _linear_slope if i < n_linear else _misfit_slope
        slope = convolve(compute(derivative, model, field, weight, scale=scale), kernel)
        add(slope, regularisation, chi)
        if previous is None:
            descent = -slope
        else:
            factor = max(0.0, (dot(slope, slope) - dot(slope, previous)) / dot(previous, previous))
            scale_add(descent, factor, -slope)
        image = convolve(descent, kernel)
        curvature = dot(image, image * weight) + regularisation * dot(descent, descent)
        if curvature == 0:
            break
        step = -dot(slope, descent) / curvature
        add(chi, step, descent)
        add(model, step, image)
    return problem.finish(chi)


def _linear_slope(xp, model, field, weight, *, scale):
    """Return the limit of `_misfit_slope` at small phases."""
    return weight * (model - field)


def _misfit_slope(xp, model, field, weight, *, scale):
    """Return the derivative of the misfit by the model field."""
    return weight * xp.sin(scale * (model - field)) / scale
