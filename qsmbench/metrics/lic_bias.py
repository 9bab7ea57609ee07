"""Bias of the liver iron concentration."""

import numpy as np

from qsmbench.errors import NotApplicable
from qsmbench.metrics._declaration import metric


@metric(
    unit=None,
    best=0.0,
    higher_is_better=None,
    reference="Bland & Altman 1986, doi:10.1016/S0140-6736(86)90837-8",
    label="LIC bias",
    artifacts=("lic",),
    local=True,
)
def lic_bias(estimate, truth, mask, support):
    """Median error of the iron concentration over the liver.

    Returns:
        float, mg/g dry.

    Raises:
        NotApplicable: no voxel of a liver of known iron was reconstructed.
    """
    liver = mask & support & (truth > 0)
    if not liver.any():
        raise NotApplicable("no voxel of a liver of known iron was reconstructed")
    return float(np.median(estimate[liver] - truth[liver]))
