"""What a map that somebody submitted looks like, if it is not what it should be: another unit, sign, place or subject.

Scores say how wrong a map is, not why. A map in ppb has an NRMSE of 99900 % however good it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.units import hz_per_ppm, rad_per_ppm

_FIRST = ("first", "second", "third")

CLOSE = 0.5
"""Correlation with the truth above which a map shows the same object; assumed."""

FOREIGN = 0.15
"""Correlation with the truth below which a map shows another object, whatever is done to it; assumed."""

SLOPES = (0.1, 2.5)
"""Slopes on the truth that reconstructions have: regularised ones lose contrast, few gain any; assumed."""

USUAL = 0.75
"""Slope on the truth that reconstructions usually have; assumed."""

ELSEWHERE = 0.02
"""Share of voxels, outside the mask and missing inside, above which a map is of another mask; assumed."""

OVERLAP = 0.25
"""Share of the mask that a map covers at least, if it is turned as it belongs; assumed."""


@dataclass(frozen=True)
class Suspicion:
    """Something about a map that a right one does not have.

    Attributes:
        kind: unit, sign, axis, place or object.
        value: the number that was seen: a slope, a correlation or a share.
        text: one line for the person who submitted it.
    """

    kind: str
    value: float
    text: str


def suspicions(
    estimate: np.ndarray,
    truth: np.ndarray,
    mask: np.ndarray,
    *,
    artifact: str,
    b0: float,
    te: Sequence[float] | np.ndarray = (),
    against: str = "the truth",
) -> list[Suspicion]:
    """Return what a map looks like, other than a reconstruction of this truth.

    The map is compared with the truth by its correlation and its regression slope where it is not 0 in the mask, as it
    is and turned about each axis; what it left out would hide how well the rest agrees. Moved by up to two voxels, it
    is compared in the whole mask. A map that is constant shows nothing.

    Args:
        estimate: (nx, ny, nz), finite.
        truth: (nx, ny, nz), in the unit of the artifact.
        mask: (nx, ny, nz) bool, where both are compared.
        artifact: name of what the map should be.
        b0: field strength, T.
        te: echo times, s; what a map in radians may have been multiplied with.
        against: what `truth` is called in the texts.

    Returns:
        nothing for a map that is good or bad in an ordinary way; else one or more, the most telling first.
    """
    own = mask & (np.asarray(estimate) != 0)
    here, there = np.asarray(estimate, np.float64)[own], np.asarray(truth, np.float64)[own]
    if here.size < 2 or np.std(here) == 0 or np.std(there) == 0:
        return []
    found = list(_negative(here, there, artifact))
    here_r = _correlation(here, there)
    turned = _turned(np.asarray(estimate, np.float32), np.asarray(truth, np.float32), mask, here_r)
    moved = None if turned else _moved(np.asarray(estimate), np.asarray(truth, np.float64)[mask], mask)
    for other in (turned, moved):
        if other is not None:
            found.append(other)
            return found
    time = _time(here, there, artifact, against) if here_r < 0 else None
    if time is not None:
        found.append(time)
    elif abs(here_r) >= CLOSE:
        slope = here_r * np.std(here) / np.std(there)
        if here_r < 0 and not found:
            found.append(Suspicion("sign", here_r, f"looks like the opposite sign (correlation {here_r:.2f})"))
        found += _scaled(abs(slope), artifact, b0, te, against)
    elif abs(here_r) < FOREIGN:
        text = f"has a correlation of {here_r:.2f} with {against}: another subject, another quantity, or noise?"
        found.append(Suspicion("object", here_r, text))
    return found + list(_elsewhere(estimate, mask))


def _negative(here: np.ndarray, there: np.ndarray, artifact: str) -> Iterator[Suspicion]:
    """A map of magnitudes that is negative nearly everywhere."""
    if not ARTIFACTS[artifact].own_zero or there.min() < 0:
        return
    values = here[here != 0]
    share = float(np.mean(values < 0)) if values.size else 0.0
    if share > 0.9:
        text = f"is negative in {100 * share:.0f} % of its voxels; a positive magnitude is expected"
        yield Suspicion("sign", share, text)


def _time(here: np.ndarray, there: np.ndarray, artifact: str, against: str) -> Suspicion | None:
    """A map of times where rates are expected, as T2* for R2*: it falls where the truth rises."""
    some = (here > 0) & (there > 0)
    if ARTIFACTS[artifact].unit != "1/s" or here.min() < 0 or np.count_nonzero(some) < 2:
        return None
    rate = 1 / here[some]
    correlation = _correlation(rate, there[some])
    if correlation < CLOSE:
        return None
    unit = "ms" if np.median(there[some] / rate) > 30 else "s"
    text = f"looks like a time in {unit}, not a rate (its inverse correlates with {against} by {correlation:.2f})"
    return Suspicion("unit", correlation, text)


def _scaled(slope: float, artifact: str, b0: float, te: Sequence[float] | np.ndarray, against: str) -> list[Suspicion]:
    """A map that is the truth times a number."""
    if SLOPES[0] <= slope <= SLOPES[1]:
        return []
    unit = ARTIFACTS[artifact].unit
    known: dict[str, float] = {}
    if unit == "ppm":
        known = {"ppb": 1000.0, "a ratio, not ppm": 1e-6, "Hz": hz_per_ppm(b0), "ppm divided by 1000": 1e-3}
        if artifact.startswith("chi"):
            known |= {"ppm of the CGS system": 1 / (4 * np.pi)}
        if ARTIFACTS[artifact].is_field:
            known |= {"rad/s": 2 * np.pi * hz_per_ppm(b0), "tesla": b0 * 1e-6, "µT": b0}
        known |= {f"radians at TE {1000 * t:.3g} ms": rad_per_ppm(b0, t) for t in te}
    elif unit == "1/s":
        known = {"1/ms": 1e-3, "1/s times 1000": 1000.0}
    name = _nearest(slope, known)
    if name:
        text = f"looks like {name} (slope {slope:.4g} on {against}, where {unit} is expected)"
    else:
        text = f"is {slope:.3g} times {against} (slope), where 1 is expected: is it in {unit or 'its unit'}?"
    return [Suspicion("unit", float(slope), text)]


def _nearest(slope: float, known: dict[str, float]) -> str:
    """Return the unit that a slope suggests; empty if it suggests none.

    It may be that unit exactly, or that of a reconstruction, which loses contrast: `USUAL` times as much.
    """
    for typical, tolerance in ((1.0, 1.15), (USUAL, 2.2)):
        distance = {name: abs(np.log(slope / (typical * value))) for name, value in known.items()}
        name = min(distance, key=lambda n: distance[n], default="")
        if name and distance[name] < np.log(tolerance):
            return name
    return ""


def _turned(estimate: np.ndarray, truth: np.ndarray, mask: np.ndarray, as_it_is: float) -> Suspicion | None:
    """A map whose axes run the other way, or are swapped.

    A head is nearly its own mirror image, so that a flipped map may correlate with the truth as it is. Its odd part,
    that is the map less its mirror image, then has the opposite sign.
    """
    for axis in range(3):
        both = mask & (estimate != 0)
        both &= np.flip(both, axis)
        odd = _correlation(*((v - np.flip(v, axis))[both] for v in (estimate, truth)))
        if abs(as_it_is) >= CLOSE and odd * np.sign(as_it_is) < -CLOSE:
            text = f"looks flipped along its {_FIRST[axis]} axis (its part that is odd there correlates by {odd:.2f})"
            return Suspicion("axis", odd, text)
    best, how = 0.0, ""
    for count in (1, 2, 3):
        for axes in combinations(range(3), count):
            r = _agreement(np.flip(estimate, axes), truth, mask)
            if abs(r) > abs(best):
                names = " and ".join(_FIRST[a] for a in axes)
                best, how = r, f"flipped along its {names} ax{'is' if count == 1 else 'es'}"
    for a, b in combinations(range(3), 2):
        swapped = np.swapaxes(estimate, a, b)
        r = _agreement(swapped, truth, mask) if swapped.shape == mask.shape else 0.0
        if abs(r) > abs(best):
            best, how = r, f"stored with its {_FIRST[a]} and {_FIRST[b]} axes swapped"
    if abs(best) >= CLOSE and abs(best) > abs(as_it_is) + 0.1:
        return Suspicion("axis", best, f"looks {how} (correlation {best:.2f} so, {as_it_is:.2f} as it is)")
    return None


def _moved(estimate: np.ndarray, there: np.ndarray, mask: np.ndarray) -> Suspicion | None:
    """A map that lies a voxel or two elsewhere, with its own mask."""
    as_it_is = _correlation(estimate[mask].astype(np.float64), there)
    if abs(as_it_is) > 0.9:
        return None
    steps = [s for s in product((-1, 0, 1), repeat=3) if any(s)]
    steps += [(2 * d * (a == 0), 2 * d * (a == 1), 2 * d * (a == 2)) for a in range(3) for d in (-1, 1)]
    by = {s: _correlation(np.roll(estimate, s, (0, 1, 2))[mask], there) for s in steps}
    shift = max(steps, key=lambda s: abs(by[s]))
    if abs(by[shift]) >= CLOSE and abs(by[shift]) > abs(as_it_is) + 0.1:
        text = f"fits better moved by {shift} voxels (correlation {by[shift]:.2f} so, {as_it_is:.2f} as it is)"
        return Suspicion("place", by[shift], text)
    return None


def _elsewhere(estimate: np.ndarray, mask: np.ndarray) -> Iterator[Suspicion]:
    """A map whose own mask is another's: it has voxels outside, and lacks some inside."""
    own = estimate != 0
    if np.mean(own) > 0.95:  # it is not masked
        return
    outside = float(np.mean(~mask[own]))
    missing = float(np.mean(~own[mask]))
    if min(outside, missing) > ELSEWHERE:
        text = (
            f"has {100 * outside:.0f} % of its voxels outside the truth's mask, and lacks {100 * missing:.0f} % of "
            "those inside: another subject's mask?"
        )
        yield Suspicion("object", outside, text)


def _agreement(estimate: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> float:
    """Return the correlation where a map is not 0 in the mask; 0 if that is less than `OVERLAP` of the mask."""
    both = mask & (estimate != 0)
    if np.count_nonzero(both) < OVERLAP * np.count_nonzero(mask):
        return 0.0
    return _correlation(estimate[both], truth[both])


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    if a.size < 2:
        return 0.0
    a, b = a - a.mean(dtype=np.float64), b - b.mean(dtype=np.float64)
    norm = np.sqrt(np.dot(a, a) * np.dot(b, b))
    return float(np.dot(a, b) / norm) if norm > 0 else 0.0
