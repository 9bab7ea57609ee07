"""Normalised root-mean-square error."""

from qsmbench.metrics._declaration import metric
from qsmbench.metrics._values import norm, referenced, truth_norm


@metric(
    unit="%",
    best=0.0,
    higher_is_better=False,
    reference="Langkammer 2018, doi:10.1002/mrm.26830",
    label="NRMSE",
)
def nrmse(estimate, truth, mask):
    """Norm of the error over the norm of the truth, both relative to their mean in the mask.

    100 · ‖(x − x̄) − (t − t̄)‖ / ‖t − t̄‖. The truth scores 0, an empty map exactly 100.

    Args:
        estimate: (nx, ny, nz) float32, ppm.
        truth: (nx, ny, nz) float32, ppm.
        mask: (nx, ny, nz) bool.

    Returns:
        float, %.

    Raises:
        NotApplicable: the truth is constant within the mask.
    """
    t = referenced(truth, mask)
    size = truth_norm(t)
    # The ratio comes first: 100·(a/a) is exactly 100, (100·a)/a need not be.
    return 100 * (norm(referenced(estimate, mask) - t) / size)
