"""Intercept of the linear fit over the deep grey nuclei."""

from qsmbench.metrics._declaration import metric
from qsmbench.metrics._regions import dgm_line


@metric(
    unit=None,
    best=0.0,
    higher_is_better=None,
    reference="Bilgic 2021, doi:10.1002/mrm.28754",
    label="DGM intercept",
    artifacts=("chi",),
    local=True,
)
def dgm_intercept(estimate, truth, mask, labels, regions):
    """Intercept of the linear fit of reconstructed against true regional means of the deep grey nuclei.

    Both are relative to the mean of the mask, so it is the offset at a true mean of zero.

    Returns:
        float, ppm.

    Raises:
        NotApplicable: fewer than three nuclei lie in the mask, or their true means are equal.
    """
    return dgm_line(estimate, truth, mask, labels, regions)[1]
