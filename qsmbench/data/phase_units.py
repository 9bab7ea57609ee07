"""Phase as scanners and converters store it → radians, by all the evidence that there is.

The evidence, in the order in which it counts:

1. `phase_unit` or `phase_scale`, where the user states one;
2. `Units` of the sidecar, or the convention of a folder of artifacts and of the Python interface, which is rad;
3. the header: a slope and an intercept that put the 12 bits of a scanner, 0…4095, exactly on the range of a unit; a
   slope that takes stored radians away from −π…π;
4. the range of the values: whether it ends, within 1 %, where the range of a unit ends;
5. wraps: whether neighbours with signal differ by the whole range, so that the range is one turn (`wraps`), or noise
   where there is no signal is spread evenly over it (`fills`).

| evidence | outcome |
|---|---|
| a unit is stated; the values lie in its range | that unit |
| … but they wrap with another period, and the stored numbers (before slope and intercept) fit | the stored numbers |
| … but they wrap with another period | refused |
| `phase_unit` is stated; the values lie beyond its range and do not wrap | unwrapped phase, wrapped again |
| `Units` is stated; the values lie beyond its range | refused: they may be unwrapped, which the user must state |
| `phase_scale` is stated | stored number · scale; if they wrap within less than 2π, with a note; within more, refused |
| nothing is stated; slope and intercept put 0…4095 on the range of a unit | that unit |
| …; the range ends where that of rad, mrad or (in whole numbers) siemens does | that unit |
| …; the range ends where that of another unit does, and the values wrap | that unit |
| …; the values wrap, and one unit alone has a range that they fill up to 3 % | that unit |
| anything else; an echo that wraps with another period than the rest | refused, with the keys that state it |

Refusals name `phase_unit` and `phase_scale`, and the scale that the wraps speak for where they are seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from qsmbench.errors import QsmbenchError, suggest

TURN = 2 * np.pi
ROUNDING = 0.01
"""Share of a turn by which values may miss the end of a unit's range: rounding of stored values; assumed."""

_OTHER_PERIOD = 0.85
"""Values that wrap within less than this share of a unit's turn are in another unit; assumed."""

_OTHER_PERIOD_IN_RAD = 0.5
"""The same for rad, which most phases are: sharp edges of an object can look like wraps; assumed."""


@dataclass(frozen=True)
class Range:
    """Where a unit's values lie if they are wrapped: `low` … `high` is one turn, and `zero` is 0 rad."""

    low: float
    high: float
    zero: float = 0.0

    @property
    def turn(self) -> float:
        """Values per turn."""
        return self.high - self.low

    def holds(self, low: float, high: float) -> bool:
        """Whether all values lie within."""
        return low >= self.low - ROUNDING * self.turn and high <= self.high + ROUNDING * self.turn

    def ends_at(self, low: float, high: float, tolerance: float = ROUNDING) -> bool:
        """Whether the values reach both ends, and no further."""
        near = tolerance * self.turn
        return self.holds(low, high) and low <= self.low + near and high >= self.high - near


@dataclass(frozen=True)
class Unit:
    """A unit of phase.

    Attributes:
        title: what it is.
        meaning: who writes it, or how.
        ranges: where its values may lie.
        needs_wraps: whether its range says little by itself, as −1…1 of any normalised image.
        whole: whether its values are whole numbers.
    """

    title: str
    meaning: str
    ranges: tuple[Range, ...]
    needs_wraps: bool = False
    whole: bool = False


def _unit(title: str, meaning: str, turn: float, *, needs_wraps: bool = False) -> Unit:
    return Unit(title, meaning, (Range(-turn / 2, turn / 2), Range(0.0, turn)), needs_wraps)


UNITS = {
    "rad": _unit("radians", "−π…π or 0…2π", TURN),
    "mrad": _unit("milliradians", "as GE and Philips write them", 1000 * TURN),
    "siemens": Unit(
        "scanner units",
        "whole numbers, 0…4095, −4096…4095 or −2048…2047, are one turn",
        (Range(0.0, 4096.0, 2048.0), Range(-4096.0, 4096.0), Range(-2048.0, 2048.0)),
        whole=True,
    ),
    "degrees": _unit("degrees", "−180…180 or 0…360", 360.0, needs_wraps=True),
    "pi": _unit("multiples of π", "−1…1 or 0…2", 2.0, needs_wraps=True),
    "cycles": _unit("cycles", "−0.5…0.5 or 0…1", 1.0, needs_wraps=True),
}
"""The units that `phase_unit` may state."""

_SIDECAR = {
    "rad": "rad rads radian radians",
    "mrad": "mrad milliradian milliradians",
    "degrees": "deg degree degrees °",
    "cycles": "cycle cycles turn turns revolutions",
    "pi": "pi π",
    "": "arbitrary a.u. au n/a none unknown unitless 1",
}
"""What `Units` of a sidecar may say for each unit, in lower case; the last names none."""


def check_unit(name: str) -> str:
    """Return a unit's name.

    Raises:
        QsmbenchError: there is none of that name.
    """
    if name not in UNITS:
        raise QsmbenchError(f"phase_unit is {name!r}; {suggest(name, UNITS)}")
    return name


def check_scale(scale: float | None, unit: str | None) -> None:
    """Refuse a scale that is not a positive number, or that is given beside a unit.

    Raises:
        QsmbenchError: it is.
    """
    if scale is not None and not (np.isfinite(scale) and scale > 0):
        raise QsmbenchError(f"phase_scale is {scale!r}; it must be a positive number, rad per stored number")
    if scale is not None and unit is not None:
        raise QsmbenchError("phase_unit and phase_scale are both given; state one of them")


def unit_of_sidecar(text: object, where: str) -> str | None:
    """Return the unit that `Units` of a sidecar names, or None.

    Raises:
        QsmbenchError: it names what is not a unit of phase.
    """
    if text is None:
        return None
    word = str(text).strip().lower()
    for unit, words in _SIDECAR.items():
        if word in words.split() or not word:
            return unit or None
    known = "rad, arbitrary, mrad, degrees, cycles, pi"
    raise QsmbenchError(f"{where}: Units is {text!r}, which is not a unit of phase; choose from {known}")


@dataclass(frozen=True)
class Evidence:
    """What is known of a phase beside its values.

    Attributes:
        phase_unit: what the user states; a name of `UNITS`.
        phase_scale: what the user states, rad per stored number.
        sidecar: unit that the files name; see `unit_of_sidecar`.
        by_convention: unit that such data have if nothing speaks against it; rad in a folder of artifacts.
        slope, inter: value = slope · stored number + inter; None if the files differ in them.
        stored: returns the stored numbers, shaped like the values; None if they are the values.
        whole: whether the stored numbers are whole.
        signal: (nx, ny, nz) bool, voxels with signal; by default all.
    """

    phase_unit: str | None = None
    phase_scale: float | None = None
    sidecar: str | None = None
    by_convention: str | None = None
    slope: float | None = 1.0
    inter: float | None = 0.0
    stored: Callable[[], np.ndarray] | None = None
    whole: bool = False
    signal: np.ndarray | None = None


def wraps(values: np.ndarray, signal: np.ndarray | None, period: float) -> bool:
    """Return whether a phase is seen to wrap with a period.

    Neighbours with signal differ little. Where they differ by more than half of the period, a wrapped phase differs by
    nearly all of it; noise does not (of uniform noise, 0.16 of such differences are above 0.8 periods).

    Args:
        values: (nx, ny, nz, n_echoes), in any unit.
        signal: (nx, ny, nz) bool; None for all voxels.
        period: in the unit of the values.
    """
    beyond_half, nearly_all = 0, 0
    for difference in _neighbours(values, signal):
        beyond_half += int(np.count_nonzero(difference > 0.5 * period))
        nearly_all += int(np.count_nonzero(difference > 0.8 * period))
    return nearly_all >= 20 and nearly_all >= 0.6 * beyond_half


def fills(values: np.ndarray, signal: np.ndarray | None) -> bool:
    """Return whether noise is spread evenly over the range of all values, so that the range is one turn.

    Args:
        values: (nx, ny, nz, n_echoes), in any unit.
        signal: (nx, ny, nz) bool; elsewhere there may be noise. None: not known, and nothing is seen.
    """
    if signal is None:
        return False
    noise = values[~signal].ravel()
    noise = noise[np.isfinite(noise)]
    if noise.size < 500:
        return False
    low, high = _span(values, "")
    place = (noise - low) / (high - low)
    ends = np.mean(place < 0.05), np.mean(place > 0.95)
    return all(0.03 < share < 0.1 for share in ends) and bool(0.4 < np.mean(np.abs(place - 0.5) < 0.25) < 0.6)


def share_beyond(values: np.ndarray, signal: np.ndarray | None, step: float) -> float:
    """Return the share of neighbours with signal that differ by more than `step`; arguments as of `wraps`."""
    beyond, count = 0, 0
    for difference in _neighbours(values, signal):
        beyond += int(np.count_nonzero(difference > step))
        count += difference.size
    return beyond / count if count else 0.0


def _neighbours(values: np.ndarray, signal: np.ndarray | None) -> Iterator[np.ndarray]:
    """Yield the absolute differences of neighbours along each axis; of a large volume, some planes are enough."""
    step = max(1, values.size // 3_000_000)
    for axis in range(3):
        thinned: list[slice] = [slice(None)] * 3
        thinned[(axis + 1) % 3] = slice(None, None, step)
        v = values[tuple(thinned)]
        before, after = (np.take(v, range(r, v.shape[axis] - 1 + r), axis) for r in (0, 1))
        with np.errstate(invalid="ignore"):  # of what is infinite outside a mask
            difference = np.abs(after.astype(np.float32) - before)
        if signal is not None:
            s = signal[tuple(thinned)]
            both = np.take(s, range(s.shape[axis] - 1), axis) & np.take(s, range(1, s.shape[axis]), axis)
            difference = difference[both]
        yield difference


def to_radians(phase: np.ndarray, where: str, evidence: Evidence | None = None) -> tuple[np.ndarray, list[str]]:
    """Convert phase to −π…π; the table of this module says how the unit is found.

    Args:
        phase: (nx, ny, nz[, n_echoes]) as read, with slope and intercept applied; NaN is left as it is.
        where: begins messages and notes; the file.
        evidence: what is known beside the values; by default nothing.

    Returns:
        float32 phase in rad, and notes on what was done (none for radians).

    Raises:
        QsmbenchError: the evidence is thin, or contradicts.
    """
    return _Decision(phase, where, evidence or Evidence()).radians()


class _Decision:
    """The unit of one phase, and the values in radians."""

    def __init__(self, phase: np.ndarray, where: str, evidence: Evidence) -> None:
        self.values, self.where, self.known = phase, where, evidence
        self.low, self.high = _span(phase, where)
        self._wrapping: bool | None = None

    @property
    def wrapping(self) -> bool:
        """Whether what the values span is one turn, by wraps or by noise; looked at once, if it is asked for."""
        if self._wrapping is None:
            echoes = self._with_echoes(self.values)
            signal = self.known.signal
            self._wrapping = self.span > 0 and (wraps(echoes, signal, self.span) or fills(echoes, signal))
        return self._wrapping

    @property
    def span(self) -> float:
        return self.high - self.low

    def radians(self) -> tuple[np.ndarray, list[str]]:
        known = self.known
        check_scale(known.phase_scale, known.phase_unit)
        if known.phase_scale:
            return self._by_scale(known.phase_scale)
        if known.phase_unit:
            return self._stated(check_unit(known.phase_unit), "phase_unit")
        if known.sidecar:
            return self._stated(known.sidecar, "Units")
        found = self._found()
        if found is not None:
            return found
        if known.by_convention and self._fits(known.by_convention) and not self._wraps_within(known.by_convention):
            return self._converted(known.by_convention, self._range(known.by_convention), "")
        raise self._unclear()

    def _stated(self, unit: str, by: str) -> tuple[np.ndarray, list[str]]:
        """The values in a unit that is stated, by the user (`phase_unit`) or by the sidecar (`Units`)."""
        if self._stored_fit(unit):
            return self._from_stored(unit)
        if self._fits(unit) and not self._wraps_within(unit):
            self._check_slope(unit, by)
            return self._converted(unit, self._range(unit), f"{by} says so")
        if self.wrapping:
            raise self._unclear(f"{by} says {unit}, but ")
        if by == "phase_unit":
            turn = UNITS[unit].ranges[0].turn if unit != "siemens" else None
            if turn is not None:
                self._check_unwrapped(self.values, TURN / turn, f"phase_unit says {unit}")
                note = f"{self.where}: unwrapped phase, {self.low:.5g} … {self.high:.5g} {unit}, wrapped to −π…π"
                return _wrapped(self.values * (TURN / turn)), [note]
        raise self._unclear(f"{by} says {unit}, but ", "; if it is unwrapped phase, state phase_unit: rad")

    def _found(self) -> tuple[np.ndarray, list[str]] | None:
        """The values in the unit that header, range and wraps speak for, or None."""
        by_header = self._of_header()
        if by_header is not None:
            unit, span = by_header
            if self.wrapping and self.span < _OTHER_PERIOD * span.turn:
                raise self._unclear(f"slope and intercept speak for {unit}, but ")
            why = f"slope {self.known.slope:g} and intercept {self.known.inter:g} put 0…4095 there"
            return self._converted(unit, span, why)
        for unit, span in self._candidates(ROUNDING):
            if self.wrapping or not UNITS[unit].needs_wraps:
                return self._converted(unit, span, "its range ends there")
        near = self._candidates(0.03)
        if len({unit for unit, _ in near}) == 1 and self.wrapping:
            return self._converted(*near[0], "it wraps there")
        return None

    def _candidates(self, tolerance: float) -> list[tuple[str, Range]]:
        """The units that the values fill, and their ranges."""
        return [
            (unit, span)
            for unit, definition in UNITS.items()
            for span in definition.ranges
            if span.ends_at(self.low, self.high, tolerance) and (not definition.whole or _are_whole(self.values))
        ]

    def _of_header(self) -> tuple[str, Range] | None:
        """The unit on whose range slope and intercept put the 12 bits of a scanner."""
        known = self.known
        if not (known.whole and known.slope) or known.stored is None:
            return None
        assert known.inter is not None
        ends = known.inter, known.inter + known.slope * 4095
        low, high = ((end - known.inter) / known.slope for end in (self.low, self.high))
        if min(low, high) < -0.5 or max(low, high) > 4095.5:
            return None
        for unit, definition in UNITS.items():
            for span in definition.ranges:
                if span.ends_at(min(ends), max(ends), 0.005):
                    return unit, span
        return None

    def _fits(self, unit: str) -> bool:
        return any(r.holds(self.low, self.high) for r in UNITS[unit].ranges)

    def _wraps_within(self, unit: str) -> bool:
        """Whether the values wrap with a period that is shorter than the unit's turn."""
        least = min(r.turn for r in UNITS[unit].ranges if r.holds(self.low, self.high))
        return self.span < _other_period(unit) * least and _is_turn(self.low, self.high) and self.wrapping

    def _range(self, unit: str) -> Range:
        """The range of a unit that the values lie in."""
        fitting = [r for r in UNITS[unit].ranges if r.holds(self.low, self.high)]
        if unit != "siemens" or self.low >= 0:
            return fitting[0]
        filled = [r for r in fitting if r.ends_at(self.low, self.high, 0.1)]
        if len(fitting) > 1 and not filled:
            raise self._unclear("phase_unit says siemens, but both −2048…2047 and −4096…4095 are possible: ")
        return (filled or fitting)[0]

    def _stored_fit(self, unit: str) -> bool:
        """Whether the stored numbers fill the range of a unit, while the values do not."""
        ranges = UNITS[unit].ranges
        if self.known.stored is None or any(r.ends_at(self.low, self.high) for r in ranges):
            return False
        low, high = _span(self.known.stored(), self.where)
        return any(r.ends_at(low, high) for r in ranges)

    def _check_slope(self, unit: str, by: str) -> None:
        """Refuse a slope that leaves nearly nothing of stored numbers that are in the stated unit themselves."""
        if self.known.stored is None or self.span > 0.1 * min(r.turn for r in UNITS[unit].ranges):
            return
        low, high = _span(self.known.stored(), self.where)
        if self.span < 0.1 * (high - low) and any(r.holds(low, high) for r in UNITS[unit].ranges):
            own = TURN / UNITS[unit].ranges[0].turn
            scales = f"{own:.6g} for the stored numbers"
            scales += f", {own * self.known.slope:.6g} for those with the slope" if self.known.slope else ""
            raise QsmbenchError(
                f"{self.where}: {by} says {unit}; the numbers span {low:.5g} … {high:.5g} as stored, and "
                f"{self.low:.5g} … {self.high:.5g} with slope and intercept of the header: both may be {unit}, and the "
                f"slope may be left over from before a conversion; state phase_scale ({scales})"
            )

    def _check_unwrapped(self, values: np.ndarray, scale: float, by: str) -> None:
        """Refuse values beyond a turn that are no unwrapped phase: many neighbours differ by more than half a turn."""
        share = share_beyond(self._with_echoes(values), self.known.signal, np.pi / scale)
        if share > 0.2:
            raise QsmbenchError(
                f"{self.where}: {by}, which makes {100 * share:.0f} % of the neighbouring voxels with signal differ by "
                "more than π: this is not an unwrapped phase in that unit"
            )

    def _from_stored(self, unit: str) -> tuple[np.ndarray, list[str]]:
        assert self.known.stored is not None
        same = _Decision(self.known.stored(), self.where, Evidence(signal=self.known.signal))
        values, notes = same._converted(unit, same._range(unit), "")
        slope = "slopes" if self.known.slope is None else f"slope of {self.known.slope:.6g}"
        note = f"{self.where}: the stored numbers are {unit}; the {slope} in the header would make them "
        return values, [f"{note}{self.low:.5g} … {self.high:.5g}, and is ignored", *notes]

    def _by_scale(self, scale: float) -> tuple[np.ndarray, list[str]]:
        stored = self.values if self.known.stored is None else self.known.stored()
        low, high = _span(stored, self.where)
        turn = TURN / scale
        radians = stored * np.float64(scale)
        note = f"{self.where}: stored numbers {low:.5g} … {high:.5g} times {scale:g} are radians"
        other = not _OTHER_PERIOD <= (high - low) / turn <= 1 + 2 * ROUNDING
        if other and high > low and wraps(self._with_echoes(stored), self.known.signal, high - low):
            doubt = (
                f"phase_scale is {scale:g}, but the stored numbers wrap within {low:.5g} … {high:.5g}, which makes "
                f"{(high - low) * scale:.4g} rad of a turn of 2π; "
                f"these wraps speak for phase_scale: {TURN / (high - low):.6g}"
            )
            if high - low > turn:
                raise QsmbenchError(f"{self.where}: {doubt}")
            note += f"; {doubt}"
        if max(-low, high) * scale > np.pi * (1 + ROUNDING):
            if (high - low) / turn > 1 + 2 * ROUNDING:
                self._check_unwrapped(stored, scale, f"phase_scale is {scale:g}")
            return _wrapped(radians), [f"{note}, wrapped to −π…π"]
        return radians.astype(np.float32), [note]

    def _converted(self, unit: str, span: Range, why: str) -> tuple[np.ndarray, list[str]]:
        self._check_each_echo(unit, span)
        if unit == "rad":
            if max(-self.low, self.high) <= np.pi * (1 + ROUNDING):
                return self.values.astype(np.float32, copy=False), []
            return _wrapped(self.values), [f"{self.where}: phase 0…2π wrapped to −π…π"]
        scale = np.float32(TURN / span.turn)
        radians = self.values.astype(np.float32) * scale - np.float32(span.zero * TURN / span.turn)
        definition = UNITS[unit]
        last = span.high - 1 if definition.whole else span.high
        shown = f"{definition.title} {span.low:.5g}…{last:.5g}".replace("-", "−")
        note = f"{self.where}: {shown} rescaled to radians{f' ({why})' if why else ''}"
        beyond = (max(abs(self.low - span.zero), abs(self.high - span.zero))) > (0.5 + ROUNDING) * span.turn
        return (_wrapped(radians) if beyond else radians), [note]

    def _check_each_echo(self, unit: str, span: Range) -> None:
        """Refuse an echo that wraps with another period than all together."""
        echoes = self._with_echoes(self.values)
        by_convention = self.known.by_convention is not None and not self.known.sidecar
        if echoes.shape[3] == 1 or by_convention or self.span < _OTHER_PERIOD * span.turn:
            return
        for e in range(echoes.shape[3]):
            low, high = _span(echoes[..., e], self.where)
            short = 0 < high - low < _other_period(unit) * span.turn and _is_turn(low, high)
            echo = echoes[..., e : e + 1]
            if short and (wraps(echo, self.known.signal, high - low) or fills(echo, self.known.signal)):
                raise QsmbenchError(
                    f"{self.where}: echo {e + 1} wraps within {low:.5g} … {high:.5g}, all echoes together within "
                    f"{self.low:.5g} … {self.high:.5g}; all echoes of a scan must be in one unit"
                )

    def _unclear(self, but: str = "", end: str = "") -> QsmbenchError:
        known = self.known
        said = "" if but else f"Units is {known.sidecar!r}, " if known.sidecar else "no unit is stated, "
        slope = ""
        if known.stored is not None:
            low, high = _span(known.stored(), self.where)
            slope = f" ({low:.5g} … {high:.5g} as stored, before slope and intercept)"
        wrapping = "wraps within this range" if self.wrapping else "no wraps are seen"
        scale = ""
        if self.wrapping and known.slope:
            speaks = TURN * known.slope / self.span
            scale = f"; the wraps speak for phase_scale: {speaks:.6g}"
        return QsmbenchError(
            f"{self.where}: {but}phase spans {self.low:.5g} … {self.high:.5g}{slope}, {said}{wrapping}: its unit "
            f"is not clear; it must be in radians, or state phase_unit ({', '.join(UNITS)}) or phase_scale (rad per "
            f"stored number){scale}{end}"
        )

    @staticmethod
    def _with_echoes(values: np.ndarray) -> np.ndarray:
        return values[..., None] if values.ndim == 3 else values


def _other_period(unit: str) -> float:
    """Return the share of a unit's turn below which a phase that wraps is in another unit."""
    return _OTHER_PERIOD_IN_RAD if unit == "rad" else _OTHER_PERIOD


def _is_turn(low: float, high: float) -> bool:
    """Whether a range may be one turn: its ends are opposite, or one of them is 0, within 5 % of it.

    Where an object has sharp edges, neighbours differ by the whole range without a wrap, but few ranges end like this.
    """
    return min(abs(low + high), abs(low), abs(high)) <= 0.05 * (high - low)


def _span(values: np.ndarray, where: str) -> tuple[float, float]:
    """The least and the largest of the finite values."""
    low, high = float(values.min()), float(values.max())
    if np.isfinite(low) and np.isfinite(high):
        return low, high
    finite = values[np.isfinite(values)]
    if not finite.size:
        raise QsmbenchError(f"{where}: no value of the phase is finite")
    return float(finite.min()), float(finite.max())


def _are_whole(values: np.ndarray) -> bool:
    if values.dtype.kind in "iu":
        return True
    finite = values[np.isfinite(values)]
    return bool(np.array_equal(finite, np.round(finite)))


def _wrapped(phase: np.ndarray) -> np.ndarray:
    """Wrap a phase [rad] to ±π, float32."""
    phase = np.asarray(phase, np.float64)
    return (phase - TURN * np.round(phase / TURN)).astype(np.float32)
