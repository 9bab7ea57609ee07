"""Mean of every region."""

from qsmbench.metrics._declaration import metric
from qsmbench.metrics._regions import region_means


@metric(
    unit=None,
    best=float("nan"),
    higher_is_better=None,
    reference="Bilgic 2024, doi:10.1002/mrm.30006",
    label="regional mean",
)
def mean(estimate, mask, labels, regions):
    """Mean of the reconstruction in each region, relative to its mean in the mask.

    Args:
        estimate: (nx, ny, nz) float32, ppm.
        mask: (nx, ny, nz) bool.
        labels: (nx, ny, nz) integer.
        regions: list of (index, name, group).

    Returns:
        dict from region to float, ppm.
    """
    return region_means(estimate, mask, labels, regions)
