"""Liver iron concentration from R2*."""

import numpy as np

from qsmbench.errors import NotApplicable, QsmbenchError
from qsmbench.method import method

_HERNANDO = {1.5: (-0.16, 0.02603), 2.89: (-0.03, 0.01400), 3.0: (-0.03, 0.01349)}  # T: mg/g, mg/g per 1/s
_NEAR = 0.06  # T: field strengths that are the same


@method(produces="lic", reference="Hernando 2022, doi:10.1148/radiol.213256")
def lic_r2star(r2star, mask, b0, *, intercept=None, slope=None):
    """Compute the liver iron concentration, intercept + slope · R2*, by a calibration for the field strength.

    The default calibration is that of Hernando 2022: −0.16 + 0.02603 s · R2* at 1.5 T, −0.03 + 0.01400 s · R2* at
    2.89 T, −0.03 + 0.01349 s · R2* at 3 T (the last two from memory, unverified). It is computed for every voxel, but
    is meaningful in the liver only. Fat and fibrosis change R2* too.

    Args:
        intercept: at R2* = 0, mg/g dry; None: that of the default calibration.
        slope: mg/g dry per 1/s; None: that of the default calibration.

    Raises:
        NotApplicable: there is no default calibration for the field strength.
        QsmbenchError: only one of the settings is given, or the slope is not positive.

    Reference:
        Hernando 2022, doi:10.1148/radiol.213256.
    """
    if (intercept is None) != (slope is None):
        raise QsmbenchError("lic_r2star: intercept and slope belong to one calibration; give both or neither")
    if slope is not None and not slope > 0:
        raise QsmbenchError(f"lic_r2star: slope is {slope}; it must be greater than 0")
    if slope is None:
        nearest = min(_HERNANDO, key=lambda b: abs(b - b0))
        if abs(nearest - b0) > _NEAR:
            known = ", ".join(f"{b:g}" for b in _HERNANDO)
            raise NotApplicable(f"no calibration at {b0:g} T, only at {known} T; set intercept and slope")
        intercept, slope = _HERNANDO[nearest]
    return np.where(mask, intercept + slope * r2star, 0).astype(np.float32)
