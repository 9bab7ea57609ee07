"""No mask: every voxel of the volume."""

import numpy as np

from qsmbench.method import method


@method(produces="mask", reference="control")
def no_mask(mask):
    """Control: all voxels of the volume, for the steps after it.

    On the true field, of which `truth` knows all voxels, it shows what the missing phase around the body costs.

    Returns:
        mask: (nx, ny, nz) bool: true everywhere.
    """
    return np.ones_like(mask, bool)
