"""Apparent volume of each lesion."""

import numpy as np

from qsmbench.data.source_table import NEGLIGIBLE
from qsmbench.metrics._declaration import metric
from qsmbench.metrics._lesions import Scene, require, rows_of


@metric(
    unit="",
    best=1.0,
    higher_is_better=None,
    reference="apparent against true volume of microbleeds: Liu 2012, doi:10.1148/radiol.11110251; the rule is assumed",
    label="volume of lesions",
    artifacts=("chi",),
    local=True,
    per="source",
)
def lesion_volume_ratio(estimate, truth, study_mask, support, sources, source_table, labels, regions, grid):
    """Apparent volume of each lesion over that in the true map.

    A voxel belongs to the apparent lesion if it is in the lesion or within one and a half voxels of it, and χ differs
    from the ring (see `lesion_contrast`) by more than half of what the most different voxel does, in the direction of
    the true contrast. Above 1, the lesion blooms.

    Returns:
        dict from index of the source to float, dimensionless; NaN if less than half of the lesion was reconstructed, or
        if it has no contrast in the true map.

    Raises:
        NotApplicable: the truth has no lesion.
    """
    scene = Scene(study_mask, support, sources, source_table, labels, regions, grid)
    rows = rows_of(source_table)
    require(rows)
    found = {row.index: float("nan") for row in rows}
    for lesion in scene.lesions(rows):
        true = lesion.contrast(truth)
        if abs(true) >= NEGLIGIBLE:
            sign = 1 if true > 0 else -1
            found[lesion.source.index] = _voxels(lesion, estimate, sign) / _voxels(lesion, truth, sign)
    return found


def _voxels(lesion, volume, sign):
    """Return the number of voxels above half of the maximum; 0 if none differs in the direction of `sign`."""
    values = sign * (volume[lesion.box][lesion.near].astype(np.float64) - lesion.around(volume))
    most = values.max()
    return np.count_nonzero(values > most / 2) if most > 0 else 0
