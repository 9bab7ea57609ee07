"""Slope of the linear fit of the truth on the reconstruction."""

from qsmbench.errors import NotApplicable
from qsmbench.metrics._declaration import metric
from qsmbench.metrics._values import inside


@metric(
    unit="",
    best=1.0,
    higher_is_better=None,
    reference="Bilgic 2021, doi:10.1002/mrm.28754",
    label="slope",
    local=True,
)
def detrended_slope(estimate, truth, mask):
    """Slope a of the least-squares line t ≈ a·x + c through all voxels of the mask.

    Above 1, the reconstruction x is underestimated; below 1, it is overestimated or noisy. For a map with a meaningful
    zero, c is 0.

    Returns:
        float, dimensionless.

    Raises:
        NotApplicable: the reconstruction is constant within the mask, or zero if its zero is meaningful.
    """
    t, x = inside(truth, mask), inside(estimate, mask)
    power = float((x * x).sum())
    if power == 0:
        raise NotApplicable("the reconstruction is constant within the mask")
    return float((x * t).sum()) / power
