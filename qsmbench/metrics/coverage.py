"""Fraction of the study mask that was reconstructed."""

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
    """Fraction of the voxels of the study mask that the method reconstructed, or that its mask contains.

    A method that erodes the mask avoids the difficult edge; interpret its other scores together with this one.

    Returns:
        float, %.

    Raises:
        NotApplicable: the study mask is empty.
    """
    size = np.count_nonzero(study_mask)
    if size == 0:
        raise NotApplicable("the mask is empty")
    return 100 * (np.count_nonzero(support & study_mask) / size)
