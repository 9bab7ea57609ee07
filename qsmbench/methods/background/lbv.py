"""Background removal by a Laplacian boundary value problem."""

from qsmbench.errors import NotApplicable
from qsmbench.method import method
from qsmbench.ops.arrays.array import like, masked, namespace
from qsmbench.ops.arrays.difference import gradient, gradient_adjoint, laplacian_spectrum
from qsmbench.ops.arrays.fft import Window
from qsmbench.ops.masks.morphology import without_boundary
from qsmbench.ops.solvers.restricted import solve_restricted


@method(produces=("local_field", "mask"), reference="Zhou 2014, doi:10.1002/nbm.3064", portable=True)
def lbv(total_field, mask, grid, *, peel=0, tolerance=1e-2, max_iterations=100):
    """LBV: the background is the harmonic field that equals the total field on the boundary of the mask.

    So the local field has the Laplacian of the total field, and is zero on the boundary: the outermost layer of voxels
    of the mask, which then leave it. The Laplacian is the sum of the differences to the six neighbours. The system is
    solved by conjugate gradients, preconditioned with the Laplacian of the whole box.

    Differences:
        The publication solves the system by multigrid.

    Args:
        peel: number of layers of voxels to remove from the mask first, if they are too noisy for boundary values.
        tolerance: stop when the residual has fallen to this fraction of its start (see `ops.solvers.restricted`).

    Returns:
        mask: (nx, ny, nz) bool, without its outermost `peel` + 1 layers.

    Raises:
        NotApplicable: the mask has no voxel inside its boundary.

    Reference:
        Zhou 2014, doi:10.1002/nbm.3064.
    """
    window = Window.around(mask, grid, max(grid.voxel_size))
    inside = window.take_mask(mask)
    for _ in range(peel + 1):
        inside = without_boundary(inside)
    if not namespace(inside).any(inside):
        raise NotApplicable("no voxel of the mask has all six neighbours inside the mask")
    field = window.take(total_field, mask)
    right = masked(gradient_adjoint(gradient(field, grid.voxel_size), grid.voxel_size), inside)
    spectrum = like(laplacian_spectrum(grid, window.shape), field)
    local = solve_restricted(spectrum, inside, right, tolerance, max_iterations)
    eroded = window.put(inside, mask)
    return window.put(local, eroded), eroded
