"""The checks, in the order in which they run. Each is a function of a Trial that returns or raises a Verdict.

There are three kinds: comparison with the truth of a scene; comparison of the result on a changed scene with that on
the standard scene, within a band; and changes that must not affect the result, or must transform it like the scene.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from qsmbench.conform.compare import BANDS, agreement, best_shift, difference, support
from qsmbench.conform.scene import ISOTROPIC, OBLIQUE, Scene, Turn, Volumes, parts, render
from qsmbench.conform.trial import Failed, Trial
from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.folders import read
from qsmbench.errors import NotApplicable, QsmbenchError
from qsmbench.grid import Grid
from qsmbench.method import PARAMETERS
from qsmbench.threads import n_threads

TURNED = 0.05
"""Largest relative change if a method computes the same except for rounding: its own stopping tolerance."""

MIRRORED = 0.15
"""The same for a mirrored object, whose edges one-sided differences treat differently. A half-voxel shift gives 0.4."""

REPEATED = 1e-4
"""Largest relative change if only the order of rounding may differ."""

PART = 0.2
"""Largest loss of correlation with the truth if a part of the scene is missing."""

NO_MASK = "its mask is empty"
"""Message of `checked` for an empty mask, the right answer if there is no signal."""


@dataclass(frozen=True)
class Picture:
    """Two volumes of one product that should agree, on one support."""

    name: str
    expected: np.ndarray
    found: np.ndarray
    support: np.ndarray
    voxel_size: tuple[float, float, float]


@dataclass(frozen=True)
class Verdict:
    """Outcome of a check: whether it passed, the figures, and pictures."""

    passed: bool
    reason: str
    pictures: tuple[Picture, ...] = ()


def runs(trial: Trial) -> Verdict:
    """The method returns finite volumes of the right shape for a standard scan with four echoes."""
    there = {*render().volumes, *PARAMETERS, *trial.method.optional}
    lacking = [n for n in trial.method.consumes if n not in there]
    if lacking:
        raise Failed(f"the test object has no {lacking[0]}")
    try:
        products = trial.products(render())
    except NotApplicable as reason:
        raise Failed(f"cannot run on a plain scan: {reason}") from reason
    return Verdict(True, ", ".join(products), _against_truth(products, render()))


def sign(trial: Trial) -> Verdict:
    """The result has the sign of the truth: χ > 0 is paramagnetic, and phase increases with the field."""
    found = {n: min(a.slope for a in agreement(n, _base(trial), render())) for n in _scaled(trial)}
    wrong = [n for n, slope in found.items() if not slope > 0]
    return Verdict(not wrong, _figures("slope", found), _against_truth(_base(trial), render(), wrong))


def units(trial: Trial) -> Verdict:
    """The slope against the truth is close to one: fields and χ in ppm, phases in rad, rates in 1/s."""
    slopes = {n: [abs(a.slope) for a in agreement(n, _base(trial), render())] for n in _scaled(trial)}
    worst = {n: max(s, key=lambda v: abs(np.log(max(v, 1e-9)))) for n, s in slopes.items()}
    wrong = [n for n, s in worst.items() if not 1 / BANDS[n].slope <= s <= BANDS[n].slope]
    legal = ", ".join(f"{1 / BANDS[n].slope:.2g} to {BANDS[n].slope:g}" for n in worst)
    return Verdict(
        not wrong,
        f"{_figures('size of the slope', worst)}; accepted: {legal}",
        _against_truth(_base(trial), render(), wrong),
    )


def truth(trial: Trial) -> Verdict:
    """The result correlates with the truth, up to sign and scale."""
    found = {n: min(abs(a.correlation) for a in agreement(n, _base(trial), render())) for n in _true(trial)}
    wrong = [n for n, c in found.items() if not c >= BANDS[n].correlation]
    legal = ", ".join(f"{BANDS[n].correlation:g}" for n in found)
    return Verdict(
        not wrong, f"{_figures('correlation', found)}; at least {legal}", _against_truth(_base(trial), render(), wrong)
    )


def position(trial: Trial) -> Verdict:
    """The result is not displaced: a shift by one voxel reduces its agreement with the truth."""
    names = [n for n in _true(trial) if BANDS[n].placed]
    if not names:
        raise NotApplicable(f"{' and '.join(trial.method.produces)} has no small structure to place")
    found = {n: best_shift(n, _base(trial), render()) for n in names}
    wrong = [n for n, shift in found.items() if any(shift)]
    summary = ", ".join(f"{n} fits best when shifted by {shift} voxels" for n, shift in found.items())
    return Verdict(not wrong, summary, _against_truth(_base(trial), render(), wrong))


def echo_order(trial: Trial) -> Verdict:
    """Each echo of the result corresponds to the same echo of the input."""
    names = [n for n in _true(trial) if ARTIFACTS[n].echoes]
    if not names:
        raise NotApplicable("its products have no echoes")
    scene, products = render(), _base(trial)
    summary, wrong = [], []
    for name in names:
        slopes = [a.slope for a in agreement(name, products, scene)]
        summary.append(f"{name}: slopes {', '.join(f'{s:.2f}' for s in slopes)}")
        wrong += [name] if not all(1 / BANDS[name].slope <= s <= BANDS[name].slope for s in slopes) else []
    return Verdict(not wrong, "; ".join(summary), _against_truth(products, scene, wrong))


def b0_strength(trial: Trial) -> Verdict:
    """At half the field strength, where phases are half as large, fields in ppm and χ are the same."""
    _measured(trial, masked=False)
    return _near_truth(trial, render(b0=1.5))


def b0_oblique(trial: Trial) -> Verdict:
    """With oblique B0, the result agrees equally well with the truth."""
    return _near_truth(trial, render(Grid(ISOTROPIC.shape, ISOTROPIC.voxel_size, OBLIQUE)))


def b0_turned(trial: Trial) -> Verdict:
    """If B0 and the object are rotated to another axis, the result is rotated in the same way."""
    return _together(
        _turns(trial, render(), render().permuted(order), _back(order)) for order in ((1, 2, 0), (2, 0, 1))
    )


def anisotropic(trial: Trial) -> Verdict:
    """With voxels of 1 × 1.5 × 3 mm, the result agrees equally well with the truth."""
    return _near_truth(trial, _anisotropic())


def axis_swap(trial: Trial) -> Verdict:
    """If the axes, the voxel size and B0 are permuted, the result is permuted in the same way."""
    return _together(
        _turns(trial, _anisotropic(), _anisotropic().permuted(order), _back(order)) for order in ((2, 1, 0), (1, 2, 0))
    )


def mirror(trial: Trial) -> Verdict:
    """If the first axis and B0 are reversed, the result is reversed."""
    scene = render(Grid(ISOTROPIC.shape, ISOTROPIC.voxel_size, OBLIQUE))
    return _turns(trial, scene, scene.mirrored(), lambda v: v[::-1], limit=MIRRORED)


def odd_size(trial: Trial) -> Verdict:
    """On volumes of odd size, the result agrees equally well with the truth."""
    return _near_truth(trial, render(Grid((35, 37, 39), ISOTROPIC.voxel_size)))


def translation(trial: Trial) -> Verdict:
    """If the object is moved by whole voxels, the result is moved in the same way."""
    return _turns(trial, render(), render().moved((2, -2, 3)), lambda v: np.roll(v, (-2, 2, -3), (0, 1, 2)))


def zero_outside(trial: Trial) -> Verdict:
    """Voxels that are not reconstructed are zero, and an output mask lies within the input mask."""
    products, given = _base(trial), render().mask
    masked = [n for n in products if ARTIFACTS[n].is_mask or not ARTIFACTS[n].in_scan]
    if "mask" not in (*trial.method.consumes, *trial.method.produces):
        raise NotApplicable("it neither takes nor produces a mask")
    inside = products.get("mask", given)
    found = {n: np.count_nonzero(products[n][~inside]) for n in masked}
    if "mask" in products and "mask" in trial.method.consumes:
        found["mask"] = np.count_nonzero(products["mask"] & ~given)
    summary = ", ".join(f"{n}: {count} voxels" for n, count in found.items())
    return Verdict(not any(found.values()), f"not zero outside: {summary}")


def outside(trial: Trial) -> Verdict:
    """Values outside the mask do not affect the result."""
    scene = render()
    if trial.method.produces == ("mask",):
        raise NotApplicable("it produces a mask, and may use voxels around it")
    rng = np.random.default_rng(1)
    littered = scene.changed(_measured(trial), lambda name, v: _littered(name, v, scene.mask, rng))
    return _turns(trial, scene, littered, lambda v: v, inside_only=True)


def two_parts(trial: Trial) -> Verdict:
    """If the mask has two parts, each is reconstructed and correlates with the truth."""
    scene = render(gap=True)
    if "mask" not in trial.method.consumes:
        raise NotApplicable("it takes no mask")
    if trial.method.produces == ("mask",):
        raise NotApplicable("it produces a mask, and may exclude a part")
    products = trial.products(scene)
    maps = [n for n in products if n != "mask"]
    empty = [n for n in maps for part in parts(scene.mask) if not products[n][part].any()]
    if empty:
        return Verdict(False, f"{empty[0]} is empty in a part of the mask", _against_truth(products, scene, empty))
    return _near_truth(trial, scene, whole=False)


def nan_outside(trial: Trial) -> Verdict:
    """NaN outside the mask in the input files does not affect the result."""
    scene = render()

    def stored(name: str, volume: np.ndarray) -> np.ndarray:
        return _through_file(name, np.where(_like(scene.mask, volume), volume, np.float32(np.nan)), scene.grid)

    try:
        other = scene.changed(_measured(trial), stored)
    except QsmbenchError as reason:
        raise NotApplicable(f"methods never receive such a volume: {str(reason).rpartition('/')[2]}") from reason
    return _turns(trial, scene, other, lambda v: v, inside_only=True)


def zero_input(trial: Trial) -> Verdict:
    """If all inputs are zero, the result is zero, or the method reports why there is no result."""
    nothing = render().changed(_measured(trial, masked=False), lambda _, v: np.zeros_like(v))
    try:
        products = trial.products(nothing)
    except (NotApplicable, QsmbenchError) as reason:
        return Verdict(True, f"reports: {reason}")
    except Failed as reason:
        if str(reason) != NO_MASK:
            raise
        return Verdict(True, NO_MASK)
    values = [n for n in products if n not in ("mask", "field_noise")]
    peaks = {n: float(np.abs(products[n]).max()) / max(float(np.abs(_base(trial)[n]).max()), 1e-12) for n in values}
    wrong = [n for n, peak in peaks.items() if peak > 1e-3]
    return Verdict(not wrong, f"all finite; {_figures('largest value relative to the usual one', peaks)}".rstrip("; "))


def no_signal(trial: Trial) -> Verdict:
    """In voxels of the mask without signal the result is finite; elsewhere it correlates with the truth."""
    x, y, z = render().grid.axes()
    void = (x - 1) ** 2 + (y - 2) ** 2 + (z + 1) ** 2 < 2.5**2
    scene = render().changed(
        _measured(trial, masked=False), lambda _, v: np.where(_like(void, v), 0, v).astype(v.dtype)
    )
    return _near_truth(trial, scene, whole=False)


def _needs_fixed_results(trial: Trial) -> None:
    if trial.method.stochastic:
        raise NotApplicable("it is declared stochastic")


def repeated(trial: Trial) -> Verdict:
    """A second run gives an identical result."""
    _needs_fixed_results(trial)
    once = _base(trial)
    twice = trial.products(render(), again=True)
    found = {n: int(np.count_nonzero(once[n] != twice[n])) for n in once}
    return Verdict(not any(found.values()), ", ".join(f"{n}: {c} voxels differ" for n, c in found.items()))


def threads(trial: Trial) -> Verdict:
    """The result is the same on one, two and three threads."""
    _needs_fixed_results(trial)
    results = []
    for count in (1, 2, 3):
        usual = count == n_threads()
        with _threads(count):
            results.append(_base(trial) if usual else trial.products(render(), again=True))
    found = {n: max(difference(n, r[n], results[0][n], render().mask) for r in results[1:]) for n in results[0]}
    return Verdict(max(found.values()) <= REPEATED, _figures("relative difference", found))


def inputs_unchanged(trial: Trial) -> Verdict:
    """The method does not change its inputs."""
    _base(trial)
    return Verdict(not trial.changed, f"changed: {', '.join(sorted(trial.changed)) or 'none'}")


def scaled_integers(trial: Trial) -> Verdict:
    """Volumes stored as 16-bit integers with a scale factor give the same result, except for quantisation."""
    scene = render()
    names = _measured(trial, masked=False)
    other = scene.changed(names, lambda name, v: _through_file(name, v, scene.grid, integers=True))
    return _turns(trial, scene, other, lambda v: v)


def one_echo(trial: Trial) -> Verdict:
    """With a single echo, the result agrees equally well with the truth, or the method reports why it cannot run."""
    return _echoes_hold(trial, (0.016,))


def many_echoes(trial: Trial) -> Verdict:
    """With nine echoes, the result agrees equally well with the truth."""
    return _echoes_hold(trial, tuple(0.003 + 0.0025 * e for e in range(9)))


def uneven_echoes(trial: Trial) -> Verdict:
    """With unequal echo spacing, the result agrees equally well, or the method reports why it cannot run."""
    return _echoes_hold(trial, (0.005, 0.007, 0.012, 0.023))


def phase_offset(trial: Trial) -> Verdict:
    """A smooth phase offset at TE = 0, as from coils, does not affect the field."""
    if "total_field" not in trial.method.produces or not {"phase", "unwrapped"} & set(trial.method.consumes):
        raise NotApplicable("it does not compute total_field from phase")
    return _near_truth(trial, render(offset=True))


CHECKS: tuple[Callable[[Trial], Verdict], ...] = (
    runs,
    sign,
    units,
    truth,
    position,
    echo_order,
    b0_strength,
    b0_oblique,
    b0_turned,
    anisotropic,
    axis_swap,
    mirror,
    odd_size,
    translation,
    zero_outside,
    outside,
    two_parts,
    nan_outside,
    zero_input,
    no_signal,
    repeated,
    threads,
    inputs_unchanged,
    scaled_integers,
    one_echo,
    many_echoes,
    uneven_echoes,
    phase_offset,
)


def _base(trial: Trial) -> Volumes:
    return trial.products(render())


def _anisotropic() -> Scene:
    return render(Grid((46, 36, 18), (1.0, 1.5, 3.0)))


def _true(trial: Trial) -> list[str]:
    """Return the products that can be compared with the truth."""
    names = [n for n in trial.method.produces if n in BANDS]
    if not names:
        raise NotApplicable(f"there is no truth to compare {' and '.join(trial.method.produces)} with")
    return names


def _scaled(trial: Trial) -> list[str]:
    names = [n for n in _true(trial) if n != "mask"]
    if not names:
        raise NotApplicable("a mask has no sign and no scale")
    return names


def _measured(trial: Trial, *, masked: bool = True) -> list[str]:
    """Return the measured volumes that the method takes.

    Raises:
        NotApplicable: there are none; or there is no mask, if they must be `masked`.
    """
    if masked and "mask" not in trial.method.consumes:
        raise NotApplicable("it takes no mask")
    taken = ["local_field" if n == "orientations" else n for n in trial.method.consumes]
    volumes = render().volumes
    found = [n for n in dict.fromkeys(taken) if n in volumes and volumes[n].dtype.kind == "f"]
    if not found:
        raise NotApplicable("it takes no measured volumes")
    return found


def _figures(what: str, found: dict[str, float]) -> str:
    return f"{what}: " + ", ".join(f"{n} {v:.3g}" for n, v in found.items()) if found else ""


def _like(region: np.ndarray, volume: np.ndarray) -> np.ndarray:
    return region[..., None] if volume.ndim == 4 else region


def _against_truth(products: Volumes, scene: Scene, names: list[str] | None = None) -> tuple[Picture, ...]:
    chosen = [n for n in (products if names is None else names) if n in scene.truth]
    return _pictures(products, scene.truth, scene, support(products, scene), chosen)


def _pictures(
    found: Volumes, expected: Volumes, scene: Scene, region: np.ndarray, names: list[str]
) -> tuple[Picture, ...]:
    size = scene.grid.voxel_size
    return tuple(Picture(n, _last_echo(expected[n]), _last_echo(found[n]), region, size) for n in names)


def _last_echo(volume: np.ndarray) -> np.ndarray:
    return volume[..., -1] if volume.ndim == 4 else volume


def _echoes_hold(trial: Trial, te: tuple[float, ...]) -> Verdict:
    """Check that the products agree with the truth of a scene with other echoes as well as on the standard scene."""
    if not any(n == "te" or (n in ARTIFACTS and ARTIFACTS[n].echoes) for n in trial.method.consumes):
        raise NotApplicable("none of its inputs has echoes")
    return _near_truth(trial, render(te=te))


def _near_truth(trial: Trial, scene: Scene, *, whole: bool = True) -> Verdict:
    """Compare slope and correlation of the products on a scene with those on the standard scene.

    If a part of the scene is missing, it is not `whole`: masks may shrink, and slopes are not compared.
    """
    products = trial.products(scene)
    summary, wrong = [], []
    for name in _true(trial):
        if name == "mask" and not whole and len(products) > 1:
            continue
        plain, now = agreement(name, _base(trial), render()), agreement(name, products, scene)
        correlation, least = (min((a.correlation for a in found), key=abs) for found in (now, plain))
        size, usual = (float(np.median([a.slope for a in found])) for found in (now, plain))
        drift, band = size / usual if usual else np.inf, BANDS[name]
        same_scale = not whole or np.isnan(drift) or 1 / band.drift <= drift <= band.drift
        # A wrong sign is another check's matter: here it must be the same in both scenes.
        same_truth = correlation * np.sign(least) >= max(abs(least) - (band.fall if whole else PART), 1e-3)
        wrong += [] if same_scale and same_truth else [name]
        scale = f"slope {size:.3g} (plain {usual:.3g}), " if whole and not np.isnan(size) else ""
        summary.append(f"{name}: {scale}correlation {correlation:.3g} ({least:.3g})")
    return Verdict(not wrong, "; ".join(summary), _against_truth(products, scene, wrong))


def _turns(
    trial: Trial, scene: Scene, other: Scene, back: Turn, *, inside_only: bool = False, limit: float = TURNED
) -> Verdict:
    """Check that the products on `other`, transformed by `back`, equal those on `scene`."""
    expected = trial.products(scene)
    found = {n: back(v) for n, v in trial.products(other).items()}
    region = support(expected, scene) & support(found, scene)
    changes = {}
    for name in expected:
        pair = found[name], expected[name]
        if inside_only and name == "mask":
            pair = found[name] & scene.mask, expected[name] & scene.mask
        changes[name] = difference(name, *pair, region)
    wrong = [n for n, change in changes.items() if not change <= limit]
    summary = f"{_figures('relative difference', changes)}; at most {limit:g}"
    return Verdict(not wrong, summary, _pictures(found, expected, scene, region, wrong))


def _together(verdicts: Iterator[Verdict]) -> Verdict:
    """Return the first failed verdict, or the last one."""
    for verdict in verdicts:
        if not verdict.passed:
            break
    return verdict


def _back(order: tuple[int, int, int]) -> Turn:
    """Return the inverse of a permutation of the axes."""
    inverse = tuple(int(a) for a in np.argsort(order))
    return lambda v: v.transpose((*inverse, 3)[: v.ndim])


def _littered(name: str, volume: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add noise outside the mask, three times as large as the values inside, or equally large for measured volumes."""
    peak = float(np.abs(volume[mask]).max()) * (1 if ARTIFACTS[name].in_scan else 3)
    low = 0.0 if volume.min() >= 0 else -peak
    noise = rng.uniform(low, peak, volume.shape).astype(volume.dtype)
    return np.where(_like(mask, volume), volume, noise)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Let methods use `count` threads."""
    before = os.environ.get("QSMBENCH_THREADS")
    os.environ["QSMBENCH_THREADS"] = str(count)
    try:
        yield
    finally:
        if before is None:
            del os.environ["QSMBENCH_THREADS"]
        else:
            os.environ["QSMBENCH_THREADS"] = before


def _through_file(name: str, volume: np.ndarray, grid: Grid, *, integers: bool = False) -> np.ndarray:
    """Return the volume as read from a NIfTI file, stored as float32 or as 16-bit integers with a scale factor."""
    with tempfile.TemporaryDirectory() as folder:
        image = nib.Nifti1Image(volume, grid.affine)
        if integers:
            image.set_data_dtype(np.int16)  # nibabel chooses the scale factor that uses all of them
        nib.save(image, Path(folder) / ARTIFACTS[name].file)
        with _quiet():
            return read(Path(folder), name, grid)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence notes on phase units, which are meant for users' files."""
    logger = logging.getLogger("qsmbench")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
