"""Preconditioned total field inversion: susceptibility inside and outside the mask from one field."""

from qsmbench.ops.array import compute, like, masked, namespace
from qsmbench.ops.difference import gradient, gradient_adjoint
from qsmbench.ops.dipole import dipole_kernel
from qsmbench.ops.edge_variation import away_from_edges
from qsmbench.ops.fft import Window, convolve
from qsmbench.ops.reference import refer_to_mask
from qsmbench.ops.solve import cg
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
    tolerance=0.03,
    inner_iterations=50,
    max_iterations=15,
    pad=40.0,
):
    """TFI: the minimiser of ½‖W(Dχ − field)‖² + λ‖M∇χ‖₁ over χ in the mask and around it, with no background removal.

    Sources outside make the background, those inside the local field; one inversion finds both. χ outside is much
    larger (air, bone), so χ = Py is sought with P = 1 in the mask and `outside` around it: that is what makes few
    conjugate gradients suffice. W is the precision of the field that the magnitudes tell, zero outside the mask.
    M is zero across edges of the magnitude image and outside the mask.

    As in the publication the solver takes Gauss-Newton steps, with √(|∇χ|² + ε²) of the step before for |∇χ|, each by
    preconditioned conjugate gradients. The publication also regularises the χ around the mask.

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
        tolerance: stop when χ in the mask changes by less than this fraction from step to step; the conjugate gradients
            of each step end at the same fraction of their start.
        inner_iterations: conjugate gradients of each step, at most.
        max_iterations: stop after so many steps at the latest.
        pad: room for sources around the bounding box of the mask, mm along each axis.

    Returns:
        chi: (nx, ny, nz) float32, ppm, zero mean over the mask.

    Reference:
        Liu Z 2017, doi:10.1002/mrm.26331; edges: Liu J 2012, doi:10.1016/j.neuroimage.2011.08.082.
    """
    window = Window.around(mask, grid, pad)
    inside, field = window.take_mask(mask), window.take(total_field, mask)
    xp = namespace(field)
    size = grid.voxel_size
    weight = window.take(field_weight(magnitude, te, mask), mask) ** 2
    kernel = like(dipole_kernel(grid, window.shape), field)
    image = window.take(xp.sqrt(xp.sum(magnitude**2, axis=-1)), mask)
    smooth = away_from_edges(image, inside, size, edges)
    neighbours = [inside & xp.roll(inside, -1, axis=a) for a in range(3)]
    penalised = xp.astype(xp.stack([smooth[a, ...] & n for a, n in enumerate(neighbours)]), xp.float32)
    scale = xp.where(inside, xp.ones_like(field), xp.full_like(field, outside))

    def slope(x, data, weights):
        """P(D W²(Dx − data) + λ∇ᵀ(weights · ∇x))."""
        misfit = convolve(x, kernel)
        compute(_weighted, misfit, data, weight, out=misfit)
        steep = gradient(x, size)
        steep *= weights
        found = convolve(misfit, kernel)
        return compute(_preconditioned, found, gradient_adjoint(steep, size), scale, out=found)

    chi, nothing = xp.zeros_like(field), xp.zeros_like(field)
    for _ in range(max_iterations):
        weights = compute(_lagged, gradient(chi, size), penalised, regularisation=regularisation, smallest=smallest)

        def normal(y, weights=weights):
            return slope(scale * y, nothing, weights)

        step = scale * cg(normal, -slope(chi, field, weights), tolerance, inner_iterations)
        chi += step
        change, whole = (float(xp.sum(masked(v, inside) ** 2, dtype=xp.float64)) for v in (step, chi))
        if change <= tolerance**2 * whole:
            break
    return refer_to_mask(window.put(chi, mask), mask)


def _weighted(xp, model, data, weight):
    return weight * (model - data)


def _preconditioned(xp, misfit, roughness, scale):
    return scale * (misfit + roughness)


def _lagged(xp, steep, penalised, *, regularisation, smallest):
    """λM/√(|∇χ|² + ε²), which makes the gradient's absolute value a square."""
    return regularisation * penalised / xp.sqrt(steep**2 + smallest**2)
