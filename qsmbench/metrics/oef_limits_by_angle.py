"""Limits of agreement of the oxygen extraction fraction, by the angle of veins to B0."""

from qsmbench.metrics._declaration import metric
from qsmbench.metrics._veins import angle_names, by_angle, errors, half_width, in_groups


@metric(
    unit="",
    best=0.0,
    higher_is_better=False,
    reference="Bland & Altman 1986, doi:10.1016/S0140-6736(86)90837-8",
    label="OEF limits of agreement by angle",
    artifacts=("oef",),
    local=True,
)
def oef_limits_by_angle(estimate, truth, mask, vein_angle):
    """Half the width of the limits of agreement, for each group of the veins' angle to B0.

    Only voxels that have a true and a reconstructed value count.

    Returns:
        a number for each group of angles, as a fraction.

    Raises:
        NotApplicable: no true vein has a value.
    """
    both, error = errors(estimate, truth, mask)
    return in_groups(half_width, error, by_angle(vein_angle)[both], angle_names())
