"""Normalised root-mean-square error of the voxels that a method reconstructed."""

from qsmbench.errors import NotApplicable
from qsmbench.metrics._declaration import metric
from qsmbench.metrics._values import centred_values, norm, truth_norm


@metric(
    unit="%",
    best=0.0,
    higher_is_better=False,
    reference="Langkammer 2018, doi:10.1002/mrm.26830",
    label="NRMSE, own voxels",
    artifacts=("chi", "local_field", "total_field"),
    local=True,
)
def own_nrmse(estimate, truth, support, study_mask):
    """NRMSE over the voxels of the study mask that the method reconstructed, relative to their mean.

    As most publications report it. Methods that remove the difficult edge of the mask gain by it: read it beside the
    coverage and the NRMSE of the study mask.

    Returns:
        float, %.

    Raises:
        NotApplicable: the method reconstructed no voxel, or the truth is constant there.
    """
    own = support & study_mask
    if not own.any():
        raise NotApplicable("no voxel was reconstructed")
    t = centred_values(truth, own)
    size = truth_norm(t)
    return 100 * (norm(centred_values(estimate, own) - t) / size)
