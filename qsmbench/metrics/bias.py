"""Error of the mean of every region."""

from qsmbench.metrics._declaration import metric
from qsmbench.metrics._regions import region_means


@metric(
    unit=None,
    best=0.0,
    higher_is_better=None,
    reference="Bilgic 2024, doi:10.1002/mrm.30006",
    label="regional bias",
)
def bias(estimate, truth, mask, labels, regions):
    """Reconstructed minus true mean of each region, both relative to their mean in the mask.

    Args:
        estimate: (nx, ny, nz) float32, ppm.
        truth: (nx, ny, nz) float32, ppm.
        mask: (nx, ny, nz) bool.
        labels: (nx, ny, nz) integer.
        regions: list of (index, name, group).

    Returns:
        dict from region to float, ppm.
    """
    true = region_means(truth, mask, labels, regions)
    found = region_means(estimate, mask, labels, regions)
    return {name: found[name] - value for name, value in true.items()}
