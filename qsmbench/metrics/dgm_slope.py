"""Slope of the linear fit over the deep grey nuclei."""

from qsmbench.metrics._declaration import metric
from qsmbench.metrics._regions import dgm_line


@metric(
    unit="",
    best=1.0,
    higher_is_better=None,
    reference="Bilgic 2021, doi:10.1002/mrm.28754",
    label="DGM slope",
    artifacts=("chi",),
    local=True,
)
def dgm_slope(estimate, truth, mask, labels, regions):
    """Slope of the linear fit of reconstructed against true regional means of the deep grey nuclei (group `dgm`).

    Below 1, iron is underestimated.

    Returns:
        float, dimensionless.

    Raises:
        NotApplicable: fewer than three nuclei lie in the mask, or their true means are equal.
    """
    return dgm_line(estimate, truth, mask, labels, regions)[0]
