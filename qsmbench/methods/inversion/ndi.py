"""Nonlinear dipole inversion by early-stopped descent."""

from qsmbench.method import method
from qsmbench.ops.arrays.algebra import add, dot, scale_add
from qsmbench.ops.arrays.array import compute, like, namespace
from qsmbench.ops.arrays.fft import Window, convolve
from qsmbench.ops.kernels.dipole import dipole_kernel
from qsmbench.ops.solvers.reference import subtract_mask_mean
from qsmbench.ops.solvers.solution import report_solution
from qsmbench.ops.solvers.weight import effective_echo_time, field_weight
from qsmbench.units import rad_per_ppm


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

    s turns ppm into phase at the echo time that carries most of the field. A misfit of phases does not tell a field
    from one that is wrong by a whole turn: next to strong sources, where the field exceeds half a turn, descent from
    zero goes the wrong way. So the first iterations take the misfit for linear. With none of these, as the authors
    start, voxels of the field that are wrong by whole turns do no harm instead.

    W is the precision of the field that the magnitudes tell. Few iterations are the regularisation; λ only keeps what
    they do not reach from growing. Nonlinear conjugate gradients take the place of the fixed steps of gradient
    descent; 15 go as far as 120 of those. Each step goes to the minimum of the parabola that bounds the misfit from
    above, so that the misfit falls for sure.

    Args:
        local_field: (nx, ny, nz) ppm.
        magnitude: (nx, ny, nz, n_echoes) a.u.
        mask: (nx, ny, nz) bool.
        grid: voxel size and B0 direction.
        te: (n_echoes,) echo times, s.
        b0: T.
        regularisation: λ, without unit (W² is 1 on average).
        n_iterations: of conjugate gradients.
        n_linear: how many of them are linear, the first ones.
        pad: zeros around the bounding box of the mask, mm along each axis.

    Returns:
        chi: (nx, ny, nz) float32, ppm, zero mean over the mask.

    Reference:
        Polak 2020, doi:10.1002/nbm.4271; nonlinear conjugate gradients: Fletcher & Reeves 1964,
        doi:10.1093/comjnl/7.2.149, with the factor of Polak & Ribière.
    """
    window = Window.around(mask, grid, pad)
    field = window.take(local_field, mask)
    weight = window.take(field_weight(magnitude, te, mask), mask) ** 2
    kernel = like(dipole_kernel(grid, window.shape), field)
    scale = rad_per_ppm(b0, effective_echo_time(magnitude, te, mask))

    xp = namespace(field)
    chi, model = xp.zeros_like(field), xp.zeros_like(field)
    slope = descent = None
    for i in range(n_iterations):
        previous = slope
        pull = _linear_slope if i < n_linear else _misfit_slope
        slope = convolve(compute(pull, model, field, weight, scale=scale), kernel)
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
    report_solution(chi, field, window.take_mask(mask), grid)
    return subtract_mask_mean(window.put(chi, mask), mask)


def _linear_slope(xp, model, field, weight, *, scale):
    """What `_misfit_slope` is at small phases."""
    return weight * (model - field)


def _misfit_slope(xp, model, field, weight, *, scale):
    """Derivative of the misfit by the model field."""
    return weight * xp.sin(scale * (model - field)) / scale
