"""A person: what a number draws from the population in size, shape, age, iron, myelin and blood."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from qsmbench.errors import QsmbenchError
from qsmbench.phantom.description.geometry import Point, Share
from qsmbench.phantom.warp import Warp
from qsmbench.typed_yaml import Model, load_yaml

SPACING = 4.0
"""Of the grid that a person's shape is given on, mm."""

STEEPEST = 0.6
"""Largest slope of the displacement; below 1, so that it can be inverted."""

WAVES = 16
"""Plane waves in each octave of shape."""


class Ages(Model):
    """Years."""

    reference: PositiveFloat
    range: tuple[PositiveFloat, PositiveFloat]
    legal: tuple[PositiveFloat, PositiveFloat]


class Octave(Model):
    """Displacements of one scale, mm."""

    rms: NonNegativeFloat
    wavelength: PositiveFloat


class Ventricles(Model):
    """How far they are widened, and about which points of the template [mm]."""

    scatter: NonNegativeFloat
    per_year: NonNegativeFloat
    points: tuple[Point, ...]
    radius: PositiveFloat


class Drift(Model):
    """A change per year, after the reference age, of a parameter of the phantom, and its scatter."""

    parameter: str
    per_year: float
    scatter: NonNegativeFloat


class IronCurve(Model):
    """amplitude·(1 − exp(−rate·age)) + offset, mg/100 g."""

    tissues: tuple[str, ...]
    amplitude: PositiveFloat
    rate: PositiveFloat
    offset: NonNegativeFloat
    source: str

    def at(self, age: float) -> float:
        """Iron at `age` [years], mg/100 g."""
        return self.amplitude * (1 - np.exp(-self.rate * age)) + self.offset


class Falls(Model):
    """Tissues that lose iron after some age, by a share per year."""

    tissues: tuple[str, ...]
    after: PositiveFloat
    per_year: NonNegativeFloat


class IronByAge(Model):
    """Iron by age and its scatter."""

    scatter: NonNegativeFloat
    falls: Falls
    curves: tuple[IronCurve, ...]


class MyelinByAge(Model):
    """Myelin by age and its scatter."""

    tissues: tuple[str, ...]
    young: Share
    years: PositiveFloat
    per_year: NonNegativeFloat
    scatter: NonNegativeFloat

    def at(self, age: float, reference: float) -> float:
        """Myelin at `age` [years], a.u."""
        return (1 - self.young * np.exp(-age / self.years)) * (1 - self.per_year * max(age - reference, 0))


class Blood(Model):
    """Standard deviations of haematocrit and of the veins' oxygen saturation, 0–1."""

    hct: Share
    saturation: Share


class CalcificationByAge(Model):
    """Calcified spots in a region: the age at which half of all people have them, and how dense they are."""

    region: str
    half_at: PositiveFloat
    hu: PositiveFloat
    hu_per_year: NonNegativeFloat
    scatter: NonNegativeFloat
    diameter: tuple[PositiveFloat, PositiveFloat]
    count: PositiveInt

    def chance(self, age: float) -> float:
        """Share of people of `age` [years] who have them."""
        return 1 - 2 ** -((age / self.half_at) ** 3)

    def density(self, age: float) -> float:
        """What they add on CT at `age` [years], HU."""
        return self.hu + self.hu_per_year * max(age - self.half_at, 0)


class Population(Model):
    """How people differ; see `phantoms/head/population.yaml`."""

    age: Ages
    size: NonNegativeFloat
    proportions: NonNegativeFloat
    shape: tuple[Octave, ...]
    ventricles: Ventricles
    sulci: Drift
    iron: IronByAge
    myelin: MyelinByAge
    blood: Blood
    calcification: CalcificationByAge


@dataclass(frozen=True)
class Person:
    """What was drawn.

    Attributes:
        seed: the subject's number.
        age: years.
        scale: (3,) of the head against the template along x, y, z.
        ventricles: share by which the ventricles are widened.
        sulci: change of the phantom's parameter that sets how wide they are.
        iron: factor of χ+ by tissue.
        myelin: factor of χ− by tissue.
        hct: difference of the haematocrit from the mean.
        saturation: difference of the veins' oxygen saturation from the mean.
        calcified: what the calcified spots add on CT, HU; 0: there are none.
    """

    seed: int
    age: float
    scale: np.ndarray
    ventricles: float
    sulci: float
    iron: dict[str, float]
    myelin: dict[str, float]
    hct: float
    saturation: float
    calcified: float

    @property
    def is_template(self) -> bool:
        """Whether the head has the template's shape."""
        return self.seed == 0 and self.ventricles == 0


@cache
def read_population(path: Path) -> Population:
    """The population in a file.

    Raises:
        QsmbenchError: it is missing, or a key or value is illegal.
    """
    return load_yaml(path, Population)


def draw(population: Population, seed: int, age: float | None = None) -> Person:
    """The person that `seed` draws; 0 is the template itself.

    Args:
        population: how people differ.
        seed: the subject's number.
        age: years; by default the reference age for subject 0, and drawn for all others.

    Raises:
        QsmbenchError: the age is out of range.
    """
    rng = np.random.default_rng([seed, 1])
    scatter = 0.0 if seed == 0 else 1.0
    drawn = rng.uniform(*population.age.range)
    reference, (youngest, oldest) = population.age.reference, population.age.legal
    if age is None:
        age = float(drawn) if seed else reference
    if not youngest <= age <= oldest:
        raise QsmbenchError(f"age is {age:g}; legal are {youngest:g}–{oldest:g} years")
    older = max(age - reference, 0)
    size, axes = rng.standard_normal(), rng.standard_normal(3)
    scale = np.exp(scatter * (population.size * size + population.proportions * axes))
    ventricles = (
        older * population.ventricles.per_year + scatter * population.ventricles.scatter * rng.standard_normal()
    )
    sulci = older * population.sulci.per_year + scatter * population.sulci.scatter * rng.standard_normal()
    # no more than 2.5 standard deviations, so that all blood is possible
    hct, saturation = (
        scatter * np.clip(rng.standard_normal(2), -2.5, 2.5) * (population.blood.hct, population.blood.saturation)
    )
    return Person(
        seed=seed,
        age=age,
        scale=scale,
        ventricles=float(np.clip(ventricles, -0.3, 0.5)),
        sulci=float(sulci),
        iron=_iron(population.iron, age, reference, scatter, rng),
        myelin=_myelin(population.myelin, age, reference, scatter, rng),
        hct=float(hct),
        saturation=float(saturation),
        calcified=_calcified(population.calcification, age, scatter, rng),
    )


def _calcified(law: CalcificationByAge, age: float, scatter: float, rng: np.random.Generator) -> float:
    lot, chance = rng.uniform(), np.exp(scatter * law.scatter * rng.standard_normal())
    has = (lot if scatter else 0.5) < law.chance(age)
    return float(chance * law.density(age)) if has else 0.0


def _iron(law: IronByAge, age: float, reference: float, scatter: float, rng: np.random.Generator) -> dict[str, float]:
    own = rng.standard_normal()  # shared by all of a person's tissues
    factors = {}
    for curve in law.curves:
        chance = np.exp(scatter * law.scatter * (own + rng.standard_normal()) / np.sqrt(2))
        for tissue in curve.tissues:
            factors[tissue] = float(chance * curve.at(age) / curve.at(reference))
    for tissue in law.falls.tissues:
        factors[tissue] *= max(1 - law.falls.per_year * max(age - law.falls.after, 0), 0)
    return factors


def _myelin(
    law: MyelinByAge, age: float, reference: float, scatter: float, rng: np.random.Generator
) -> dict[str, float]:
    factor = (
        np.exp(scatter * law.scatter * rng.standard_normal()) * law.at(age, reference) / law.at(reference, reference)
    )
    return dict.fromkeys(law.tissues, float(factor))


def shape_of(person: Person, population: Population, lower: np.ndarray, upper: np.ndarray) -> Warp:
    """What leads from a person's head to the template, over the box from `lower` to `upper` [mm]."""
    origin = np.asarray(lower, float) - 2 * SPACING
    count = np.ceil((np.asarray(upper) + 2 * SPACING - origin) / SPACING).astype(int) + 1
    axes = [o + SPACING * np.arange(n) for o, n in zip(origin, count, strict=True)]
    x = np.stack(np.meshgrid(*axes, indexing="ij"))
    centre = ((np.asarray(lower) + np.asarray(upper)) / 2)[:, None, None, None]
    bent = _waves(person, population, x) + _widened(person, population, x)
    steepest = max(float(np.abs(np.diff(bent, axis=a)).sum(0).max()) / SPACING for a in (1, 2, 3))
    bent *= min(1.0, STEEPEST / max(steepest, 1e-9))
    moved = (x - centre) * (1 / person.scale[:, None, None, None] - 1) + bent
    return Warp(moved.astype(np.float32), origin, SPACING)


def _waves(person: Person, population: Population, x: np.ndarray) -> np.ndarray:
    """(3, …) mm, a sum of seeded plane waves; nothing for the template itself."""
    total = np.zeros_like(x)
    if person.seed == 0:
        return total
    rng = np.random.default_rng([person.seed, 2])
    for octave in population.shape:
        for _ in range(WAVES):
            direction, polarisation = rng.standard_normal((2, 3))
            wave = 2 * np.pi / (octave.wavelength * rng.uniform(0.8, 1.25)) * direction / np.linalg.norm(direction)
            phase = np.tensordot(wave, x, 1) + rng.uniform(0, 2 * np.pi)
            total += (octave.rms * np.sqrt(2 / WAVES) * polarisation)[:, None, None, None] * np.sin(phase)
    return total


def _widened(person: Person, population: Population, x: np.ndarray) -> np.ndarray:
    """(3, …) mm: around each of the ventricles' points the template is shrunk towards it, on both sides."""
    law, total = population.ventricles, np.zeros_like(x)
    for point in law.points:
        for side in {-1, 1} if point[0] else {1}:
            offset = x - (np.array(point) * (side, 1, 1))[:, None, None, None]
            total -= person.ventricles * offset * np.exp(-(offset**2).sum(0) / (2 * law.radius**2))
    return total
