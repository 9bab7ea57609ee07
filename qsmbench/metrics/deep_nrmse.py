"""Normalised root-mean-square error away from the edge of the study mask."""

from qsmbench.metrics._declaration import metric
from qsmbench.metrics._rim import nrmse_within, rim_of


@metric(
    unit="%",
    best=0.0,
    higher_is_better=False,
    reference="qsmbench",
    label="NRMSE inside the rim",
    local=True,
)
def deep_nrmse(estimate, truth, mask, study_mask, grid):
    """NRMSE of the voxels of the mask that are more than 12 mm from the edge of the study mask; see `rim_nrmse`.

    Returns:
        float, %.

    Raises:
        NotApplicable: no voxel is there, or the truth is zero there.
    """
    return nrmse_within(estimate, truth, mask & ~rim_of(study_mask, grid))
