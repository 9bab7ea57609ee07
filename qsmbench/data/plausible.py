"""Whether a measured scan can be what it says: echo times, field strength, slices, and phase that grows with TE."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from qsmbench.data.folders import Params
from qsmbench.errors import QsmbenchError
from qsmbench.units import hz_per_ppm

LONGEST_TE = 0.15
"""Of a gradient echo, s: T2* of tissue is below 0.1 s at 1.5 T and more; assumed."""

SHORTEST_TE = 1e-4
"""Of the last of the echoes, s: shorter ones come from ms taken for µs, or divided by 1000 twice; assumed."""

B0_RANGE = (0.01, 25.0)
"""Of scanners, T; assumed."""

DECAY_RANGE = (0.5, 5000.0)
"""R2* that most of an object may have, 1/s: pure water has 0.5 at least, iron overload 2000; assumed."""

FIELD_STEP = 2.0
"""Median of the differences of the field between neighbours, ppm, that no object has; assumed."""

_IN_ONE_UNIT = (0.1, 10.0)
"""Ratios of two echoes of the same unit to what their echo times say; assumed, units differ by 57 and more."""

_PLANES = ("first", "second", "third")


def check_scan(phase: np.ndarray, magnitude: np.ndarray, mask: np.ndarray, params: Params, where: str) -> list[str]:
    """Refuse a scan that cannot be what it says, and note what is unlikely.

    Args:
        phase: (nx, ny, nz, n_echoes) rad, wrapped.
        magnitude: (nx, ny, nz, n_echoes) a.u.
        mask: (nx, ny, nz) bool.
        params: echo times, field strength and grid.
        where: begins messages and notes.

    Returns:
        notes on what is unlikely.

    Raises:
        QsmbenchError: echo times, field strength, slices or echoes that cannot be; with the number that was seen.
    """
    check_echo_times(params.te, where)
    check_b0(params.b0, where)
    _check_values(phase, magnitude, mask, where)
    steps = _differences(phase, mask & (magnitude[..., 0] > 0))
    notes = _check_decay(magnitude, mask, params, where)
    _check_slices(steps, where)
    _check_turned(phase[..., 0], magnitude[..., 0], where)
    notes += _check_field(steps, params, where)
    return notes + _check_growth(phase, magnitude, mask, params, where)


def check_echo_times(te: np.ndarray, where: str) -> None:
    """Refuse echo times [s] that are none of a gradient echo.

    Raises:
        QsmbenchError: the longest is above `LONGEST_TE` or below `SHORTEST_TE`.
    """
    last = float(te[-1])
    if last > LONGEST_TE:
        raise QsmbenchError(
            f"{where}: the last echo time is {last:g} s; a gradient echo has decayed by {LONGEST_TE:g} s, so that this "
            "looks like ms in place of s"
        )
    if last < SHORTEST_TE:
        raise QsmbenchError(
            f"{where}: the last echo time is {last:g} s, too short for a scanner; echo times are in seconds"
        )


def check_b0(b0: float, where: str) -> None:
    """Refuse a field strength [T] that no scanner has.

    Raises:
        QsmbenchError: it is outside of `B0_RANGE`.
    """
    if not B0_RANGE[0] <= b0 <= B0_RANGE[1]:
        raise QsmbenchError(
            f"{where}: the field strength is {b0:g} T; scanners have {B0_RANGE[0]:g}…{B0_RANGE[1]:g} T (is it in "
            "another unit, such as mT, gauss or MHz?)"
        )


Steps = list[tuple[np.ndarray, np.ndarray]]
"""Along each axis: differences of neighbours, (n_pairs, n_echoes) rad, and the index of the first of the two planes."""


def _check_values(phase: np.ndarray, magnitude: np.ndarray, mask: np.ndarray, where: str) -> None:
    """Refuse a magnitude that is none, as a real part, and a phase that says nothing."""
    first = magnitude[..., 0][mask]
    negative = float(np.mean(first < -0.01 * np.abs(first).max()))
    if negative > 0.05:  # assumed, as the 1 % above: an interpolation may go below 0 at edges
        raise QsmbenchError(
            f"{where}: the magnitude is below 0 in {100 * negative:.0f} % of the mask (least {first.min():.4g}); "
            "is it a real part, or a phase?"
        )
    inside = phase[mask]
    if inside.max() == inside.min():
        raise QsmbenchError(f"{where}: the phase is {inside.max() + 0.0:g} in the whole mask, in all echoes")


def _differences(phase: np.ndarray, signal: np.ndarray) -> Steps:
    """Return the differences of neighbours with signal, wrapped; of a large volume, of some pairs."""
    found: Steps = []
    for axis in range(3):
        n = signal.shape[axis]
        before, after = np.arange(n - 1), np.arange(1, n)
        both = np.take(signal, before, axis) & np.take(signal, after, axis)
        thin = max(1, int(np.count_nonzero(both) * phase.shape[3] // 4_000_000))
        place = tuple(p[::thin] for p in np.nonzero(both))
        further = tuple(p + (i == axis) for i, p in enumerate(place))
        difference = phase[further] - phase[place]
        difference -= np.float32(2 * np.pi) * np.round(difference / np.float32(2 * np.pi))
        found.append((difference, place[axis]))
    return found


def _check_decay(magnitude: np.ndarray, mask: np.ndarray, params: Params, where: str) -> list[str]:
    """Note a decay that no object has: the echo times are in another unit."""
    if len(params.te) < 2:
        return []
    first, last = magnitude[mask][:, 0], magnitude[mask][:, -1]
    seen = (first > 0) & (last > 0)
    if not seen.any():
        return []
    rate = float(np.median(np.log(first[seen] / last[seen])) / (params.te[-1] - params.te[0]))
    if DECAY_RANGE[0] <= abs(rate) <= DECAY_RANGE[1]:  # where water and fat come into phase, it rises
        return []
    return [
        f"{where}: the magnitude decays by {rate:.3g} /s from TE {params.te[0]:g} to {params.te[-1]:g} s (median), "
        f"where {DECAY_RANGE[0]:g}…{DECAY_RANGE[1]:g} /s are usual; are the echo times in seconds?"
    ]


def _check_slices(steps: Steps, where: str) -> None:
    """Refuse slices of which every second one is shifted by π, as some scanners store them."""
    for axis, (difference, plane) in enumerate(steps):
        count = np.bincount(plane)
        cosine = np.bincount(plane, np.cos(difference[:, 0]), minlength=count.size)
        used = count >= 20
        if np.count_nonzero(used) < 4:
            continue
        mean = cosine[used] / count[used]
        opposed = float(np.mean(mean < -0.3))
        if opposed > 0.8:
            raise QsmbenchError(
                f"{where}: the phase jumps by about π between {100 * opposed:.0f} % of neighbouring slices along the "
                f"{_PLANES[axis]} axis (mean cosine {mean.mean():.2f}): every second slice is stored with the opposite "
                "sign; add π to these first"
            )


def _check_turned(phase: np.ndarray, magnitude: np.ndarray, where: str) -> None:
    """Refuse a phase that is stored in another direction than its magnitude, though both headers say the same.

    Where the magnitude is large, the phase is smooth, and outside it is noise or 0. If that holds better for a mirror
    image of the magnitude, one of the two is flipped. Of an object that is its own mirror image, nothing is seen.
    """
    sizes = [3 if n >= 9 else 1 for n in phase.shape]
    whole = tuple(slice(n // k * k) for n, k in zip(phase.shape, sizes, strict=True))
    split = [m for n, k in zip(phase.shape, sizes, strict=True) for m in (n // k, k)]
    blocks = phase[whole].reshape(split)
    smooth = np.abs(np.exp(1j * blocks).mean((1, 3, 5)))
    smooth[blocks.max((1, 3, 5)) == blocks.min((1, 3, 5))] = 0  # masked
    bright = np.minimum(magnitude[whole].reshape(split).mean((1, 3, 5)), np.percentile(magnitude, 98))
    if min(smooth.std(), bright.std()) == 0 or smooth.size < 200:
        return
    as_it_is = float(np.corrcoef(smooth.ravel(), bright.ravel())[0, 1])
    for count in (1, 2, 3):
        for axes in combinations(range(3), count):
            turned = float(np.corrcoef(smooth.ravel(), np.flip(bright, axes).ravel())[0, 1])
            if turned > max(0.5, as_it_is + 0.2):
                names = " and ".join(_PLANES[a] for a in axes)
                raise QsmbenchError(
                    f"{where}: the phase is smooth where the magnitude flipped along its {names} ax"
                    f"{'is' if count == 1 else 'es'} is bright (correlation {turned:.2f}), not where it is bright "
                    f"({as_it_is:.2f}): phase and magnitude are stored in different directions"
                )


def _check_field(steps: Steps, params: Params, where: str) -> list[str]:
    """Refuse a field that changes from voxel to voxel as none does: echo times or field strength are wrong."""
    found = np.concatenate([np.abs(d[:, 0]) for d, _ in steps])
    if found.size < 100:
        return []
    ppm = float(np.median(found)) / (2 * np.pi * hz_per_ppm(params.b0) * params.te[0])
    if ppm > FIELD_STEP:
        raise QsmbenchError(
            f"{where}: the field differs by {ppm:.3g} ppm between neighbouring voxels (median), by an echo time of "
            f"{params.te[0]:g} s and {params.b0:g} T; no object has more than {FIELD_STEP:g} ppm"
        )
    return []


def _check_growth(phase: np.ndarray, magnitude: np.ndarray, mask: np.ndarray, params: Params, where: str) -> list[str]:
    """Refuse echoes that are equal or have opposite signs; note those whose phase does not grow with TE.

    The local differences of an echo, without their median (a ramp that echoes of both directions have), are those of
    the echo before times the ratio of the echo times, as far as the phase at TE = 0 is smooth.
    """
    notes = []
    te = params.te
    for e in range(1, len(te)):
        if np.array_equal(phase[..., e], phase[..., e - 1]):
            if not np.any(phase[..., e]):
                continue
            raise QsmbenchError(f"{where}: echoes {e} and {e + 1} hold the same phase")
    steps = [_block_steps(phase[..., e], magnitude[..., e], mask) for e in range(len(te))]
    seen = [sum(np.count_nonzero(np.isfinite(d)) for d in of_echo) for of_echo in steps]
    inside = sum(np.count_nonzero(np.isfinite(d)) for d in _block_steps(0 * phase[..., 0], magnitude[..., 0], mask))
    for e in range(len(te)):
        if max(seen) > 0.05 * inside and seen[e] < 0.3 * max(seen):
            notes.append(f"{where}: the phase of echo {e + 1} is noise in most of the mask, where other echoes are not")
    if inside > 30 and max(seen) < 0.05 * inside:
        notes.append(f"{where}: the phase is noise in most of the mask, in all echoes")
    for e in range(1, len(te)):
        expected = te[e] / te[e - 1]
        a, b = _comparable(steps[e - 1], steps[e], expected)
        if a.size < 30:
            continue
        ratio = float(np.sum(a * b) / np.sum(a * a))
        correlation = float(np.sum(a * b) / np.sqrt(np.sum(a * a) * np.sum(b * b))) if np.any(b) else 0.0
        said = f"{where}: the phase of echo {e + 1} changes by {ratio:.2g} times that of echo {e} between neighbours"
        if correlation < -0.7:
            raise QsmbenchError(
                f"{said} (correlation {correlation:.2f}), where the echo times say {expected:.3g}: one of them has the "
                "opposite sign, or another echo time"
            )
        if correlation < 0.3:
            notes.append(
                f"{said} (correlation {correlation:.2f}): it does not grow with TE as that of a field does, without fat"
            )
        elif correlation > 0.7 and not _IN_ONE_UNIT[0] < ratio / expected < _IN_ONE_UNIT[1]:
            raise QsmbenchError(f"{said}, where the echo times say {expected:.3g}: the echoes are in different units")
        elif correlation > 0.7 and not 0.5 * expected < ratio < 2 * expected:
            notes.append(f"{said}, where the echo times say {expected:.3g}; do the echo times belong to these files?")
    return notes


def _block_steps(phase: np.ndarray, magnitude: np.ndarray, mask: np.ndarray) -> list[np.ndarray]:
    """Return the differences of the mean signals of neighbouring blocks of up to 3³ voxels, along each axis, rad.

    The mean of a block has a fifth of the noise. NaN where a block has no signal, or its phases differ too much.
    """
    sizes = [3 if n >= 24 else 2 if n >= 12 else 1 for n in phase.shape]
    whole = tuple(slice(n // k * k) for n, k in zip(phase.shape, sizes, strict=True))
    split = [m for n, k in zip(phase.shape, sizes, strict=True) for m in (n // k, k)]
    weight = (magnitude * mask)[whole]
    signal = (weight * np.exp(1j * phase[whole])).reshape(split).sum((1, 3, 5))
    total = weight.reshape(split).sum((1, 3, 5))
    mean = np.where(np.abs(signal) > 0.7 * total, signal, np.nan)
    return [np.angle(after * np.conj(before)) for before, after in (_pairs(mean, axis) for axis in range(3))]


def _pairs(values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    n = values.shape[axis]
    return np.take(values, range(n - 1), axis), np.take(values, range(1, n), axis)


def _comparable(before: list[np.ndarray], after: list[np.ndarray], expected: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the differences of two echoes, less their medians, where they are large but do not wrap by then."""
    found = []
    for a, b in zip(before, after, strict=True):
        seen = np.isfinite(a) & np.isfinite(b)
        if seen.any():
            a, b = a[seen] - np.median(a[seen]), b[seen] - np.median(b[seen])
            found.append(np.stack([a, b])[:, np.abs(a) * expected < np.pi / 2])
    a, b = np.concatenate(found, axis=1) if found else np.zeros((2, 0))
    steep = np.abs(a) >= (np.percentile(np.abs(a), 80) if a.size else 0)
    return a[steep & (a != 0)], b[steep & (a != 0)]
