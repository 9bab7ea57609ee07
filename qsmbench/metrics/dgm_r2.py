"""R² of the linear fit over the deep grey nuclei."""

from qsmbench.metrics._declaration import metric
from qsmbench.metrics._regions import dgm_line


@metric(
    unit="",
    best=1.0,
    higher_is_better=True,
    reference="Bilgic 2021, doi:10.1002/mrm.28754",
    label="DGM R²",
    artifacts=("chi",),
    local=True,
)
def dgm_r2(estimate, truth, mask, labels, regions):
    """R² of the linear fit of reconstructed against true regional means of the deep grey nuclei.

    The square of their correlation; 0 if the reconstruction does not distinguish the nuclei.

    Returns:
        float, 0…1.

    Raises:
        NotApplicable: fewer than three nuclei lie in the mask, or their true means are equal.
    """
    return dgm_line(estimate, truth, mask, labels, regions)[2]
