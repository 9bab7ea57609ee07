"""Phase unwrapping along a path of falling reliability."""

import numpy as np
from skimage.restoration import unwrap_phase

from qsmbench.method import method
from qsmbench.ops.phase.phase_offset import connected_parts


@method(produces="unwrapped", reference="Abdul-Rahman 2007, doi:10.1364/AO.46.006623")
def quality_guided(phase, mask, te):
    """Quality-guided unwrapping in 3D: join neighbours in the order of how even the phase around them is.

    Each echo is unwrapped by itself, from the phase alone (scikit-image). Whole turns, the same all over a connected
    part of the mask, then bring the echoes in line: the median grows from the first to the second by less than half
    a turn, and from echo to echo at the rate before. The result is congruent with the phase modulo 2π.

    Args:
        phase: (nx, ny, nz, n_echoes) rad, wrapped.
        mask: (nx, ny, nz) bool.
        te: (n_echoes,) echo times, s.

    Returns:
        unwrapped: (nx, ny, nz, n_echoes) float32, rad.

    Reference:
        Abdul-Rahman 2007, doi:10.1364/AO.46.006623; Herráez 2002, doi:10.1364/AO.41.007437.
    """
    unwrapped = np.zeros(phase.shape, np.float32)
    for box, inside in connected_parts(mask):
        part = np.empty((np.count_nonzero(inside), te.size), np.float32)
        for echo in range(te.size):
            part[:, echo] = _in_space(phase[box][..., echo], inside)
            part[:, echo] += 2 * np.pi * np.round((_expected(part, te, echo)) / (2 * np.pi))
        turns = np.round((part - phase[box][inside]) / (2 * np.pi)).astype(np.float32)
        unwrapped[box][inside] = phase[box][inside] + np.float32(2 * np.pi) * turns
    return unwrapped


def _in_space(phase, inside):
    """Unwrapped phase of the voxels in a connected mask."""
    if min(phase.shape) == 1:
        flat = tuple(np.flatnonzero(np.array(phase.shape) == 1))
        phase, inside = phase.squeeze(flat), inside.squeeze(flat)
    if phase.ndim < 2:  # a line of voxels
        return np.unwrap(phase[inside])
    masked = np.ma.masked_array(phase.astype(float), ~inside)
    return np.asarray(unwrap_phase(masked, rng=0))[inside]


def _expected(part, te, echo):
    """How far the median of an echo lies from where the echoes before it say [rad]."""
    if echo == 0:
        return -np.median(part[:, 0])
    if echo == 1:
        return -np.median(part[:, 1] - part[:, 0])
    rate = (te[echo] - te[echo - 1]) / (te[echo - 1] - te[echo - 2])
    return np.median((1 + rate) * part[:, echo - 1] - rate * part[:, echo - 2] - part[:, echo])
