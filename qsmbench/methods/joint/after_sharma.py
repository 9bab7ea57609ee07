"""Total-field inversion of the trunk with the fat fraction as prior."""

from qsmbench.method import method
from qsmbench.ops.arrays.array import namespace
from qsmbench.ops.arrays.fft import convolve
from qsmbench.ops.masks.edges import combine_echoes
from qsmbench.ops.solvers.problem import Problem
from qsmbench.ops.solvers.total_field import invert_total_field, smooth_pairs


@method(produces="chi", reference="Sharma 2015, doi:10.1002/mrm.25448", portable=True)
def after_sharma(
    total_field,
    signal_fat_fraction,
    magnitude,
    mask,
    grid,
    te,
    *,
    fat_chi=0.6,
    adipose=0.9,
    anchor=0.05,
    outside=100.0,
    regularisation=5e-4,
    edges=0.3,
    smallest=2e-3,
    tolerance=6e-3,
    max_iterations=300,
    pad=40.0,
):
    """χ of background and tissue at once, near χ = `fat_chi` · fat fraction (after Sharma 2015).

    The difference u = χ − `fat_chi` · F, with F the fat fraction within 0–1, is the minimiser of
    ½‖W(D(u + `fat_chi` · F) − field)‖² + λ‖M∇u‖₁ + ½ · `anchor` · ‖u‖² over adipose tissue, where χ is known. u extends
    around the mask, where it causes the background; no background is removed before. So fat may have edges that the
    dipole inversion need not find, and the χ of adipose tissue ties down slow variation over the trunk. M is zero
    across edges of the magnitude, W is the precision of the field by the magnitude; solver as in `tfi`.

    Differences:
        Named after the publication, which also inverts the field of chemical-shift encoding with a prior from the fat
        fraction; its regularisation could not be read. Its form here, and the weight of the anchor, are assumed.

    Args:
        fat_chi: χ of pure fat relative to water, ppm; 0.55–0.70 are in use.
        adipose: fat fraction above which tissue is adipose.
        anchor: weight of the known χ of adipose tissue; W² is 1 on average. 0: none.
        outside: factor by which χ around the mask is preferred in the first step, see `tfi`.
        regularisation: λ, weight of the regularisation, ppm·mm (the gradient is per mm, and W² is 1 on average).
        smallest: gradient of u below which the norm is smoothed, ppm/mm.
        tolerance: stop when u in the mask changes by less than this fraction between iterations.
        pad: margin for sources around the bounding box of the mask, mm along each axis.

    Reference:
        Sharma 2015, doi:10.1002/mrm.25448; solver: Liu Z 2017, doi:10.1002/mrm.26331.
    """
    problem = Problem(total_field, mask, grid, pad)
    xp, inside = namespace(problem.field), problem.mask
    fraction = xp.clip(problem.take(signal_fat_fraction), 0.0, 1.0)
    prior = fraction * fat_chi
    known = inside & (fraction > adipose)
    rest = invert_total_field(
        problem,
        problem.field - xp.where(inside, convolve(prior, problem.kernel), 0.0),
        problem.weight(magnitude, te) ** 2,
        smooth_pairs(problem.take(combine_echoes(magnitude)), inside, grid.voxel_size, edges),
        xp.astype(~inside, xp.float32) * outside,
        regularisation=regularisation,
        smallest=smallest,
        tolerance=tolerance,
        max_iterations=max_iterations,
        anchor=xp.astype(known, xp.float32) * anchor,
    )
    return problem.finish(rest + prior)
