"""Total-variation inversion by the alternating direction method of multipliers."""

from qsmbench.ops import total_variation
from qsmbench.ops.array import compute, like, namespace
from qsmbench.ops.difference import laplacian_spectrum
from qsmbench.ops.dipole import dipole_kernel
from qsmbench.ops.fft import Window, irfftn, rfftn
from qsmbench.ops.reference import refer_to_mask
from qsmbench.ops.solution import solved
from qsmbench.registry import method


@method(produces="chi", reference="Bilgic 2014, doi:10.1002/mrm.25029", portable=True)
def tv(
    local_field,
    mask,
    grid,
    *,
    regularisation=2e-4,
    penalty=400.0,
    relaxation=1.8,
    tolerance=0.012,
    max_iterations=100,
    pad=30.0,
):
    """Total variation: the minimiser of ½‖M(Dχ − field)‖² + λ‖∇χ‖₁, with the data taken inside the mask only.

    ADMM with two splittings, z = ∇χ and y = Dχ. The second one keeps the mask M out of the k-space division, so
    voxels outside the mask carry no data, rather than the false statement that the field is zero there (Milovic 2018).

    Args:
        local_field: (nx, ny, nz) ppm.
        mask: (nx, ny, nz) bool.
        grid: voxel size and B0 direction.
        regularisation: λ, ppm·mm (the gradient is per mm).
        penalty: weight of the gradient splitting, in multiples of λ, mm/ppm; changes the speed, not the limit.
        relaxation: over-relaxation of both splittings, 1 (none) to 2.
        tolerance: stop when χ changes by less than this fraction between iterations.
        max_iterations: stop then at the latest.
        pad: zeros around the bounding box of the mask, mm along each axis.

    Returns:
        chi: (nx, ny, nz) float32, ppm, zero mean over the mask.

    Reference:
        Bilgic 2014, doi:10.1002/mrm.25029; Bilgic 2015, doi:10.1117/12.2188535;
        masked data term: Milovic 2018, doi:10.1002/mrm.27073.
    """
    window = Window.around(mask, grid, pad)
    inside, field = window.take_mask(mask), window.take(local_field, mask)
    xp = namespace(field)
    rho = penalty * regularisation
    kernel = like(dipole_kernel(grid, window.shape), field)
    normal = like(laplacian_spectrum(grid, window.shape), field) * rho
    normal += kernel**2
    normal[0, 0, 0] = 1  # both parts are zero there: the mean of χ is undetermined and left at zero

    chi = xp.zeros_like(field)
    dual = xp.stack([chi, chi, chi])
    data = xp.zeros_like(field)  # y and its multiplier, kept as one like the gradient's (see total_variation)
    threshold = 1 / penalty
    work, target = xp.zeros_like(field), xp.asarray(field, copy=True)  # ∇ᵀ(z − u), and y minus its multiplier
    for _ in range(max_iterations):
        chi_hat, field_hat = rfftn(target), rfftn(work)  # in: what the two splittings ask for
        compute(_solve, chi_hat, field_hat, kernel, normal, out=(chi_hat, field_hat), rho=rho)
        previous, chi = chi, irfftn(chi_hat, window.shape)
        change = total_variation.step(dual, chi, previous, grid.voxel_size, threshold, relaxation)
        if change < tolerance:
            break
        model = irfftn(field_hat, window.shape)
        compute(_data_step, data, model, field, inside, out=(data, target), relaxation=relaxation)
        total_variation.adjoint(dual, work, grid.voxel_size, threshold)
    solved(chi, field, inside, grid)
    return refer_to_mask(window.put(chi, mask), mask)


def _solve(xp, target_hat, work_hat, kernel, normal, *, rho):
    """χ̂ = (D·data + ρ·gradient)/(D² + ρ|∇|²) from the data's and the gradient's part, and its field D·χ̂."""
    chi_hat = (kernel * target_hat + rho * work_hat) / normal
    return chi_hat, kernel * chi_hat


def _data_step(xp, data, model, field, inside, *, relaxation):
    """The data splitting after the field `model` of a new χ, and y minus multiplier."""
    apart = xp.where(inside, field - data, 0.0)
    data = data + relaxation * (model - data - 0.5 * apart)
    return data, data + xp.where(inside, field - data, 0.0)
