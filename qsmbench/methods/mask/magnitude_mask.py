"""A mask where there is signal."""

import numpy as np

from qsmbench.ops.morphology import above_threshold, tidy
from qsmbench.registry import method


@method(produces="mask", reference="Otsu 1979, doi:10.1109/TSMC.1979.4310076")
def magnitude_mask(magnitude, mask, grid, *, threshold="otsu", opening=0.0, closing=2.0):
    """Mask by a threshold on the magnitude, without holes, in one piece, within the given mask.

    The threshold on the root mean square of the echoes is found from the histogram of the whole volume, air and tissue
    being the two classes.

    Args:
        magnitude: (nx, ny, nz, n_echoes) a.u.
        mask: (nx, ny, nz) bool; the result lies in it.
        grid: voxel size.
        threshold: "otsu", or a fraction of the 99th percentile of the magnitude.
        opening: radius of the ball that bridges and specks are too thin for, mm.
        closing: radius of the ball that gaps are too narrow for, mm.

    Returns:
        mask: (nx, ny, nz) bool.

    Raises:
        NotApplicable: nothing in the mask lies above the threshold.
        QsmbenchError: the threshold is not legal.

    Reference:
        Otsu 1979, doi:10.1109/TSMC.1979.4310076.
    """
    combined = np.sqrt(np.mean(np.square(magnitude, dtype=np.float32), axis=-1))
    bright = above_threshold(combined, threshold, float(np.percentile(combined, 99)), "magnitude_mask")
    return tidy(bright & mask, mask, grid, opening, closing)
