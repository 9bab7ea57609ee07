"""Preconditioned total field inversion: susceptibility inside and outside the mask from one field."""

from qsmbench.ops.algebra import add, dot, norm
from qsmbench.ops.array import compute, like, masked, namespace, total
from qsmbench.ops.difference import gradient, gradient_adjoint
from qsmbench.ops.dipole import dipole_kernel
from qsmbench.ops.edges import away_from_edges, combined
from qsmbench.ops.fft import Window, convolve
from qsmbench.ops.reference import refer_to_mask
from qsmbench.ops.solution import solved
from qsmbench.ops.weight import field_weight
from qsmbench.registry import method


@method(produces="chi", reference="Liu Z 2017, doi:10.1002/mrm.26331", portable=True)
def tfi(
    total_field,
    magnitude,
    mask,
    grid,
    te,
    *,
    outside=30.0,
    regularisation=5e-4,
    edges=0.3,
    smallest=2e-3,
    tolerance=2e-3,
    max_iterations=300,
    pad=40.0,
):
    """TFI: the minimiser of ½‖W(Dχ − field)‖² + λ‖M∇χ‖₁ over χ in the mask and around it, with no background removal.

    Sources outside make the background, those inside the local field; one inversion finds both. χ outside is much
    larger (air, bone), so χ = Py is sought with P = 1 in the mask and `outside` around it: that is what makes few
    conjugate gradients suffice. W is the precision of the field that the magnitudes tell, zero outside the mask.
    M is zero across edges of the magnitude image and outside the mask.

    As in the publication √(|∇χ|² + ε²) stands for |∇χ|, and is bounded from above by a parabola at the current χ. The
    publication minimises each parabola by many conjugate gradients (Gauss-Newton steps); here it moves along with every
    step of nonlinear conjugate gradients, whose length is the parabola's. So the objective falls with each step, and
    none is spent on a parabola that is out of date. The publication also regularises the χ around the mask.

    Args:
        total_field: (nx, ny, nz) ppm.
        magnitude: (nx, ny, nz, n_echoes) a.u.
        mask: (nx, ny, nz) bool.
        grid: voxel size and B0 direction.
        te: (n_echoes,) s.
        outside: P around the mask; 30 is published for the brain.
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
    smooth = away_from_edges(window.take(combined(magnitude), mask), inside, size, edges)
    neighbours = [inside & xp.roll(inside, -1, axis=a) for a in range(3)]
    penalised = xp.concat([smooth[a, ...] & n for a, n in enumerate(neighbours)])
    square = xp.where(inside, xp.ones_like(field), xp.full_like(field, outside**2))  # P²
    strength = {"regularisation": regularisation, "smallest": smallest}

    chi, misfit = xp.zeros_like(field), -field
    descent, before, slope_before = xp.zeros_like(field), xp.zeros_like(field), 0.0
    steep = bound = None
    for i in range(max_iterations):
        if i % _REFRESH == 0 and i > 0:
            misfit = convolve(chi, kernel) - field  # rid of what rounding has added up to
        steep = gradient(chi, size, steep)
        bound = compute(_bound, _volumes(steep), penalised, out=bound, **strength)
        steep *= xp.reshape(bound, steep.shape)
        fall = convolve(weight * misfit, kernel)
        compute(_downhill, fall, gradient_adjoint(steep, size), out=fall)
        slope = total(_scaled_product, fall, fall, square)
        if slope == 0:
            break
        new = max(slope - total(_scaled_product, before, fall, square), 0.0) / slope_before if i else 0.0
        compute(_turned, descent, fall, square, out=descent, share=new)
        if dot(fall, descent) <= 0:
            compute(_turned, descent, fall, square, out=descent, share=0.0)
        along, steep = convolve(descent, kernel), gradient(descent, size, steep)
        slopes = _volumes(steep)
        curvature = total(_scaled_product, along, along, weight) + total(_scaled_product, slopes, slopes, bound)
        length = dot(fall, descent) / curvature
        add(chi, length, descent)
        add(misfit, length, along)
        before, slope_before = fall, slope
        if abs(length) * norm(masked(descent, inside)) <= tolerance * norm(masked(chi, inside)):
            break
    solved(chi, field, inside, grid)
    return refer_to_mask(window.put(chi, mask), mask)


_REFRESH = 50


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


def _turned(xp, descent, fall, square, *, share):
    return square * fall + share * descent
