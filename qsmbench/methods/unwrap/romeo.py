"""Path-based phase unwrapping with ROMEO."""

import numpy as np

from qsmbench.errors import QsmbenchError
from qsmbench.method import method
from qsmbench.ops.arrays.array import compute
from qsmbench.ops.phase.phase_offset import estimate_offset
from qsmbench.ops.phase.unwrap import connected_parts, unwrap_part
from qsmbench.ops.phase.wrap import TURN, nearest, wrapped

ECHOES = ("template", "individual")


@method(produces="unwrapped", reference="Dymerska & Eckstein 2021, doi:10.1002/mrm.28563")
def romeo(phase, magnitude, mask, grid, te, *, echoes="template", remove_offset=True, offset_smoothing=5.0):
    """ROMEO: unwrap along the path of the most reliable neighbours, then from echo to echo.

    ROMEO assumes that phase is proportional to TE, so the phase at TE = 0 (that of the coils) is removed first: it is
    estimated from the first two echoes (MCPC-3D-S), smoothed, subtracted, and added again afterwards. With `echoes`
    "template", one echo is unwrapped in space, with weights that include the gradient of another echo, and the others
    are unwrapped in time, voxel by voxel. With "individual", each echo is unwrapped in space separately, and shifted by
    a multiple of 2π, common to a connected part, so that its median agrees with the previous echo. The result is
    congruent with the phase modulo 2π in every voxel. Each connected part of the mask is unwrapped separately; the
    median multiple of 2π in the first echo is set to zero.

    Args:
        echoes: "template" or "individual".
        remove_offset: whether the phase at TE = 0 is removed; without it, the steps are those of Dymerska & Eckstein
            alone, for phases that have been corrected before.

    Raises:
        QsmbenchError: `echoes` is neither of the two.

    Reference:
        Dymerska & Eckstein 2021, doi:10.1002/mrm.28563; MCPC-3D-S: Eckstein 2018, doi:10.1002/mrm.26963.
    """
    if echoes not in ECHOES:
        raise QsmbenchError(f"romeo: echoes is {echoes!r}; choose from {', '.join(ECHOES)}")
    unwrapped = np.zeros(phase.shape, np.float32)
    unwrap = _by_template if echoes == "template" else _one_by_one
    for box, inside in connected_parts(mask):
        weight, part = magnitude[box], unwrapped[box]
        phases = [np.ascontiguousarray(phase[box][..., echo]) for echo in range(te.size)]
        offset = np.zeros(inside.shape, np.float32)
        if remove_offset and te.size > 1 and np.count_nonzero(inside) > 1:
            offset = estimate_offset(phase[box], weight, inside, grid, te, offset_smoothing)
        found = unwrap([compute(_subtract_offset, p, offset) for p in phases], weight, inside, te)
        for echo in range(te.size):
            np.copyto(part[..., echo], compute(_restore_offset, phases[echo], found[echo], offset), where=inside)
    return unwrapped


def _by_template(phases, magnitude, mask, te):
    """Unwrap the first echo in space, and each later echo in time relative to the previous one."""
    second = {"second": phases[1], "ratio": te[0] / te[1]} if te.size > 1 else {}
    unwrapped = [unwrap_part(phases[0], magnitude[..., 0], mask, **second)]
    for echo in range(1, te.size):
        ratio = np.float32(te[echo] / te[echo - 1])
        unwrapped.append(compute(_unwrap_in_time, phases[echo], unwrapped[-1], ratio=ratio))
    return unwrapped


def _one_by_one(phases, magnitude, mask, te):
    """Unwrap each echo in space, shifted by whole turns so that the medians are in proportion to TE."""
    unwrapped: list[np.ndarray] = []
    for echo in range(te.size):
        found = unwrap_part(phases[echo], magnitude[..., echo], mask)
        if echo:
            expected = unwrapped[-1][mask] * np.float32(te[echo] / te[echo - 1])
            found += TURN * np.float32(np.round(np.median(expected - found[mask]) / (2 * np.pi)))
        unwrapped.append(found)
    return unwrapped


def _subtract_offset(xp, phase, offset):
    return wrapped(xp, phase - offset)


def _restore_offset(xp, phase, found, offset):
    """Add the whole turns of the unwrapped phase `found`, which is without its offset, to the original phase [rad]."""
    return nearest(xp, phase, found + offset)


def _unwrap_in_time(xp, phase, before, *, ratio):
    """Unwrap a phase [rad] to that of the echo before, extrapolated in proportion to TE."""
    return nearest(xp, phase, ratio * before)
