"""Mean of every region."""

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

    Of χ and fields, which are known up to a constant, it is relative to the mean in the mask; a map with a zero of its
    own, such as R2*, counts as it is.

    Returns:
        dict from region to float, in the unit of the artifact.
    """
    return region_means(estimate, mask, labels, regions)
