"""Morphology-enabled dipole inversion: total variation that spares the edges of the magnitude."""

from itertools import count

from qsmbench.method import method
from qsmbench.ops.arrays.array import compute, namespace, total
from qsmbench.ops.masks.edges import away_from_edges, combine_echoes
from qsmbench.ops.solvers.admm import FieldData, Problem, minimise
from qsmbench.ops.solvers.total_variation import TotalVariation


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
    problem = Problem(local_field, mask, grid, pad)
    field, weight = problem.field, problem.weight(magnitude, te) ** 2
    scale = problem.phase_scale(magnitude, te, b0)
    smooth = away_from_edges(problem.take(combine_echoes(magnitude)), problem.inside() > 0, grid.voxel_size, edges)
    reweigh = _merit(weight, field, scale, mask) if merit else None
    # from the field where that is known, so that no phase starts out by whole turns wrong
    start = compute(lambda _, f, w: f * w / (w + _DARK), field, weight)
    data = FieldData(problem.kernel, _proximal, (field, weight), start, reweigh, scale=scale)
    del start
    variation = TotalVariation(problem.zero(), grid, regularisation, penalty, smooth)
    return problem.finish(minimise(data, variation, relaxation, tolerance, max_iterations))


_DARK = 0.01  # W² about which a voxel has too little signal to start from
_MERIT_EVERY = 10
_MERIT_LIMIT = 6.0
_PROXIMAL_STEPS = 2


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


def _merit(weight, field, scale, mask):
    """MERIT, for the model field of each iteration.

    Every so often it divides the weight W², in place, by the fourth power of how far beyond the limit the residual is.
    """
    xp = namespace(mask)
    n_voxels = float(xp.sum(xp.astype(mask, xp.float64)))
    iteration = count(1)

    def weaken(model):
        if next(iteration) % _MERIT_EVERY:
            return
        limit = _MERIT_LIMIT * (total(_squared_residual, weight, model, field, scale=scale) / n_voxels) ** 0.5
        if limit > 0:
            compute(_weakened, weight, model, field, out=weight, scale=scale, limit=limit)

    return weaken


def _squared_residual(xp, weight, model, field, *, scale):
    return weight * (2 / scale * xp.sin(scale / 2 * (model - field))) ** 2


def _weakened(xp, weight, model, field, *, scale, limit):
    beyond = _squared_residual(xp, weight, model, field, scale=scale) / limit**2
    return weight / xp.clip(beyond, 1.0, None) ** 2
