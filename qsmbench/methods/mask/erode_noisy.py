"""A mask without its noisy rim."""

import numpy as np
from scipy import ndimage

from qsmbench.errors import NotApplicable
from qsmbench.method import method
from qsmbench.ops.masks.morphology import depth, largest_in_each


@method(produces="mask", reference="Karsa 2019, doi:10.1002/mrm.27542")
def erode_noisy(field_noise, mask, grid, *, threshold=0.5, depth_max=8.0):
    """Erosion by noise: remove voxels from the outside inwards while the field is noisy.

    The inverse of the noise is compared with its mean over the mask. Voxels below `threshold` times the mean are
    removed if such voxels connect them to the outside, at most `depth_max` deep; noisy veins and nuclei further inside
    remain. A threshold at the mean itself (1) with any depth is common, but removes half of a mask with nearly uniform
    noise.

    Args:
        threshold: fraction of the mean inverse noise.
        depth_max: largest depth below the surface, mm.

    Returns:
        mask: (nx, ny, nz) bool, one connected part in each connected part of the input.

    Raises:
        NotApplicable: nothing remains.

    Reference:
        Mask by the inverse noise: Karsa 2019, doi:10.1002/mrm.27542.
    """
    precision = np.zeros(mask.shape, np.float32)
    np.divide(1, field_noise, out=precision, where=mask & (field_noise > 0))
    if not precision.any():
        raise NotApplicable("the noise of the field is zero throughout the mask")
    noisy = mask & (precision < threshold * precision[mask].mean()) & (depth(mask, grid) <= depth_max)
    outside = ndimage.binary_propagation(~np.pad(mask, 1), mask=np.pad(noisy | ~mask, 1, constant_values=True))
    core = largest_in_each(~outside[1:-1, 1:-1, 1:-1], mask)
    if not core.any():
        raise NotApplicable("all voxels of the mask are noisy")
    return core
