"""Limits of agreement of the oxygen extraction fraction."""

from qsmbench.metrics._declaration import metric
from qsmbench.metrics._veins import errors, half_width


@metric(
    unit="",
    best=0.0,
    higher_is_better=False,
    reference="Bland & Altman 1986, doi:10.1016/S0140-6736(86)90837-8",
    label="OEF limits of agreement",
    artifacts=("oef",),
    local=True,
)
def oef_limits(estimate, truth, mask):
    """Half the width of the 95 % limits of agreement of the oxygen extraction fraction: 1.96 standard deviations.

    Only voxels that have a true and a reconstructed value count.

    Returns:
        float, as a fraction.

    Raises:
        NotApplicable: no true vein has a value.
    """
    return half_width(errors(estimate, truth, mask)[1])
