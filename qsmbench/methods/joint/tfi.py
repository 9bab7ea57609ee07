"""Preconditioned total field inversion: susceptibility inside and outside the mask from one field."""

from qsmbench.method import method
from qsmbench.ops.arrays.algebra import add, dot, norm, scale_add
from qsmbench.ops.arrays.array import compute, like, masked, namespace, total
from qsmbench.ops.arrays.difference import gradient, gradient_adjoint, laplacian_spectrum
from qsmbench.ops.arrays.fft import Window, convolve
from qsmbench.ops.kernels.dipole import dipole_kernel
from qsmbench.ops.masks.edges import away_from_edges, combine_echoes
from qsmbench.ops.solvers.reference import subtract_mask_mean
from qsmbench.ops.solvers.solution import report_solution
from qsmbench.ops.solvers.weight import field_weight


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
    """TFI: the minimiser of ½‖W(Dχ − field)‖² + λ‖M∇χ‖₁ over χ in the mask and around it, with no background removal.

    Sources outside make the background, those inside the local field; one inversion finds both. W is the precision of
    the field that the magnitudes tell, zero outside the mask. M is zero across edges of the magnitude image and outside
    the mask.

    As in the publication √(|∇χ|² + ε²) stands for |∇χ|, and is bounded from above by a parabola at the current χ. The
    publication minimises each parabola by many conjugate gradients (Gauss-Newton steps); here it moves along with every
    step of nonlinear conjugate gradients, whose length is the parabola's. So the objective falls with each step, and
    none is spent on a parabola that is out of date. The publication also regularises the χ around the mask.

    χ outside is much larger (air, bone) than inside, so the published preconditioner multiplies it by P = `outside`
    there. Here P² stands beside the inverse of D² + λ/ε |k|², which is that of the normal equations where all voxels
    are known and χ is flat: without it the low frequencies near the cone of the dipole take many more steps. P falls
    to a tenth, as the background is found early, and what remains outside is as small as what remains inside.

    Args:
        total_field: (nx, ny, nz) ppm.
        magnitude: (nx, ny, nz, n_echoes) a.u.
        mask: (nx, ny, nz) bool.
        grid: voxel size and B0 direction.
        te: (n_echoes,) s.
        outside: P around the mask in the first step; the published P of the brain, constant, is 30.
        regularisation: λ, ppm·mm (the gradient is per mm, and W² is 1 on average).
        edges: share of the magnitude's differences in the mask that are edges.
        smallest: ε, ppm/mm.
        tolerance: stop when χ in the mask changes by less than this fraction from step to step.
        max_iterations: stop then at the latest.
        pad: room for sources around the bounding box of the mask, mm along each axis.

    Returns:
        chi: (nx, ny, nz) float32, ppm, zero mean over the mask.

    Reference:
        Liu Z 2017, doi:10.1002/mrm.26331; edges: Liu J 2012, doi:10.1016/j.neuroimage.2011.08.082; nonlinear conjugate
        gradients: Polak & Ribière 1969, doi:10.1051/m2an/196903R100351.
    """
    window = Window.around(mask, grid, pad)
    inside, field = window.take_mask(mask), window.take(total_field, mask)
    xp = namespace(field)
    size = grid.voxel_size
    weight = window.take(field_weight(magnitude, te, mask), mask) ** 2
    kernel = like(dipole_kernel(grid, window.shape), field)
    smooth = away_from_edges(window.take(combine_echoes(magnitude), mask), inside, size, edges)
    neighbours = [inside & xp.roll(inside, -1, axis=a) for a in range(3)]
    penalised = xp.concat([smooth[a, ...] & n for a, n in enumerate(neighbours)])
    inverse = kernel**2 + like(laplacian_spectrum(grid, window.shape), field) * (regularisation / smallest)
    inverse = 1 / xp.clip(inverse, _LOWEST, None)
    strength = {"regularisation": regularisation, "smallest": smallest}

    chi, misfit = xp.zeros_like(field), -field
    descent, before, slope_before = xp.zeros_like(field), xp.zeros_like(field), float("inf")
    steep = bound = None
    for i in range(max_iterations):
        if i % _REFRESH == 0 and i > 0:
            misfit = convolve(chi, kernel) - field  # rid of what rounding has added up to
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
    report_solution(chi, field, inside, grid)
    return subtract_mask_mean(window.put(chi, mask), mask)


_REFRESH = 50
# Of the preconditioner: they change the way to the minimum, not the minimum. Found by trial on two heads.
_LOWEST = 1e-3  # of D² + λ/ε |k|²
_FALL, _LEAST = 0.95, 0.1  # of P in each step, and in all


def _volumes(vector):
    """A vector field (3, nx, ny, nz) as one volume (3 nx, ny, nz), whose planes are blocks of a size for the cache."""
    return namespace(vector).reshape(vector, (-1, *vector.shape[-2:]))


def _bound(xp, steep, penalised, *, regularisation, smallest):
    """λM/√(|∇χ|² + ε²): twice the weight of |∇|² in the parabola that touches the penalty from above at χ."""
    return xp.where(penalised, regularisation / xp.sqrt(steep**2 + smallest**2), 0.0)


def _downhill(xp, misfit, roughness):
    return -(misfit + roughness)


def _scaled_product(xp, a, b, scale):
    return a * b * scale


def _preconditioned(xp, everywhere, fall, inside, *, square):
    return everywhere + xp.where(inside, 0.0, square * fall)
