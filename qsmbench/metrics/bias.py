"""Error of the regional means."""

from qsmbench.metrics._declaration import metric
from qsmbench.metrics._regions import region_means


@metric(
    unit=None,
    best=0.0,
    higher_is_better=None,
    reference="Bilgic 2024, doi:10.1002/mrm.30006",
    label="regional bias",
    local=True,
)
def bias(estimate, truth, mask, labels, regions):
    """Reconstructed minus true mean of each region.

    χ and fields, which are known up to a constant, are taken relative to their mean in the mask; maps with a meaningful
    zero, such as R2*, are used unchanged.

    Returns:
        dict from region to float, in the unit of the artifact.
    """
    true = region_means(truth, mask, labels, regions)
    found = region_means(estimate, mask, labels, regions)
    return {name: found[name] - value for name, value in true.items()}
