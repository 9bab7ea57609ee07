"""R2* by auto-regression on linear operations."""

import numpy as np

from qsmbench.errors import NotApplicable
from qsmbench.method import method


@method(produces="r2star", reference="Pei 2015, doi:10.1002/mrm.25137")
def arlo(magnitude, mask, te, *, r2star_max=1000.0):
    """ARLO: the integral of an exponential is T2* times its decrease, which gives T2* without iterations.

    For three echoes that follow one another, the integral is approximated by Simpson's rule; least squares over all
    such triples, with the last echo of each as the one that is predicted, has a solution in closed form. Echoes need
    not be evenly spaced: the parabola through the three points is integrated in any case. Then the rule is of lower
    order, and R2* a little biased (0.1 % at 100/s and spacings of 4 and 6 ms by turns); the weights of the triples,
    which would differ slightly, are kept equal. There is no noise floor in the model.

    Args:
        magnitude: (nx, ny, nz, n_echoes) a.u.
        mask: (nx, ny, nz) bool.
        te: (n_echoes,) echo times, s.
        r2star_max: what lies beyond, or below zero, is set to the limit, 1/s.

    Returns:
        r2star: (nx, ny, nz) float32, 1/s.

    Raises:
        NotApplicable: there are fewer than three echoes.

    Reference:
        Pei 2015, doi:10.1002/mrm.25137; erratum: doi:10.1002/mrm.27807.
    """
    if te.size < 3:
        raise NotApplicable(f"ARLO needs three echoes at least, and there are {te.size}")
    signal = magnitude[mask]
    above, below = np.zeros(len(signal), np.float32), np.zeros(len(signal), np.float32)
    for echo in range(te.size - 2):
        first, middle, last = signal[:, echo : echo + 3].T
        a, b, c = _parabola(*np.diff(te[echo : echo + 3]))
        regressor = (a + c) * first + b * middle
        above += (first - last) * regressor
        below += (a * first + b * middle + c * last) * regressor
    rate = above / np.maximum(below, np.finfo(np.float32).tiny)
    r2star = np.zeros(mask.shape, np.float32)
    r2star[mask] = np.clip(rate, 0, r2star_max)
    return r2star


def _parabola(h1, h2):
    """Weights of three points, h1 and h2 apart [s], in the integral of the parabola through them."""
    h = h1 + h2
    weights = h / 6 * (2 - h2 / h1), h**3 / (6 * h1 * h2), h / 6 * (2 - h1 / h2)
    return tuple(np.float32(w) for w in weights)
