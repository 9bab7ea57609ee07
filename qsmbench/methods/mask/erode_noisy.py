"""A mask without what is noisy at its rim."""

import numpy as np
from scipy import ndimage

from qsmbench.errors import NotApplicable
from qsmbench.method import method
from qsmbench.ops.masks.morphology import depth, largest_in_each


@method(produces="mask", reference="Karsa 2019, doi:10.1002/mrm.27542")
def erode_noisy(field_noise, mask, grid, *, threshold=0.5, depth_max=8.0):
    """Erosion by noise: from outside inwards, as far as the field is noisy.

    The inverse of the noise is compared with its mean over the mask. Voxels below `threshold` times the mean leave the
    mask if they are joined to the outside by voxels like them, no deeper than `depth_max`; noisy veins and nuclei
    further inside stay. Thresholding at the mean itself (1) with any depth is common, but takes half of a mask in which
    the noise is nearly even.

    Args:
        field_noise: (nx, ny, nz) ppm, standard deviation.
        mask: (nx, ny, nz) bool; it ends where the grid does.
        grid: voxel size.
        threshold: as a share of the mean inverse noise.
        depth_max: from the surface, mm.

    Returns:
        mask: (nx, ny, nz) bool, one piece in each piece of the given mask.

    Raises:
        NotApplicable: nothing remains.

    Reference:
        Mask by the inverse noise: Karsa 2019, doi:10.1002/mrm.27542.
    """
    certainty = np.zeros(mask.shape, np.float32)
    np.divide(1, field_noise, out=certainty, where=mask & (field_noise > 0))
    if not certainty.any():
        raise NotApplicable("the noise of the field is zero throughout the mask")
    noisy = mask & (certainty < threshold * certainty[mask].mean()) & (depth(mask, grid) <= depth_max)
    gone = ndimage.binary_propagation(~np.pad(mask, 1), mask=np.pad(noisy | ~mask, 1, constant_values=True))
    left = largest_in_each(~gone[1:-1, 1:-1, 1:-1], mask)
    if not left.any():
        raise NotApplicable("all of the mask is noisy")
    return left
