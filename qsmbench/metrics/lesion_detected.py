"""Which lesions are found."""

from qsmbench.metrics._declaration import metric
from qsmbench.metrics._detection import detected, detections
from qsmbench.metrics._lesions import scattered


@metric(
    unit="",
    best=1.0,
    higher_is_better=True,
    reference="free-response ROC: Chakraborty 1989, doi:10.1118/1.596358; the observer is assumed",
    label="lesion found",
    artifacts=("chi",),
    local=True,
    per="source",
)
def lesion_detected(estimate, truth, study_mask, support, sources, source_table, labels, regions, grid):
    """Whether an observer finds each lesion at one false positive per scan (1 or 0); see `lesion_sensitivity`.

    Returns:
        dict from index of the source to float.

    Raises:
        NotApplicable: the truth has no scattered lesion.
    """
    scores, false = detections(estimate, truth, study_mask, support, sources, source_table, labels, regions, grid)
    indices = (row.index for row in scattered(source_table))
    return dict(zip(indices, detected(scores, false).astype(float).tolist(), strict=True))
