"""A mask where there is signal."""

import numpy as np

from qsmbench.method import method
from qsmbench.ops.masks.morphology import above_threshold, clean_up


@method(produces="mask", reference="Otsu 1979, doi:10.1109/TSMC.1979.4310076")
def magnitude_mask(magnitude, mask, grid, *, threshold=0.4, opening=0.0, closing=2.0):
    """Mask by a threshold on the magnitude, without holes, one piece in each piece of the given mask.

    The threshold is on the root mean square of the echoes. Otsu's is found from the histogram of the whole volume, air
    and tissue being the two classes, so that what lies outside the given mask has a say; on the head phantom it comes
    to the default. Hole filling restores what bright surface coils leave dark in the middle.

    Args:
        magnitude: (nx, ny, nz, n_echoes) a.u.
        mask: (nx, ny, nz) bool; the result lies in it.
        grid: voxel size.
        threshold: "otsu", or a fraction of the magnitude's 99th percentile in the given mask.
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
    bright = above_threshold(combined, threshold, float(np.percentile(combined[mask], 99)), "magnitude_mask")
    return clean_up(bright & mask, mask, grid, opening, closing)
