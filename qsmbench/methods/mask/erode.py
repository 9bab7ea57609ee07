"""A mask without its rim."""

from qsmbench.errors import NotApplicable
from qsmbench.method import method
from qsmbench.ops.masks import morphology


@method(produces="mask", reference="Haralick 1987, doi:10.1109/TPAMI.1987.4767941")
def erode(mask, grid, *, radius=2.0):
    """Erosion by a ball: what remains lies deeper than its radius, in millimetres along each axis.

    Args:
        mask: (nx, ny, nz) bool; it ends where the grid does.
        grid: voxel size.
        radius: of the ball, mm. Along an axis whose voxels are longer than that, nothing is taken off.

    Returns:
        mask: (nx, ny, nz) bool.

    Raises:
        NotApplicable: nothing remains.

    Reference:
        Haralick 1987, doi:10.1109/TPAMI.1987.4767941.
    """
    left = morphology.erode(mask, grid, radius)
    if not left.any():
        raise NotApplicable(f"nothing of the mask lies deeper than {radius:g} mm")
    return left
