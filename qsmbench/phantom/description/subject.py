"""A subject: the size, shape, age, tissues, blood and sources drawn from a population by a number."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid
from qsmbench.phantom.description.norms import SEXES, Sex, read_norms
from qsmbench.phantom.description.population import Appearance, Composition, OfSex, Population, Volumes
from qsmbench.phantom.volumes import Parts, reach
from qsmbench.phantom.warp import Warp
from qsmbench.seeds import generator

SPACING = 3.0
"""Spacing of the grid of a subject's displacement field [mm]."""

WAVES = 16
"""Plane waves in each octave of shape."""

BLOOD_LIMIT = 2.5
"""Largest deviation of the blood, in standard deviations, so that its values remain possible."""

STEEPEST = 0.4
"""Largest gradient of the displacement by a person's shape; that by volumes does not fold."""


class Change(NamedTuple):
    """By how much a value of a person's blood differs from that of the phantom.

    Attributes:
        mean: in all people of the age and sex.
        own: in this person beside them.
    """

    mean: float = 0.0
    own: float = 0.0


@dataclass(frozen=True)
class Person:
    """The values drawn for a subject. Mappings have the names of the population's entries.

    Attributes:
        seed: the subject's number.
        age: years.
        sex: None for the mean of both.
        scale: (3,) relative to the template along x, y, z; with a volume of the whole, only relative to each other.
        whole: volume of the phantom's mask, ml; None: as `scale` makes it.
        volumes: of each part, ml: left and right, or one for a part that is not divided into sides.
        parameters: deviation of each parameter of the phantom, in standard deviations.
        drawn: replace parameters of the phantom.
        hct: change of the haematocrit.
        saturation: change of the veins' oxygen saturation.
        dr: factor of the relaxivity of susceptibility.
        factors: of the composition, by tissue.
        sources: of the subject, as in a description.
    """

    seed: int
    age: float
    sex: Sex | None
    scale: np.ndarray
    whole: float | None
    volumes: dict[str, tuple[float, ...]]
    parameters: dict[str, float]
    drawn: dict[str, float]
    hct: Change
    saturation: Change
    dr: float
    factors: dict[str, dict[str, float]]
    sources: tuple[dict[str, Any], ...]

    @property
    def is_template(self) -> bool:
        """Whether the person has the template's shape."""
        return self.seed == 0 and self.whole is None


def draw(population: Population, seed: int, age: float | None = None, sex: Sex | None = None) -> Person:
    """Draw the subject with a number; 0 is the median person.

    Args:
        population: differences between subjects.
        seed: the subject's number.
        age: years; by default the reference age for subject 0, and drawn for all others.
        sex: by default the mean of both for subject 0, and drawn for all others.

    Raises:
        QsmbenchError: the age is out of range.
    """
    rng = generator([seed, 1])
    scatter = 0.0 if seed == 0 else 1.0
    drawn = rng.uniform(*population.age.range)
    reference, (youngest, oldest) = population.age.reference, population.age.allowed
    if age is None:
        age = float(drawn) if seed else reference
    if not youngest <= age <= oldest:
        raise QsmbenchError(f"age is {age:g}; it must be {youngest:g}–{oldest:g} years")
    either = SEXES[rng.integers(len(SEXES))]
    sex = sex or (either if seed else None)
    size, axes = rng.standard_normal(), rng.standard_normal(3)
    scale = np.exp(scatter * (population.size * size + population.proportions * axes))
    whole, volumes = _volumes(population.volumes, age, sex, scatter, size, seed)
    parameters = {name: scatter * float(rng.standard_normal()) for name in population.parameters}
    drawn_values = _drawn(population, seed, sex)
    hct = saturation = Change()
    if (blood := population.blood) is not None:
        deviations = scatter * np.clip(rng.standard_normal(2), -BLOOD_LIMIT, BLOOD_LIMIT)
        hct = Change(blood.hct.at(age, sex) - blood.hct.at(reference), float(deviations[0]) * blood.hct.scatter)
        drift = blood.saturation.at(age, reference)
        saturation = Change(drift, float(deviations[1]) * blood.saturation.scatter)
    dr = float(np.exp(scatter * population.dr * rng.standard_normal()))
    factors = {name: _factors(law, age, reference, scatter, rng) for name, law in population.tissues.items()}
    doses = {name: _dose(law, age, scatter, rng) for name, law in population.sources.items()}
    sources = tuple(
        {**population.sources[name].source, population.sources[name].dose: dose, "name": name, "seed": seed}
        for name, dose in doses.items()
        if dose
    )
    return Person(
        seed, age, sex, scale, whole, volumes, parameters, drawn_values, hct, saturation, dr, factors, sources
    )


def _drawn(population: Population, seed: int, sex: Sex | None) -> dict[str, float]:
    """Draw the parameters of a subject, each from random numbers of its own; for subject 0 those of a sex alone."""
    found = {n: law.of(sex) for n, law in population.drawn.items() if isinstance(law, OfSex) and sex is not None}
    for name, law in population.drawn.items():
        if seed == 0 or isinstance(law, OfSex):
            continue
        rng = generator([seed, 4, zlib.crc32(name.encode())])
        found[name] = law.at(rng.standard_normal(), rng.uniform())
    return found


def _volumes(
    law: Volumes | None, age: float, sex: Sex | None, scatter: float, size: float, seed: int
) -> tuple[float | None, dict[str, tuple[float, ...]]]:
    """Draw the volumes [ml] of the whole and of its parts; `size` is the deviation of the whole in sds."""
    if law is None:
        return None, {}
    norms, rng = read_norms(Path(law.norms)), generator([seed, 4])
    common = scatter * norms.sd(law.whole, age) * size
    volumes: dict[str, tuple[float, ...]] = {}
    for name, part in law.parts.items():
        normal, tilt = scatter * rng.standard_normal(2)
        own = np.sqrt(max(norms.sd(part.norm, age) ** 2 - norms.sd(law.whole, age) ** 2, law.own**2))
        volume = norms.volume(part.norm, age, sex) / part.share * float(np.exp(common + own * normal))
        if part.asymmetry is None:
            volumes[name] = (volume,)
        else:
            more = (part.asymmetry[0] + part.asymmetry[1] * tilt) / 2
            volumes[name] = volume / 2 * (1 + more), volume / 2 * (1 - more)
    return norms.volume(law.whole, age, sex) * float(np.exp(common)), volumes


def _factors(
    law: Composition, age: float, reference: float, scatter: float, rng: np.random.Generator
) -> dict[str, float]:
    """Draw the factor of each tissue at `age`, relative to the `reference` age [years]."""
    own = rng.standard_normal() if law.shared else None
    factors: dict[str, float] = {}
    for curve in law.curves:
        sd, normal = scatter * law.deviation(curve, age), rng.standard_normal()
        deviation = sd * normal if own is None else sd * (own + normal) / np.sqrt(2)
        factor = np.exp(deviation) * curve.at(age, reference) / curve.at(reference, reference)
        factors |= dict.fromkeys(curve.tissues, float(factor))
    return factors


def _dose(law: Appearance, age: float, scatter: float, rng: np.random.Generator) -> float:
    """Draw the dose of a source at `age` [years]; 0: no source."""
    rank, factor = rng.uniform(), np.exp(scatter * law.scatter * rng.standard_normal())
    has = (rank if scatter else 0.5) < law.chance(age)
    return float(factor * law.mean(age)) if has else 0.0


@dataclass(frozen=True)
class Template:
    """Where the parts of a template lie.

    Attributes:
        grid: of the voxels, with axes along those of the world.
        mask: (nx, ny, nz) bool, the whole.
        parts: (nx, ny, nz) uint8, number of the part in the order of the population's from 1 on; 0: none.
    """

    grid: Grid
    mask: np.ndarray
    parts: np.ndarray


def shape_of(
    person: Person,
    population: Population,
    lower: np.ndarray,
    upper: np.ndarray,
    template: Template | None = None,
    size: np.ndarray | None = None,
) -> Warp:
    """Return the map from a subject to the template.

    Args:
        person: the subject.
        population: differences between subjects.
        lower: (3,) mm, corner of the box that the map covers.
        upper: (3,) mm, the opposite corner.
        template: needed if the person has volumes.
        size: (3,) scale about the centre of the box, beside the person's own; by default 1.
    """
    origin = np.asarray(lower, float) - 2 * SPACING
    count = np.ceil((np.asarray(upper) + 2 * SPACING - origin) / SPACING).astype(int) + 1
    axes = [o + SPACING * np.arange(n) for o, n in zip(origin, count, strict=True)]
    x = np.stack(np.meshgrid(*axes, indexing="ij"))
    scale = person.scale
    if template is not None and person.whole is not None:
        own = template.mask.sum() * template.grid.voxel_volume / 1000
        scale = scale * (person.whole / (own * scale.prod())) ** (1 / 3)
    centre = ((np.asarray(lower) + np.asarray(upper)) / 2)[:, None, None, None]
    sized = x if size is None else centre + (x - centre) / np.asarray(size)[:, None, None, None]
    moved = sized / scale[:, None, None, None] - x + _gentle(_waves(person, population, x))
    if template is not None and person.whole is not None:
        reach(moved, origin, SPACING, _parts(person, template))
    return Warp(moved.astype(np.float32), origin, SPACING)


def _gentle(bent: np.ndarray) -> np.ndarray:
    """Return displacements, (3, …) mm, reduced until no gradient exceeds `STEEPEST`."""
    steepest = max(float(np.abs(np.diff(bent, axis=a)).sum(0).max()) / SPACING for a in (1, 2, 3))
    return bent * min(1.0, STEEPEST / max(steepest, 1e-9))


def _parts(person: Person, template: Template) -> Parts:
    """Return the parts by sides, then what is left of the whole."""
    sides = np.linalg.inv(template.grid.affine) @ [0, 0, 0, 1]
    left = (np.arange(template.grid.shape[0]) < sides[0])[:, None, None]
    which, volumes = np.zeros(template.parts.shape, np.uint8), [np.nan]
    for number, its in enumerate(person.volumes.values(), start=1):
        here = template.parts == number
        for side, volume in zip((left, ~left) if len(its) == 2 else (True,), its, strict=True):
            which[here & side] = len(volumes)
            volumes.append(volume)
    which[template.mask & (which == 0)] = len(volumes)
    volumes.append((person.whole or 0.0) - sum(volumes[1:]))
    return Parts(which, np.linalg.inv(template.grid.affine)[:3], 1000 * np.array(volumes))


def _waves(person: Person, population: Population, x: np.ndarray) -> np.ndarray:
    """Sum seeded plane waves at x, (3, …) mm; nothing for the template itself."""
    total = np.zeros_like(x)
    if person.seed == 0:
        return total
    rng = generator([person.seed, 2])
    for octave in population.shape:
        for _ in range(WAVES):
            direction, polarisation = rng.standard_normal((2, 3))
            wave = 2 * np.pi / (octave.wavelength * rng.uniform(0.8, 1.25)) * direction / np.linalg.norm(direction)
            phase = np.tensordot(wave, x, 1) + rng.uniform(0, 2 * np.pi)
            total += (octave.rms * np.sqrt(2 / WAVES) * polarisation)[:, None, None, None] * np.sin(phase)
    return total
