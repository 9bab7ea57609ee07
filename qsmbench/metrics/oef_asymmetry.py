"""Difference of the oxygen extraction fraction between the hemispheres."""

import numpy as np

from qsmbench.metrics._declaration import metric
from qsmbench.metrics._veins import errors, in_groups, left_and_right


@metric(
    unit="",
    best=float("nan"),
    higher_is_better=None,
    reference="Fan 2014, doi:10.1002/mrm.24918",
    label="OEF left − right",
    artifacts=("oef",),
)
def oef_asymmetry(estimate, truth, mask, grid):
    """Mean oxygen extraction fraction of the veins on the left minus that on the right.

    Only voxels that have a true and a reconstructed value count.

    Returns:
        float, as a fraction; NaN if one side has fewer than two voxels.

    Raises:
        NotApplicable: no true vein has a value.
    """
    both, _ = errors(estimate, truth, mask)
    names, side = left_and_right(both, grid)
    means = in_groups(np.mean, estimate[both].astype(float), side, names)
    return means["left"] - means["right"]
