"""Path-based phase unwrapping with ROMEO."""

import numpy as np

from qsmbench.errors import QsmbenchError
from qsmbench.method import method
from qsmbench.ops.arrays.array import compute
from qsmbench.ops.phase.phase_offset import connected_parts, estimate_offset, unwrap_part

_TURN = np.float32(2 * np.pi)

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
    unwrap = _by_template if echoes == "template" else _one_by_one
    for box, inside in connected_parts(mask):
        weight, part = magnitude[box], unwrapped[box]
        given = [np.ascontiguousarray(phase[box][..., echo]) for echo in range(te.size)]
        offset = np.zeros(inside.shape, np.float32)
        if te.size > 1 and np.count_nonzero(inside) > 1:
            offset = estimate_offset(phase[box], weight, inside, grid, te, offset_smoothing)
        found = unwrap([compute(_without, p, offset) for p in given], weight, inside, te)
        for echo in range(te.size):
            # The path was found on a difference of phases: add its whole turns to the phase as given.
            turned = compute(_congruent, given[echo], found[echo], offset)
            np.copyto(part[..., echo], turned, where=inside)
    return unwrapped


def _by_template(phases, magnitude, mask, te):
    """The first echo in space, the others in time, each after the one before."""
    second = {"second": phases[1], "ratio": te[0] / te[1]} if te.size > 1 else {}
    unwrapped = [unwrap_part(phases[0], magnitude[..., 0], mask, **second)]
    for echo in range(1, te.size):
        ratio = np.float32(te[echo] / te[echo - 1])
        unwrapped.append(compute(_followed, phases[echo], unwrapped[-1], ratio=ratio))
    return unwrapped


def _one_by_one(phases, magnitude, mask, te):
    """Each echo in space, moved by whole turns so that its median is proportional to TE as the echo's before is."""
    unwrapped: list[np.ndarray] = []
    for echo in range(te.size):
        found = unwrap_part(phases[echo], magnitude[..., echo], mask)
        if echo:
            expected = unwrapped[-1][mask] * np.float32(te[echo] / te[echo - 1])
            found += _TURN * np.float32(np.round(np.median(expected - found[mask]) / (2 * np.pi)))
        unwrapped.append(found)
    return unwrapped


def _without(xp, phase, offset):
    """`phase` less `offset`, wrapped [rad]."""
    left = phase - offset
    return left - _TURN * xp.round(left / _TURN)


def _congruent(xp, phase, found, offset):
    """`phase` [rad] moved by the whole turns that bring it nearest to `found` + `offset`."""
    return phase + _TURN * xp.round((found + offset - phase) / _TURN)


def _followed(xp, phase, before, *, ratio):
    """`phase` [rad] moved by the whole turns that bring it nearest to that of the echo before, at its echo time."""
    return phase + _TURN * xp.round((ratio * before - phase) / _TURN)
