"""Pearson correlation."""

from qsmbench.errors import NotApplicable
from qsmbench.metrics._declaration import metric
from qsmbench.metrics._values import inside, norm, truth_norm


@metric(
    unit="",
    best=1.0,
    higher_is_better=True,
    reference="Pearson 1895, doi:10.1098/rspl.1895.0041",
    centred=True,
    local=True,
)
def correlation(estimate, truth, mask):
    """Pearson correlation of reconstruction and truth over the voxels of the mask.

    By definition, it ignores errors of offset and scale.

    Returns:
        float, −1…1.

    Raises:
        NotApplicable: the truth or the reconstruction is constant within the mask.
    """
    t, x = inside(truth, mask), inside(estimate, mask)
    size, own = truth_norm(t), norm(x)
    if own == 0:
        raise NotApplicable("the reconstruction is constant within the mask")
    return min(max(float((x / own * (t / size)).sum()), -1.0), 1.0)
