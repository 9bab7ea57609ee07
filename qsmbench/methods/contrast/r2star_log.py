"""R2* by a straight line through the logarithm of the magnitude."""

import numpy as np

from qsmbench.errors import NotApplicable
from qsmbench.method import method
from qsmbench.ops.phase.echo_line import echo_weights, fit_line


@method(produces="r2star", reference="Salvador 2005, doi:10.1002/hbm.20076")
def r2star_log(magnitude, mask, te, *, r2star_max=1000.0):
    """Log-linear fit: weighted least squares of the logarithm of the magnitude over echo time.

    The variance of the logarithm is proportional to 1/magnitude², so the echoes are weighted with magnitude². The
    model has no noise floor: where the signal falls to the level of the noise, R2* is underestimated.

    Raises:
        NotApplicable: there is a single echo.

    Reference:
        Weights of the logarithm: Salvador 2005, doi:10.1002/hbm.20076.
    """
    if te.size < 2:
        raise NotApplicable("R2* needs at least two echoes; the scan has one")
    signal = magnitude[mask]
    weight = echo_weights(signal)
    # an echo without signal has no weight, so that its logarithm does not matter
    logarithm = np.log(signal, where=signal > 0, out=np.zeros(signal.shape, np.float32))
    _, slope, _ = fit_line(logarithm, weight, te.astype(np.float32))
    r2star = np.zeros(mask.shape, np.float32)
    r2star[mask] = np.clip(-slope, 0, r2star_max)
    return r2star
