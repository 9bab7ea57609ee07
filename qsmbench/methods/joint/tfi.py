"""Preconditioned total field inversion: susceptibility inside and outside the mask from one field."""

from qsmbench.method import method
from qsmbench.ops.arrays.algebra import add, dot, norm, scale_add
from qsmbench.ops.arrays.array import compute, like, masked, namespace, total
from qsmbench.ops.arrays.difference import gradient, gradient_adjoint, laplacian_spectrum
from qsmbench.ops.arrays.fft import convolve
from qsmbench.ops.masks.edges import away_from_edges, combine_echoes
from qsmbench.ops.solvers.problem import Problem


@method(produces="chi", reference="Liu Z 2017, doi:10.1002/mrm.26331", portable=True)
def tfi(
    total_field,
    magnitude,
    mask,
    grid,
    te,
    *,
    outside=100.0,
    regularisation=5e-4,
    edges=0.3,
    smallest=2e-3,
    tolerance=6e-3,
    max_iterations=300,
    pad=40.0,
):
    """TFI: the minimiser of ½‖W(Dχ − field)‖² + λ‖M∇χ‖₁ over χ in and around the mask, without background removal.

    Sources outside the mask cause the background, sources inside the local field; one inversion finds both. W is the
    relative precision of the field by the magnitude, zero outside the mask. M is zero across edges of the magnitude
    image and outside the mask.

    As in the publication, |∇χ| is replaced by √(|∇χ|² + ε²), which is bounded from above by a parabola at the current
    χ. The publication minimises each parabola by many conjugate gradients (Gauss-Newton steps); here the parabola is
    updated at every step of nonlinear conjugate gradients, and gives its length. So the objective decreases with each
    step, and no step is spent on an outdated parabola. The publication also regularises χ around the mask.

    χ outside is much larger (air, bone) than inside, so the published preconditioner multiplies it by P = `outside`
    there. Here P² is added to the inverse of D² + λ/ε |k|², which is that of the normal equations if all voxels are
    known and χ is flat: without it the low frequencies near the cone of the dipole take many more steps. P decreases to
    a tenth, since the background is found early, and the rest is as small outside as inside.

    Args:
        outside: P around the mask in the first step; the published P for the brain, constant, is 30.
        regularisation: λ, weight of the regularisation, ppm·mm (the gradient is per mm, and W² is 1 on average).
        smallest: ε, the gradient of χ below which the norm is smoothed, ppm/mm.
        tolerance: stop when χ in the mask changes by less than this fraction between iterations.
        pad: margin for sources around the bounding box of the mask, mm along each axis.

    Reference:
        Liu Z 2017, doi:10.1002/mrm.26331; edges: Liu J 2012, doi:10.1016/j.neuroimage.2011.08.082; nonlinear conjugate
        gradients: Polak & Ribière 1969, doi:10.1051/m2an/196903R100351.
    """
    problem = Problem(total_field, mask, grid, pad)
    field, inside, kernel = problem.field, problem.mask, problem.kernel
    xp = namespace(field)
    size = grid.voxel_size
    weight = problem.weight(magnitude, te) ** 2
    smooth = away_from_edges(problem.take(combine_echoes(magnitude)), inside, size, edges)
    neighbours = [inside & xp.roll(inside, -1, axis=a) for a in range(3)]
    penalised = xp.concat([smooth[a, ...] & n for a, n in enumerate(neighbours)])
    inverse = kernel**2 + like(laplacian_spectrum(grid, problem.shape), field) * (regularisation / smallest)
    inverse = 1 / xp.clip(inverse, _LOWEST, None)
    strength = {"regularisation": regularisation, "smallest": smallest}

    chi, misfit = problem.zero(), -field
    descent, before, slope_before = problem.zero(), problem.zero(), float("inf")
    steep = bound = None
    for i in range(max_iterations):
        if i % _REFRESH == 0 and i > 0:
            misfit = convolve(chi, kernel) - field  # without accumulated rounding
        steep = gradient(chi, size, steep)
        bound = compute(_bound, _volumes(steep), penalised, out=bound, **strength)
        steep *= xp.reshape(bound, steep.shape)
        fall = convolve(weight * misfit, kernel)
        compute(_downhill, fall, gradient_adjoint(steep, size), out=fall)
        scale = outside * max(_FALL**i, _LEAST)
        down = compute(_preconditioned, convolve(fall, inverse), fall, inside, square=scale**2)
        slope = dot(fall, down)
        if slope == 0:
            break
        scale_add(descent, max(slope - dot(before, down), 0.0) / slope_before, down)
        if dot(fall, descent) <= 0:
            scale_add(descent, 0.0, down)
        along, steep = convolve(descent, kernel), gradient(descent, size, steep)
        slopes = _volumes(steep)
        curvature = total(_scaled_product, along, along, weight) + total(_scaled_product, slopes, slopes, bound)
        length = dot(fall, descent) / curvature
        add(chi, length, descent)
        add(misfit, length, along)
        before, slope_before = fall, slope
        if abs(length) * norm(masked(descent, inside)) <= tolerance * norm(masked(chi, inside)):
            break
    return problem.finish(chi)


_REFRESH = 50
# Of the preconditioner: they affect the speed, not the limit. Found by trial on two heads.
_LOWEST = 1e-3  # of D² + λ/ε |k|²
_FALL, _LEAST = 0.95, 0.1  # of P in each step, and in all


def _volumes(vector):
    """View a vector field (3, nx, ny, nz) as one volume (3 nx, ny, nz), for `compute` on blocks that fit the cache."""
    return namespace(vector).reshape(vector, (-1, *vector.shape[-2:]))


def _bound(xp, steep, penalised, *, regularisation, smallest):
    """Compute λM/√(|∇χ|² + ε²): twice the weight of |∇|² in the parabola that touches the penalty from above at χ."""
    return xp.where(penalised, regularisation / xp.sqrt(steep**2 + smallest**2), 0.0)


def _downhill(xp, misfit, roughness):
    return -(misfit + roughness)


def _scaled_product(xp, a, b, scale):
    return a * b * scale


def _preconditioned(xp, everywhere, fall, inside, *, square):
    return everywhere + xp.where(inside, 0.0, square * fall)
