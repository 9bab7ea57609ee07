"""Iterative Tikhonov inversion by conjugate gradients."""

from qsmbench.method import method
from qsmbench.ops.arrays.array import compute, like, namespace
from qsmbench.ops.arrays.fft import Window, convolve
from qsmbench.ops.kernels.dipole import dipole_kernel
from qsmbench.ops.solvers.reference import subtract_mask_mean
from qsmbench.ops.solvers.solution import report_solution
from qsmbench.ops.solvers.solve import cg
from qsmbench.ops.solvers.weight import field_weight


@method(produces="chi", reference="de Rochefort 2010, doi:10.1002/mrm.22187", portable=True)
def cgls(
    local_field,
    magnitude,
    mask,
    grid,
    te,
    *,
    regularisation=0.003,
    tolerance=0.005,
    max_iterations=40,
    pad=30.0,
):
    """Weighted least squares for the χ in the mask: the minimiser of ‖W(Dχ − field)‖² + λ‖χ‖².

    W is the precision of the field that the magnitudes tell, and zero outside the mask, so nothing is claimed about
    the field there. Nor is there any χ: the local field has its sources in the mask. Conjugate gradients on the
    normal equations; stopping early regularises too, with λ or without.

    Args:
        local_field: (nx, ny, nz) ppm.
        magnitude: (nx, ny, nz, n_echoes) a.u.
        mask: (nx, ny, nz) bool.
        grid: voxel size and B0 direction.
        te: (n_echoes,) echo times, s.
        regularisation: λ, without unit (W² is 1 on average).
        tolerance: stop when the gradient has fallen to this fraction of its start.
        max_iterations: stop then at the latest.
        pad: zeros around the bounding box of the mask, mm along each axis.

    Returns:
        chi: (nx, ny, nz) float32, ppm, zero mean over the mask.

    Reference:
        Weighted least squares: de Rochefort 2010, doi:10.1002/mrm.22187; conjugate gradients: Hestenes & Stiefel 1952,
        doi:10.6028/jres.049.044.
    """
    window = Window.around(mask, grid, pad)
    field = window.take(local_field, mask)
    xp = namespace(field)
    inside = xp.astype(window.take_mask(mask), xp.float32)
    weight = window.take(field_weight(magnitude, te, mask), mask) ** 2
    kernel = like(dipole_kernel(grid, window.shape), field)

    def normal(chi):
        back = convolve(convolve(chi, kernel) * weight, kernel)
        return compute(_masked_sum, back, chi, inside, out=back, factor=regularisation)

    right = convolve(field * weight, kernel) * inside
    chi = cg(normal, right, tolerance, max_iterations)
    report_solution(chi, field, window.take_mask(mask), grid)
    return subtract_mask_mean(window.put(chi, mask), mask)


def _masked_sum(xp, back, chi, inside, *, factor):
    return back * inside + factor * chi
