"""False positives at a given sensitivity."""

import numpy as np

from qsmbench.metrics._declaration import metric
from qsmbench.metrics._detection import detections

SHARE = 0.8
"""Sensitivity at which false positives are counted."""


@metric(
    unit="",
    best=0.0,
    higher_is_better=False,
    reference="free-response ROC: Chakraborty 1989, doi:10.1118/1.596358; the observer is assumed",
    label="false positives",
    artifacts=("chi",),
    local=True,
)
def lesion_false_positives(estimate, truth, study_mask, support, sources, source_table, labels, regions, grid):
    """Number of false candidates per scan at which an observer finds 80 % of the lesions; see `lesion_sensitivity`.

    If it does not find as many, all of its false candidates count.

    Returns:
        float, a number per scan.

    Raises:
        NotApplicable: the truth has no scattered lesion.
    """
    scores, false = detections(estimate, truth, study_mask, support, sources, source_table, labels, regions, grid)
    threshold = np.sort(scores)[::-1][int(np.ceil(SHARE * scores.size)) - 1]
    return float(np.count_nonzero(false > threshold))
