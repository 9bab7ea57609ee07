"""Phase unwrapping along a path of decreasing reliability."""

import numpy as np
from skimage.restoration import unwrap_phase

from qsmbench.method import method
from qsmbench.ops.phase.unwrap import connected_parts
from qsmbench.ops.phase.wrap import nearest


@method(produces="unwrapped", reference="Abdul-Rahman 2007, doi:10.1364/AO.46.006623")
def quality_guided(phase, mask, te):
    """Quality-guided unwrapping in 3D: join neighbours in the order of the smoothness of the phase around them.

    Each echo is unwrapped separately, from the phase alone (scikit-image). A multiple of 2π, common to a connected part
    of the mask, is then added so that the median changes by less than π from the first to the second echo, and at the
    same rate afterwards. The result is congruent with the phase modulo 2π.

    Reference:
        Abdul-Rahman 2007, doi:10.1364/AO.46.006623; Herráez 2002, doi:10.1364/AO.41.007437.
    """
    unwrapped = np.zeros(phase.shape, np.float32)
    for box, inside in connected_parts(mask):
        part = np.empty((np.count_nonzero(inside), te.size), np.float32)
        for echo in range(te.size):
            part[:, echo] = _in_space(phase[box][..., echo], inside)
            part[:, echo] += 2 * np.pi * np.round(_shift(part, te, echo) / (2 * np.pi))
        unwrapped[box][inside] = nearest(np, phase[box][inside], part)
    return unwrapped


def _in_space(phase, inside):
    """Unwrap the phase of the voxels in a connected mask."""
    if min(phase.shape) == 1:
        flat = tuple(np.flatnonzero(np.array(phase.shape) == 1))
        phase, inside = phase.squeeze(flat), inside.squeeze(flat)
    if phase.ndim < 2:  # a line of voxels
        return np.unwrap(phase[inside])
    masked = np.ma.masked_array(phase.astype(float), ~inside)
    return np.asarray(unwrap_phase(masked, rng=0))[inside]


def _shift(part, te, echo):
    """Compute the difference between the median of an echo and its prediction from earlier echoes [rad]."""
    if echo == 0:
        return -np.median(part[:, 0])
    if echo == 1:
        return -np.median(part[:, 1] - part[:, 0])
    rate = (te[echo] - te[echo - 1]) / (te[echo - 1] - te[echo - 2])
    return np.median((1 + rate) * part[:, echo - 1] - rate * part[:, echo - 2] - part[:, echo])
