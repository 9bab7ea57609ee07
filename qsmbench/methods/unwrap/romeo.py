"""Path-based phase unwrapping with ROMEO."""

import numpy as np
import warpkit

from qsmbench.errors import QsmbenchError
from qsmbench.ops.phase_offset import connected_parts, fortran, offset_of_part, unwrap_part, wrap
from qsmbench.registry import method

ECHOES = ("template", "individual")


@method(produces="unwrapped", reference="Dymerska & Eckstein 2021, doi:10.1002/mrm.28563")
def romeo(phase, magnitude, mask, grid, te, *, echoes="template", offset_smoothing=5.0):
    """ROMEO: unwrap along the path of the most reliable neighbours, then from echo to echo.

    ROMEO follows the phase from one echo to the next in proportion to TE, so the phase at TE = 0 (the coils') has to
    go first: it is estimated from the first two echoes (MCPC-3D-S), smoothed, taken off, and put back afterwards.
    With `echoes` "template", one echo is unwrapped in space, with weights that its neighbour echo sharpens, and the
    others follow it in time, voxel by voxel. With "individual", each echo is unwrapped in space by itself, and moved
    by the whole turns, the same all over a part, that bring its median in line with the echo before.
    The result is congruent with the phase modulo 2π in every voxel. Each connected part of the mask is unwrapped by
    itself, with its median turn set to zero in the first echo.

    Args:
        phase: (nx, ny, nz, n_echoes) rad, wrapped.
        magnitude: (nx, ny, nz, n_echoes) a.u.
        mask: (nx, ny, nz) bool.
        grid: voxel size.
        te: (n_echoes,) echo times, s.
        echoes: "template" or "individual".
        offset_smoothing: standard deviation of the Gaussian that smooths the phase at TE = 0, mm.

    Returns:
        unwrapped: (nx, ny, nz, n_echoes) float32, rad.

    Raises:
        QsmbenchError: `echoes` is neither of the two.

    Reference:
        Dymerska & Eckstein 2021, doi:10.1002/mrm.28563; MCPC-3D-S: Eckstein 2018, doi:10.1002/mrm.26963.
    """
    if echoes not in ECHOES:
        raise QsmbenchError(f"romeo: echoes is {echoes!r}; legal are {', '.join(ECHOES)}")
    unwrapped = np.zeros(phase.shape, np.float32)
    for box, inside in connected_parts(mask):
        given, weight = phase[box], magnitude[box]
        if te.size == 1:
            found = unwrap_part(given[..., 0], weight[..., 0], inside)[..., None]
        elif np.count_nonzero(inside) == 1:
            found = given
        else:
            offset = offset_of_part(given, weight, inside, grid, te, offset_smoothing)[..., None]
            unwrap = _by_template if echoes == "template" else _one_by_one
            found = offset + unwrap(wrap(given - offset), weight, inside, te)
        # ROMEO works in float32, on the difference: add the whole turns it found to the phase as given.
        turns = np.round((found - given)[inside] / np.float32(2 * np.pi))
        unwrapped[box][inside] = given[inside] + np.float32(2 * np.pi) * turns
    return unwrapped


def _by_template(phase, magnitude, mask, te):
    """One echo in space, the others in time."""
    return warpkit.romeo_unwrap4d(
        fortran(phase), (1e3 * te).astype(np.float32), "romeo", fortran(magnitude), np.asfortranarray(mask)
    )


def _one_by_one(phase, magnitude, mask, te):
    """Each echo in space, moved by whole turns so that its median is proportional to TE as the echo's before is."""
    unwrapped = np.zeros(phase.shape, np.float32)
    for echo in range(te.size):
        unwrapped[..., echo] = unwrap_part(phase[..., echo], magnitude[..., echo], mask)
        if echo:
            expected = unwrapped[..., echo - 1][mask] * np.float32(te[echo] / te[echo - 1])
            turns = np.round(np.median(expected - unwrapped[..., echo][mask]) / (2 * np.pi))
            unwrapped[..., echo] += np.float32(2 * np.pi * turns)
    return unwrapped
