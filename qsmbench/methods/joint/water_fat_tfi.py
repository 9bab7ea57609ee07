"""Total-field inversion of water and fat with a preconditioner that falls off from the body."""

import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.optimize import minimize_scalar

from qsmbench.method import method, note
from qsmbench.ops.arrays.fft import convolve
from qsmbench.ops.solvers.problem import Problem
from qsmbench.ops.solvers.solve import cgls
from qsmbench.ops.solvers.total_field import invert_total_field, smooth_pairs
from qsmbench.ops.water_fat.precision import field_precision

_STEPS = 10  # of the projection that shows how the sources around the body fall off
_SHELL = 4.0  # thickness of the shells whose mean is fitted, mm


@method(produces="chi", reference="Boehm 2022, doi:10.1002/mrm.28903")
def water_fat_tfi(
    total_field,
    water,
    fat,
    r2star,
    mask,
    grid,
    te,
    b0,
    *,
    peaks=6,
    outside=100.0,
    fall_off=None,
    regularisation=5e-4,
    edges=0.3,
    smallest=2e-3,
    tolerance=6e-3,
    max_iterations=300,
    pad=60.0,
):
    """Total-field inversion whose data term and preconditioner are those of water and fat (after Boehm 2022).

    As `tfi`, χ in and around the mask explains the total field at once. Around the mask the preconditioner is
    `outside` / (1 + r / r₀)³, with r the distance from the mask: strong sources lie near the body. r₀ is fitted to |χ|
    of a projection onto dipole fields, stopped after ten steps. Of the complex signal of water, fat and R2*, the data
    term keeps the curvature over the field at the separation's result: the square of the derivative, less what water
    and fat explain of it. So voxels where water and fat cannot be told from the field count less, and
    opposed phases leave no edges, since edges are those of water + fat.

    It must follow a step that produces water, fat and R2*.

    Differences:
        The publication continues with a nonlinear fit to the complex signal; here it is linear about the separated
        field. Its weights are relative to another scale: those of `tfi` are used.

    Args:
        peaks: number of peaks of the fat spectrum, as in the separation.
        outside: preconditioner at the surface of the mask in the first step; the published one, constant, is 30.
        fall_off: r₀, mm; None: fitted.
        regularisation: λ, weight of the regularisation, ppm·mm (the gradient is per mm, and W² is 1 on average).
        smallest: gradient of χ below which the norm is smoothed, ppm/mm.
        tolerance: stop when χ in the mask changes by less than this fraction between iterations.
        pad: margin for sources around the bounding box of the mask, mm along each axis.

    Reference:
        Boehm 2022, doi:10.1002/mrm.28903; solver: Liu Z 2017, doi:10.1002/mrm.26331.
    """
    problem = Problem(total_field, mask, grid, pad)
    inside = problem.mask
    distance = distance_transform_edt(~inside, grid.voxel_size).astype(np.float32)
    if fall_off is None:
        fall_off = _fitted_fall_off(problem, distance)
        note("r₀ of the preconditioner, mm", round(fall_off, 1))
    precision = problem.take(field_precision(water, fat, r2star, mask, te, b0, peaks))
    mean = float(np.mean(np.square(precision[inside], dtype=float)))
    weight = np.square(precision / np.float32(mean**0.5)) if mean > 0 else problem.inside()
    chi = invert_total_field(
        problem,
        problem.field,
        weight,
        smooth_pairs(problem.take(water + fat), inside, grid.voxel_size, edges),
        np.where(inside, 0, outside / (1 + distance / fall_off) ** 3).astype(np.float32),
        regularisation=regularisation,
        smallest=smallest,
        tolerance=tolerance,
        max_iterations=max_iterations,
    )
    return problem.finish(chi)


def _fitted_fall_off(problem, distance):
    """Fit |χ| ∝ 1 / (1 + r / r₀)³ to the means of shells around the mask, by least squares of the logarithm; mm."""
    inside = problem.inside()
    sources = cgls(
        lambda chi: convolve(chi, problem.kernel) * inside,
        lambda field: convolve(field, problem.kernel) * (1 - inside),
        problem.field.copy(),
        0.0,
        _STEPS,
    )
    around = distance > 0
    shell = (distance[around] / _SHELL).astype(int)
    count = np.bincount(shell)
    level = np.bincount(shell, np.abs(sources[around])) / np.maximum(count, 1)
    used = (count > 0) & (level > 0)
    r = (np.arange(count.size)[used] + 0.5) * _SHELL
    log_level, root = np.log(level[used]), np.sqrt(count[used] / count.sum())
    if r.size < 3:
        return _SHELL

    def misfit(log_fall_off):
        difference = log_level + 3 * np.log1p(r / np.exp(log_fall_off))
        return float((root * (difference - np.average(difference, weights=root**2))) @ (root * difference))

    return float(np.exp(minimize_scalar(misfit, bounds=np.log([1.0, 300.0]), method="bounded").x))
