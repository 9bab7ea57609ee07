"""Preconditioned total field inversion: susceptibility inside and outside the mask from one field."""

from qsmbench.method import method
from qsmbench.ops.arrays.array import namespace
from qsmbench.ops.masks.edges import combine_echoes
from qsmbench.ops.solvers.problem import Problem
from qsmbench.ops.solvers.total_field import invert_total_field, smooth_pairs


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
    n_iterations=120,
    pad=40.0,
):
    """TFI: the minimiser of ½‖W(Dχ − field)‖² + λ‖M∇χ‖₁ over χ in and around the mask, without background removal.

    Sources outside the mask cause the background, sources inside the local field; one inversion finds both. W is the
    relative precision of the field by the magnitude, zero outside the mask. M is zero across edges of the magnitude
    image and outside the mask.

    As in the publication, |∇χ| is replaced by √(|∇χ|² + ε²), which is bounded from above by a parabola at the current
    χ. The parabola is updated at every step of nonlinear conjugate gradients, and gives its length. So the objective
    decreases with each step, and no step is spent on an outdated parabola.

    χ outside is much larger (air, bone) than inside, so a preconditioner multiplies it by P = `outside` there. P
    decreases to a tenth, since the background is found early, and the rest is as small outside as inside.

    The number of iterations is fixed. χ still changes by half a percent to a percent in each of them, up and down, so
    that rounding would decide when a limit of this change is reached.

    Differences:
        The publication minimises each parabola by many conjugate gradients (Gauss-Newton steps), and also regularises χ
        around the mask. Its preconditioner is a constant P alone. Here P² is added to the inverse of D² + λ/ε |k|²,
        which is that of the normal equations if all voxels are known and χ is flat: without it the low frequencies near
        the cone of the dipole take many more steps.

    Args:
        outside: P around the mask in the first step; the published P for the brain, constant, is 30.
        regularisation: λ, weight of the regularisation, ppm·mm (the gradient is per mm, and W² is 1 on average).
        smallest: ε, the gradient of χ below which the norm is smoothed, ppm/mm.
        n_iterations: number of iterations.
        pad: margin for sources around the bounding box of the mask, mm along each axis.

    Reference:
        Liu Z 2017, doi:10.1002/mrm.26331; edges: Liu J 2012, doi:10.1016/j.neuroimage.2011.08.082; nonlinear conjugate
        gradients: Polak & Ribière 1969, doi:10.1051/m2an/196903R100351.
    """
    problem = Problem(total_field, mask, grid, pad)
    inside = problem.mask
    xp = namespace(problem.field)
    chi = invert_total_field(
        problem,
        problem.field,
        problem.weight(magnitude, te) ** 2,
        smooth_pairs(problem.take(combine_echoes(magnitude)), inside, grid.voxel_size, edges),
        xp.astype(~inside, xp.float32) * outside,
        regularisation=regularisation,
        smallest=smallest,
        tolerance=0,
        max_iterations=n_iterations,
    )
    return problem.finish(chi)
