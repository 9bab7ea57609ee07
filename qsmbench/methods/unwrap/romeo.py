"""Path-based phase unwrapping with ROMEO."""

import numpy as np
import scipy.ndimage
import warpkit

from qsmbench.ops.smooth import smooth_phase
from qsmbench.registry import method


@method(produces="unwrapped", reference="Dymerska & Eckstein 2021, doi:10.1002/mrm.28563")
def romeo(phase, magnitude, mask, grid, te, *, offset_smoothing=5.0):
    """ROMEO: unwrap along the path of the most reliable neighbours, then from echo to echo.

    ROMEO follows the phase from one echo to the next in proportion to TE, so the phase at TE = 0 (the coils') has to
    go first: it is estimated from the first two echoes (MCPC-3D-S), smoothed, taken off, and put back afterwards.
    The result is congruent with the phase modulo 2π in every voxel. Each connected part of the mask is unwrapped by
    itself, with its median turn set to zero in the first echo.

    Args:
        phase: (nx, ny, nz, n_echoes) rad, wrapped.
        magnitude: (nx, ny, nz, n_echoes) a.u.
        mask: (nx, ny, nz) bool.
        grid: voxel size.
        te: (n_echoes,) echo times, s.
        offset_smoothing: standard deviation of the Gaussian that smooths the phase at TE = 0, mm.

    Returns:
        unwrapped: (nx, ny, nz, n_echoes) float32, rad.

    Reference:
        Dymerska & Eckstein 2021, doi:10.1002/mrm.28563; MCPC-3D-S: Eckstein 2018, doi:10.1002/mrm.26963.
    """
    parts, n_parts = scipy.ndimage.label(mask)
    unwrapped = np.zeros(phase.shape, np.float32)
    for part, box in enumerate(scipy.ndimage.find_objects(parts, n_parts), start=1):
        wide = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in box)
        inside = parts[wide] == part
        view = unwrapped[wide]
        view[inside] = _unwrap_part(phase[wide], magnitude[wide], inside, grid, te, offset_smoothing)[inside]
    return unwrapped


def _unwrap_part(phase, magnitude, mask, grid, te, offset_smoothing):
    """Unwrap all echoes over one connected mask."""
    if np.count_nonzero(mask) == 1:
        return phase
    if te.size == 1:
        return _spatial(phase[..., 0], magnitude[..., 0], mask)[..., None]
    offset = _phase_offset(phase, magnitude, mask, grid, te, offset_smoothing)
    wrapped = _wrap(phase - offset[..., None])
    unwrapped = warpkit.romeo_unwrap4d(
        _fortran(wrapped), (1e3 * te).astype(np.float32), "romeo", _fortran(magnitude), np.asfortranarray(mask)
    )
    # ROMEO works in float32, on the difference: add the whole turns it found to the phase as given.
    turns = np.round((unwrapped + offset[..., None] - phase) / (2 * np.pi))
    return phase + np.float32(2 * np.pi) * turns.astype(np.float32)


def _phase_offset(phase, magnitude, mask, grid, te, sigma):
    """The phase at TE = 0 [rad], from the first two echoes, smoothed."""
    weight = magnitude[..., 0] * magnitude[..., 1]
    turn = _spatial(_wrap(phase[..., 1] - phase[..., 0]), weight, mask)
    turn += np.float32(2 * np.pi * _aliased_turns(phase[mask], turn[mask], weight[mask], te))
    offset = phase[..., 0] - np.float32(te[0] / (te[1] - te[0])) * turn
    return smooth_phase(offset, weight, mask, grid, sigma)


def _aliased_turns(phase, turn, weight, te):
    """Whole turns between the first two echoes, the same everywhere, with which the later echoes agree best.

    Evenly spaced echoes cannot tell; then it is zero.
    """
    candidates = sorted(range(-3, 4), key=abs)
    scores = np.zeros(len(candidates))
    for echo in range(2, te.size):
        ratio = np.float32((te[echo] - te[0]) / (te[1] - te[0]))
        left = phase[:, echo] - phase[:, 0] - ratio * turn
        mean = np.vdot(weight, np.exp(1j * left)) / weight.sum()
        scores += [(mean * np.exp(-2j * np.pi * ratio * n)).real for n in candidates]
    return candidates[int(np.argmax(scores > scores.max() - 0.01 * te.size))]


def _spatial(phase, magnitude, mask):
    return warpkit.romeo_unwrap3d(_fortran(phase), "romeo", _fortran(magnitude), np.asfortranarray(mask))


def _wrap(phase):
    return phase - np.float32(2 * np.pi) * np.round(phase * np.float32(1 / (2 * np.pi)))


def _fortran(volume):
    return np.asfortranarray(volume, dtype=np.float32)
