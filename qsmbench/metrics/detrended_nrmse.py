"""Error after a linear fit of the truth on the reconstruction."""

from qsmbench.metrics._declaration import metric
from qsmbench.metrics._values import inside, norm, truth_norm


@metric(
    unit="%",
    best=0.0,
    higher_is_better=False,
    reference="Bilgic 2021, doi:10.1002/mrm.28754",
    label="detrended NRMSE",
    local=True,
)
def detrended_nrmse(estimate, truth, mask):
    """NRMSE of a·x + c, with a and c the least-squares fit of the truth on the reconstruction x.

    It ignores a scale error, such as that of regularisation, which `detrended_slope` reports. It never exceeds the
    NRMSE, which is the case a = 1, c = 0. (Fitting the reconstruction on the truth and inverting the line would divide
    by a slope that regularisation makes small, and increase the error.) For a map with a meaningful zero, c is 0, so
    that an offset counts as an error.

    Returns:
        float, %.

    Raises:
        NotApplicable: the truth is constant within the mask, or zero if its zero is meaningful.
    """
    t, x = inside(truth, mask), inside(estimate, mask)
    size, power = truth_norm(t), float((x * x).sum())
    slope = float((x * t).sum()) / power if power > 0 else 0.0
    return 100 * (norm(slope * x - t) / size)
