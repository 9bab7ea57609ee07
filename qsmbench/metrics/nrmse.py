"""Normalised root-mean-square error."""

from qsmbench.metrics._declaration import metric
from qsmbench.metrics._values import inside, norm, truth_norm


@metric(
    unit="%",
    best=0.0,
    higher_is_better=False,
    reference="Langkammer 2018, doi:10.1002/mrm.26830",
    label="NRMSE",
    local=True,
)
def nrmse(estimate, truth, mask):
    """Norm of the error divided by the norm of the truth.

    100 · ‖x − t‖ / ‖t‖ over the mask. χ and fields, which are known up to a constant, are taken relative to their mean
    in the mask; maps with a meaningful zero, such as R2*, are used unchanged. The truth scores 0, an empty map exactly
    100.

    Returns:
        float, %.

    Raises:
        NotApplicable: the truth is constant within the mask, or zero if its zero is meaningful.
    """
    t = inside(truth, mask)
    size = truth_norm(t)
    # The ratio comes first: 100·(a/a) is exactly 100, (100·a)/a need not be.
    return 100 * (norm(inside(estimate, mask) - t) / size)
