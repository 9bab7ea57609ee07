"""Morphology-enabled dipole inversion: total variation except across the edges of the magnitude."""

from itertools import count

from qsmbench.method import method
from qsmbench.ops.arrays.array import compute, masked, namespace, total
from qsmbench.ops.masks.edges import away_from_edges, combine_echoes
from qsmbench.ops.solvers.admm import FieldData, minimise
from qsmbench.ops.solvers.problem import Problem
from qsmbench.ops.solvers.robust import least_absolute
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
    first_regularisation=0.05,
    first_iterations=20,
    penalty=400.0,
    data_penalty=0.3,
    relaxation=1.8,
    tolerance=0.0045,
    max_iterations=100,
    pad=30.0,
):
    """MEDI: the minimiser of ½‖W(exp(i·s·Dχ) − exp(i·s·field))‖²/s² + λ‖M∇χ‖₁.

    M is zero across the edges of the magnitude image, so that χ may have edges there. W is the relative precision of
    the field by the magnitude. s converts ppm to phase at the effective echo time, so that voxels with wraps have no
    effect, and the influence of noise is bounded. MERIT repeatedly reduces the weight of voxels whose residual exceeds
    six standard deviations, as χ converges.

    The solver is ADMM with the splittings z = ∇χ and y = Dχ, two Fourier round trips per iteration. As `nltv`, it
    starts from some iterations of `l1_qsm`, which is robust to wraps, so that no phase is wrong by whole turns.

    Differences:
        The publication minimises the objective by Gauss-Newton steps, each with many conjugate gradients.

    Args:
        regularisation: λ, weight of the regularisation, ppm·mm (the gradient is per mm, and W² is 1 on average).
        merit: reduce the weight of voxels with a large residual.
        penalty: weight of the gradient splitting, in multiples of λ, mm/ppm; affects the speed, not the converged
            solution.
        data_penalty: ρ, weight of the field splitting; affects the speed, not the converged solution. Far below the
            largest W², voxels that are wrong by whole turns can keep it from converging.

    Reference:
        Edges: Liu J 2012, doi:10.1016/j.neuroimage.2011.08.082; nonlinear data term and MERIT: Liu T 2013,
        doi:10.1002/mrm.24272; the splitting of the data term: Milovic 2018, doi:10.1002/mrm.27073.
    """
    problem = Problem(local_field, mask, grid, pad)
    weight = problem.weight(magnitude, te) ** 2
    problem.field = field = masked(problem.field, weight > 0)  # no signal, no say in the scale of the penalties
    scale = problem.phase_scale(magnitude, te, b0)
    smooth = away_from_edges(problem.take(combine_echoes(magnitude)), problem.inside() > 0, grid.voxel_size, edges)
    first = {"regularisation": first_regularisation, "penalty": penalty * problem.size}
    chi = least_absolute(problem, weight**0.5, **first, relaxation=relaxation, max_iterations=first_iterations)
    weight /= data_penalty
    reweigh = _merit(weight, field, scale, mask) if merit else None
    data = FieldData(problem.kernel, _proximal, (field, weight), problem.field_of(chi), reweigh, scale=scale)
    variation = TotalVariation(chi, grid, regularisation / data_penalty, penalty, smooth)
    return problem.finish(minimise(data, variation, relaxation, tolerance, max_iterations))


_MERIT_EVERY = 10
_MERIT_LIMIT = 6.0
_PROXIMAL_STEPS = 2


def _proximal(xp, data, field, weight, scale):
    """Minimise ½W²|exp(i·s·y) − exp(i·s·field)|²/s² + ½(y − data)² over y, approximately.

    By steps to the minimum of the parabola that bounds it from above. Newton's steps would jump between the minima
    that exist far from the field for weights above 1, and over-relaxed ADMM then need not converge.
    """
    start = data - field
    difference = start
    for _ in range(_PROXIMAL_STEPS):
        difference = difference - (weight * xp.sin(scale * difference) / scale + difference - start) / (1 + weight)
    return difference + field


def _merit(weight, field, scale, mask):
    """Return a function that applies MERIT to the model field of each iteration.

    Every `_MERIT_EVERY` iterations it divides the weight W², in place, by the fourth power of residual / limit where
    that exceeds 1.
    """
    xp = namespace(mask)
    n_voxels = float(xp.sum(xp.astype(mask, xp.float64)))
    iteration = count(1)

    def reweigh(model):
        if next(iteration) % _MERIT_EVERY:
            return
        limit = _MERIT_LIMIT * (total(_squared_residual, weight, model, field, scale=scale) / n_voxels) ** 0.5
        if limit > 0:
            compute(_reduced_weight, weight, model, field, out=weight, scale=scale, limit=limit)

    return reweigh


def _squared_residual(xp, weight, model, field, *, scale):
    return weight * (2 / scale * xp.sin(scale / 2 * (model - field))) ** 2


def _reduced_weight(xp, weight, model, field, *, scale, limit):
    excess = _squared_residual(xp, weight, model, field, scale=scale) / limit**2
    return weight / xp.clip(excess, 1.0, None) ** 2
