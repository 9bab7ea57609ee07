"""Overlap of two masks."""

import numpy as np

from qsmbench.errors import NotApplicable
from qsmbench.metrics._declaration import metric


@metric(
    unit="",
    best=1.0,
    higher_is_better=True,
    reference="Dice 1945, doi:10.2307/1932409",
    label="Dice",
    artifacts=("mask", "vein"),
)
def dice(estimate, truth):
    """Twice the number of voxels that a mask shares with the true mask, divided by the sum of their sizes.

    2 |A ∩ B| / (|A| + |B|). `coverage` distinguishes a mask that is too small from one that is too large.

    Returns:
        float, 0…1.

    Raises:
        NotApplicable: both masks are empty.
    """
    size = np.count_nonzero(estimate) + np.count_nonzero(truth)
    if size == 0:
        raise NotApplicable("both masks are empty")
    return 2 * np.count_nonzero(estimate & truth) / size
