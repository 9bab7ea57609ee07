"""Plain right methods for products that are simple to make."""

import numpy as np

from qsmbench.errors import NotApplicable
from qsmbench.method import method


@method(produces="r2star", reference="textbook")
def r2star_log(magnitude, mask, te):
    """Slope of the logarithm over echo time, weighted with magnitude²."""
    if te.size == 1:
        raise NotApplicable("needs two echoes")
    weight = np.maximum(magnitude, 1e-6) ** 2
    log = np.log(weight) / 2
    total = weight.sum(-1)
    apart = te - ((weight @ te) / total)[..., None]
    slope = (weight * apart * log).sum(-1) / (weight * apart**2).sum(-1)
    return (-slope * mask).astype(np.float32)


@method(produces=("chi_para", "chi_dia"), reference="control")
def split(chi, mask):
    """The two signs of χ."""
    return np.maximum(chi, 0) * mask, np.maximum(-chi, 0) * mask


@method(produces="mask", reference="textbook")
def half_of_peak(magnitude):
    """Where the first echo has half of its largest magnitude."""
    return magnitude[..., 0] > magnitude[..., 0].max() / 2


@method(produces="phase", reference="control")
def same_phase(phase):
    """The phase as it is."""
    return phase
