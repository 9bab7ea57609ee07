"""A mask of the whole body, gas and bone included."""

import numpy as np
from scipy import ndimage

from qsmbench.method import method
from qsmbench.ops.masks.morphology import close_gaps


@method(produces="mask", reference="Haralick 1987, doi:10.1109/TPAMI.1987.4767941")
def body_mask(mask, grid, *, closing=10.0):
    """The body's outline: the mask closed and, slice by slice across each axis, without holes.

    Gas, lung and bone within the body belong to it, though they have no reliable phase.

    Args:
        mask: (nx, ny, nz) bool: tissue with signal.

    Reference:
        Closing: Haralick 1987, doi:10.1109/TPAMI.1987.4767941.
    """
    body = close_gaps(mask, grid, closing)
    for axis in range(3):
        planes = np.moveaxis(body, axis, 0)
        for plane in planes:
            plane |= ndimage.binary_fill_holes(plane)
    return body
