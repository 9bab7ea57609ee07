"""Bias of the oxygen extraction fraction."""

from qsmbench.metrics._declaration import metric
from qsmbench.metrics._veins import errors


@metric(
    unit="",
    best=0.0,
    higher_is_better=None,
    reference="Bland & Altman 1986, doi:10.1016/S0140-6736(86)90837-8",
    label="OEF bias",
    artifacts=("oef",),
    local=True,
)
def oef_bias(estimate, truth, mask):
    """Mean error of the oxygen extraction fraction in veins.

    Only voxels that have a true and a reconstructed value count.

    Returns:
        float, as a fraction.

    Raises:
        NotApplicable: no true vein has a value.
    """
    return float(errors(estimate, truth, mask)[1].mean())
