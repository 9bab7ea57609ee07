"""Share of lesions that are found."""

import numpy as np

from qsmbench.metrics._declaration import metric
from qsmbench.metrics._detection import detected, detections


@metric(
    unit="%",
    best=100.0,
    higher_is_better=True,
    reference="free-response ROC: Chakraborty 1989, doi:10.1118/1.596358; the observer is assumed",
    label="sensitivity",
    artifacts=("chi",),
    local=True,
)
def lesion_sensitivity(estimate, truth, study_mask, support, sources, source_table, labels, regions, grid):
    """Share of scattered lesions that an observer finds at one false positive per scan.

    The observer compares each voxel with the tissue around it, in the tissues in which lesions may lie: the difference
    of two Gaussian means (0.6 voxels, 4 mm). Its candidates are local maxima. A lesion is found if its response exceeds
    that of all false candidates but one.

    Returns:
        float, %.

    Raises:
        NotApplicable: the truth has no scattered lesion.
    """
    found = detections(estimate, truth, study_mask, support, sources, source_table, labels, regions, grid)
    return 100 * float(np.mean(detected(*found)))
