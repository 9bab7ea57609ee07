"""Regional means."""

from qsmbench.metrics._declaration import metric
from qsmbench.metrics._regions import region_means


@metric(
    unit=None,
    best=float("nan"),
    higher_is_better=None,
    reference="Bilgic 2024, doi:10.1002/mrm.30006",
    label="regional mean",
    local=True,
)
def mean(estimate, mask, labels, regions):
    """Mean of the reconstruction in each region.

    χ and fields, which are known up to a constant, are taken relative to their mean in the mask; maps with a meaningful
    zero, such as R2*, are used unchanged.

    Returns:
        dict from region to float, in the unit of the artifact.
    """
    return region_means(estimate, mask, labels, regions)
