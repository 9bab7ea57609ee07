"""Morphology-enabled dipole inversion: total variation that spares the edges of the magnitude."""

from qsmbench.ops import edge_variation
from qsmbench.ops.admm import divide
from qsmbench.ops.array import compute, like, namespace, total
from qsmbench.ops.difference import laplacian_spectrum
from qsmbench.ops.dipole import dipole_kernel
from qsmbench.ops.fft import Window, irfftn, rfftn
from qsmbench.ops.reference import refer_to_mask
from qsmbench.ops.solution import solved
from qsmbench.ops.weight import effective_echo_time, field_weight
from qsmbench.registry import method
from qsmbench.units import rad_per_ppm


@method(produces="chi", reference="Liu J 2012, doi:10.1016/j.neuroimage.2011.08.082", portable=True)
def medi(
    local_field,
    magnitude,
    mask,
    grid,
    te,
    b0,
    *,
    regularisation=2e-4,
    edges=0.3,
    merit=True,
    penalty=400.0,
    relaxation=1.8,
    tolerance=0.008,
    max_iterations=100,
    pad=30.0,
):
    """MEDI: the minimiser of ½‖W(exp(i·s·Dχ) − exp(i·s·field))‖²/s² + λ‖M∇χ‖₁.

    M is zero across the edges of the magnitude image, so χ may jump where the anatomy does. W is the precision of the
    field that the magnitudes tell. s turns ppm into phase at the echo time that carries most of the field: a voxel
    that is wrong by whole turns does no harm, and noise cannot pull by more than the signal is worth. MERIT weakens
    voxels that the model misses by more than six standard deviations of the residual, again and again as χ converges.

    The authors minimise it by Gauss-Newton steps, each with many conjugate gradients; here the same objective is
    minimised by ADMM with the splittings z = ∇χ and y = Dχ, two Fourier round trips an iteration.

    Args:
        local_field: (nx, ny, nz) ppm.
        magnitude: (nx, ny, nz, n_echoes) a.u.
        mask: (nx, ny, nz) bool.
        grid: voxel size and B0 direction.
        te: (n_echoes,) echo times, s.
        b0: T.
        regularisation: λ, ppm·mm (the gradient is per mm, and W² is 1 on average).
        edges: share of the magnitude's differences in the mask that are edges; 0 for plain total variation.
        merit: weaken the voxels that the model misses.
        penalty: weight of the gradient splitting, in multiples of λ, mm/ppm; changes the speed, not the limit.
        relaxation: over-relaxation of both splittings, 1 (none) to 2.
        tolerance: stop when χ changes by less than this fraction between iterations.
        max_iterations: stop then at the latest.
        pad: zeros around the bounding box of the mask, mm along each axis.

    Returns:
        chi: (nx, ny, nz) float32, ppm, zero mean over the mask.

    Reference:
        Edges: Liu J 2012, doi:10.1016/j.neuroimage.2011.08.082; nonlinear data term and MERIT: Liu T 2013,
        doi:10.1002/mrm.24272; the splitting of the data term: Milovic 2018, doi:10.1002/mrm.27073.
    """
    window = Window.around(mask, grid, pad)
    inside, field = window.take_mask(mask), window.take(local_field, mask)
    weight = window.take(field_weight(magnitude, te, mask), mask) ** 2
    scale = rad_per_ppm(b0, effective_echo_time(magnitude, te, mask))
    xp = namespace(field)
    smooth = edge_variation.away_from_edges(window.take(_combined(magnitude), mask), inside, grid.voxel_size, edges)
    rho, threshold = penalty * regularisation, 1 / penalty
    kernel = like(dipole_kernel(grid, window.shape), field)
    normal = like(laplacian_spectrum(grid, window.shape), field) * rho
    normal += kernel**2
    normal[0, 0, 0] = 1  # both parts are zero there: the mean of χ is undetermined and left at zero

    chi = xp.zeros_like(field)
    dual = xp.stack([chi, chi, chi])
    # y + u and y − u, u being the multiplier of y = Dχ. From y = field where that is known, so that no phase starts
    # out by whole turns wrong.
    data = field * weight / (weight + _DARK)
    target = xp.asarray(data, copy=True)
    work = xp.zeros_like(field)  # ρ∇ᵀ(z − u)
    for i in range(max_iterations):
        chi_hat, field_hat = divide(rfftn(target), rfftn(work), kernel, normal)
        previous, chi = chi, irfftn(chi_hat, window.shape)
        if edge_variation.step(dual, chi, previous, smooth, grid.voxel_size, threshold, relaxation) < tolerance:
            break
        model = irfftn(field_hat, window.shape)
        if merit and (i + 1) % _MERIT_EVERY == 0:
            _weaken_outliers(weight, model, field, inside, scale)
        constants = {"scale": scale, "relaxation": relaxation}
        compute(_data_step, data, target, model, field, weight, out=(data, target), **constants)
        edge_variation.adjoint(dual, smooth, work, grid.voxel_size, threshold)
        work *= rho
    solved(chi, field, inside, grid)
    return refer_to_mask(window.put(chi, mask), mask)


_DARK = 0.01  # W² about which a voxel has too little signal to start from
_MERIT_EVERY = 10
_MERIT_LIMIT = 6.0
_PROXIMAL_STEPS = 2


def _combined(magnitude):
    """One image of all echoes: the root of the sum of their squares."""
    xp = namespace(magnitude)
    squares = magnitude[..., 0] ** 2
    for echo in range(1, magnitude.shape[3]):
        squares = squares + magnitude[..., echo] ** 2
    return xp.sqrt(squares)


def _data_step(xp, data, target, model, field, weight, *, scale, relaxation):
    """The data splitting s = y + u after the field `model` of a new χ, and y − u."""
    data = data + relaxation * (model - 0.5 * (data + target))
    return data, 2 * _proximal(xp, data, field, weight, scale) - data


def _proximal(xp, data, field, weight, scale):
    """The y of least ½W²|exp(i·s·y) − exp(i·s·field)|²/s² + ½(y − data)², nearly.

    By steps to the minimum of the parabola that bounds it from above. Newton's steps would jump between the minima
    that a weight above 1 leaves far from the field, and over-relaxed ADMM then need not settle.
    """
    start = data - field
    apart = start
    for _ in range(_PROXIMAL_STEPS):
        apart = apart - (weight * xp.sin(scale * apart) / scale + apart - start) / (1 + weight)
    return apart + field


def _weaken_outliers(weight, model, field, inside, scale):
    """Divide the weight W², in place, by the fourth power of how far beyond the limit the residual lies (MERIT)."""
    xp = namespace(weight)
    n_voxels = float(xp.sum(xp.astype(inside, xp.float64)))
    limit = _MERIT_LIMIT * (total(_squared_residual, weight, model, field, scale=scale) / n_voxels) ** 0.5
    if limit > 0:
        compute(_weakened, weight, model, field, out=weight, scale=scale, limit=limit)


def _squared_residual(xp, weight, model, field, *, scale):
    return weight * (2 / scale * xp.sin(scale / 2 * (model - field))) ** 2


def _weakened(xp, weight, model, field, *, scale, limit):
    beyond = _squared_residual(xp, weight, model, field, scale=scale) / limit**2
    return weight / xp.clip(beyond, 1.0, None) ** 2
