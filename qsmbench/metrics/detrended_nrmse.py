"""Error that is left after the best straight line from reconstruction to truth."""

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

    It forgives a wrong scale, such as that of regularisation, which `detrended_slope` reports. Because a = 1,
    c = 0 is one of the lines, it never exceeds the plain NRMSE. (Fitting the reconstruction on the truth and
    inverting the line divides by a slope that regularisation makes small, and raises the error.) Of a map with a zero
    of its own, c is 0: the line goes through it, and a wrong offset is not forgiven.

    Returns:
        float, %.

    Raises:
        NotApplicable: the truth is constant within the mask, or zero if it has a zero of its own.
    """
    t, x = inside(truth, mask), inside(estimate, mask)
    size, power = truth_norm(t), float((x * x).sum())
    slope = float((x * t).sum()) / power if power > 0 else 0.0
    return 100 * (norm(slope * x - t) / size)
