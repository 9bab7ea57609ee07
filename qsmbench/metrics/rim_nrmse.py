"""Normalised root-mean-square error near the edge of the study mask."""

from qsmbench.metrics._declaration import metric
from qsmbench.metrics._rim import nrmse_within, rim_of


@metric(
    unit="%",
    best=0.0,
    higher_is_better=False,
    reference="qsmbench",
    label="NRMSE of the rim",
    local=True,
)
def rim_nrmse(estimate, truth, mask, study_mask, grid):
    """NRMSE of the voxels of the mask that are at most 12 mm from the edge of the study mask.

    100 · ‖x − t‖ / ‖t‖ over these voxels, with the mean of the whole mask subtracted as for the NRMSE. Background
    removal fails first at the edge; `deep_nrmse` is the error of the other voxels.

    Returns:
        float, %.

    Raises:
        NotApplicable: no voxel is there, or the truth is zero there.
    """
    return nrmse_within(estimate, truth, mask & rim_of(study_mask, grid))
