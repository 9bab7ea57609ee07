"""Total-variation inversion by the alternating direction method of multipliers."""

import numba
import numpy as np

from qsmbench.ops import total_variation
from qsmbench.ops.difference import laplacian_spectrum
from qsmbench.ops.dipole import dipole_kernel
from qsmbench.ops.fft import Window, irfftn, rfftn
from qsmbench.ops.reference import refer_to_mask
from qsmbench.ops.threads import over_planes
from qsmbench.registry import method


@method(produces="chi", reference="Bilgic 2014, doi:10.1002/mrm.25029")
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
    inside, field = window.take(mask, np.bool_), window.take(local_field * mask)
    rho = np.float32(penalty * regularisation)
    kernel = dipole_kernel(grid, window.shape)
    normal = laplacian_spectrum(grid, window.shape) * rho
    normal += kernel**2
    normal[0, 0, 0] = 1  # both parts are zero there: the mean of χ is undetermined and left at zero

    chi = np.zeros(window.shape, np.float32)
    dual = np.zeros((3, *window.shape), np.float32)
    data = np.zeros_like(field)  # y and its multiplier, kept as one like the gradient's (see total_variation)
    threshold = 1 / penalty
    work, target = np.zeros_like(field), field.copy()  # ∇ᵀ(z − u), and y minus its multiplier
    for _ in range(max_iterations):
        chi_hat, field_hat = rfftn(target), rfftn(work)  # in: what the two splittings ask for
        over_planes(_solve, window.shape[0], chi_hat, field_hat, kernel, normal, rho)
        previous, chi = chi, irfftn(chi_hat, window.shape)
        change = total_variation.step(dual, chi, previous, grid.voxel_size, threshold, relaxation)
        if change < tolerance:
            break
        model = irfftn(field_hat, window.shape)
        over_planes(_data_step, window.shape[0], data, target, model, field, inside, np.float32(relaxation))
        total_variation.adjoint(dual, work, grid.voxel_size, threshold)
    return refer_to_mask(window.put(chi, mask), mask)


@numba.njit(nogil=True, cache=True, fastmath={"contract"}, error_model="numpy")
def _solve(start, stop, chi_hat, field_hat, kernel, normal, rho):
    """Replace the data's and the gradient's part by χ̂ = (D·data + ρ·gradient)/(D² + ρ|∇|²) and its field D·χ̂."""
    _, ny, nz = chi_hat.shape
    for i in range(start, stop):
        for j in range(ny):
            for k in range(nz):
                d = kernel[i, j, k]
                chi = (d * chi_hat[i, j, k] + rho * field_hat[i, j, k]) / normal[i, j, k]
                chi_hat[i, j, k] = chi
                field_hat[i, j, k] = d * chi


@numba.njit(nogil=True, cache=True, fastmath={"contract"})
def _data_step(start, stop, data, target, model, field, inside, relaxation):
    """Update the data splitting in place for the field `model` of the new χ; `target` becomes y minus multiplier."""
    half = np.float32(0.5)
    _, ny, nz = data.shape
    for i in range(start, stop):
        for j in range(ny):
            for k in range(nz):
                m = np.float32(inside[i, j, k])
                s = data[i, j, k]
                y = s + half * m * (field[i, j, k] - s)
                s += relaxation * (model[i, j, k] - y)
                data[i, j, k] = s
                target[i, j, k] = s + m * (field[i, j, k] - s)
