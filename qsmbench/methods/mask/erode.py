"""A mask without its rim."""

from qsmbench.errors import NotApplicable
from qsmbench.method import method
from qsmbench.ops.masks import morphology


@method(produces="mask", reference="Haralick 1987, doi:10.1109/TPAMI.1987.4767941")
def erode(mask, grid, *, radius=2.0):
    """Erosion by a ball: keep the voxels that are more than its radius from the edge.

    Args:
        radius: of the ball, mm. Along an axis whose voxels are longer than that, nothing is removed.

    Raises:
        NotApplicable: nothing remains.

    Reference:
        Haralick 1987, doi:10.1109/TPAMI.1987.4767941.
    """
    core = morphology.erode(mask, grid, radius)
    if not core.any():
        raise NotApplicable(f"no voxel of the mask is more than {radius:g} mm from its edge")
    return core
