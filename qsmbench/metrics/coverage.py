"""How much of the study mask was reconstructed."""

import numpy as np

from qsmbench.errors import NotApplicable
from qsmbench.metrics._declaration import metric


@metric(
    unit="%",
    best=100.0,
    higher_is_better=True,
    reference="qsmbench",
    local=True,
)
def coverage(support, study_mask):
    """Share of the voxels of the study mask that the method reconstructed, or that its mask holds.

    A method that erodes the mask is spared the difficult edge; its other scores are to be read beside this
    one.

    Returns:
        float, %.

    Raises:
        NotApplicable: the study mask is empty.
    """
    size = np.count_nonzero(study_mask)
    if size == 0:
        raise NotApplicable("the mask is empty")
    return 100 * (np.count_nonzero(support & study_mask) / size)
