"""A mask of the voxels with signal."""

import numpy as np

from qsmbench.method import method
from qsmbench.ops.masks.morphology import above_threshold, clean_up


@method(produces="mask", reference="Otsu 1979, doi:10.1109/TSMC.1979.4310076")
def magnitude_mask(magnitude, mask, grid, *, threshold=0.4, opening=0.0, closing=2.0):
    """Mask by a threshold on the magnitude, without holes, one connected part in each connected part of the input.

    The threshold is on the root mean square of the echoes. Otsu's method uses the histogram of the whole volume, with
    air and tissue as the two classes; on the head phantom it gives the default. Hole filling restores dark regions in
    the middle, which are far from surface coils.

    Args:
        mask: (nx, ny, nz) bool; limits the result.
        threshold: "otsu", or a fraction of the 99th percentile of the magnitude in the mask.

    Raises:
        NotApplicable: nothing in the mask is above the threshold.
        QsmbenchError: the threshold is invalid.

    Reference:
        Otsu 1979, doi:10.1109/TSMC.1979.4310076.
    """
    combined = np.sqrt(np.mean(np.square(magnitude, dtype=np.float32), axis=-1))
    bright = above_threshold(combined, threshold, float(np.percentile(combined[mask], 99)), "magnitude_mask")
    return clean_up(bright & mask, mask, grid, opening, closing)
