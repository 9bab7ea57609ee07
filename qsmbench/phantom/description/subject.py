"""A subject: the size, shape, age, tissues, blood and sources drawn from a population by a number."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from qsmbench.errors import QsmbenchError
from qsmbench.phantom.description.population import Appearance, Composition, Drift, Population
from qsmbench.phantom.warp import Warp

SPACING = 4.0
"""Spacing of the grid of a subject's displacement field [mm]."""

STEEPEST = 0.6
"""Largest gradient of the displacement; below 1, so that it can be inverted."""

WAVES = 16
"""Plane waves in each octave of shape."""

BLOOD_LIMIT = 2.5
"""Largest deviation of the blood, in standard deviations, so that its values remain possible."""


@dataclass(frozen=True)
class Person:
    """The values drawn for a subject. Mappings have the names of the population's entries.

    Attributes:
        seed: the subject's number.
        age: years.
        scale: (3,) relative to the template along x, y, z.
        widened: fraction by which each part is widened.
        parameters: added to each parameter of the phantom.
        drawn: replace parameters of the phantom.
        hct: difference of the haematocrit from the mean.
        saturation: difference of the veins' oxygen saturation from the mean.
        factors: of the composition, by tissue.
        sources: of the subject, as in a description.
    """

    seed: int
    age: float
    scale: np.ndarray
    widened: dict[str, float]
    parameters: dict[str, float]
    drawn: dict[str, float]
    hct: float
    saturation: float
    factors: dict[str, dict[str, float]]
    sources: tuple[dict[str, Any], ...]

    @property
    def is_template(self) -> bool:
        """Whether the person has the template's shape."""
        return self.seed == 0 and not any(self.widened.values())


def draw(population: Population, seed: int, age: float | None = None) -> Person:
    """Draw the subject with a number; 0 is the template itself.

    Args:
        population: differences between subjects.
        seed: the subject's number.
        age: years; by default the reference age for subject 0, and drawn for all others.

    Raises:
        QsmbenchError: the age is out of range.
    """
    rng = np.random.default_rng([seed, 1])
    scatter = 0.0 if seed == 0 else 1.0
    drawn = rng.uniform(*population.age.range)
    reference, (youngest, oldest) = population.age.reference, population.age.allowed
    if age is None:
        age = float(drawn) if seed else reference
    if not youngest <= age <= oldest:
        raise QsmbenchError(f"age is {age:g}; it must be {youngest:g}–{oldest:g} years")
    older = max(age - reference, 0)
    size, axes = rng.standard_normal(), rng.standard_normal(3)
    scale = np.exp(scatter * (population.size * size + population.proportions * axes))
    widened = {
        name: float(np.clip(_drift(law, older, scatter, rng), *law.limits)) for name, law in population.widened.items()
    }
    parameters = {name: float(_drift(law, older, scatter, rng)) for name, law in population.parameters.items()}
    drawn_values = _drawn(population, seed)
    hct = saturation = 0.0
    if (blood := population.blood) is not None:
        deviations = scatter * np.clip(rng.standard_normal(2), -BLOOD_LIMIT, BLOOD_LIMIT)
        hct, saturation = (float(d) for d in deviations * (blood.hct, blood.saturation))
    factors = {name: _factors(law, age, reference, scatter, rng) for name, law in population.tissues.items()}
    doses = {name: _dose(law, age, scatter, rng) for name, law in population.sources.items()}
    sources = tuple(
        {**population.sources[name].source, population.sources[name].dose: dose, "name": name, "seed": seed}
        for name, dose in doses.items()
        if dose
    )
    return Person(seed, age, scale, widened, parameters, drawn_values, hct, saturation, factors, sources)


def _drawn(population: Population, seed: int) -> dict[str, float]:
    """Draw the parameters of a subject, each from random numbers of its own; none for subject 0."""
    if seed == 0:
        return {}
    found = {}
    for name, law in population.drawn.items():
        rng = np.random.default_rng([seed, 4, zlib.crc32(name.encode())])
        found[name] = law.at(rng.standard_normal(), rng.uniform())
    return found


def _drift(law: Drift, older: float, scatter: float, rng: np.random.Generator) -> float:
    """Draw the change of a subject who is `older` than the reference age, years."""
    return older * law.per_year + scatter * law.scatter * rng.standard_normal()


def _factors(
    law: Composition, age: float, reference: float, scatter: float, rng: np.random.Generator
) -> dict[str, float]:
    """Draw the factor of each tissue at `age`, relative to the `reference` age [years]."""
    own = rng.standard_normal() if law.shared else None
    factors: dict[str, float] = {}
    for curve in law.curves:
        sd, normal = scatter * law.scatter, rng.standard_normal()
        deviation = sd * normal if own is None else sd * (own + normal) / np.sqrt(2)
        factor = np.exp(deviation) * curve.at(age, reference) / curve.at(reference, reference)
        factors |= dict.fromkeys(curve.tissues, float(factor))
    for loss in law.losses:
        for tissue in loss.tissues:
            factors[tissue] *= loss.left(age)
    return factors


def _dose(law: Appearance, age: float, scatter: float, rng: np.random.Generator) -> float:
    """Draw the dose of a source at `age` [years]; 0: no source."""
    rank, factor = rng.uniform(), np.exp(scatter * law.scatter * rng.standard_normal())
    has = (rank if scatter else 0.5) < law.chance(age)
    return float(factor * law.mean(age)) if has else 0.0


def shape_of(
    person: Person, population: Population, lower: np.ndarray, upper: np.ndarray, size: np.ndarray | None = None
) -> Warp:
    """Return the map from a subject to the template.

    Args:
        person: the subject.
        population: differences between subjects.
        lower: (3,) mm, corner of the box that the map covers.
        upper: (3,) mm, the opposite corner.
        size: (3,) of the subject, beside the person's own scale; by default 1.
    """
    scale = person.scale * (1 if size is None else size)
    origin = np.asarray(lower, float) - 2 * SPACING
    count = np.ceil((np.asarray(upper) + 2 * SPACING - origin) / SPACING).astype(int) + 1
    axes = [o + SPACING * np.arange(n) for o, n in zip(origin, count, strict=True)]
    x = np.stack(np.meshgrid(*axes, indexing="ij"))
    centre = ((np.asarray(lower) + np.asarray(upper)) / 2)[:, None, None, None]
    bent = _waves(person, population, x) + _widening(person, population, x)
    steepest = max(float(np.abs(np.diff(bent, axis=a)).sum(0).max()) / SPACING for a in (1, 2, 3))
    bent *= min(1.0, STEEPEST / max(steepest, 1e-9))
    moved = (x - centre) * (1 / scale[:, None, None, None] - 1) + bent
    return Warp(moved.astype(np.float32), origin, SPACING)


def _waves(person: Person, population: Population, x: np.ndarray) -> np.ndarray:
    """Sum seeded plane waves at x, (3, …) mm; nothing for the template itself."""
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


def _widening(person: Person, population: Population, x: np.ndarray) -> np.ndarray:
    """Sum the displacements at x, (3, …) mm, that contract the template towards each point, on both sides."""
    total = np.zeros_like(x)
    for name, law in population.widened.items():
        for point in law.points:
            for side in {-1, 1} if point[0] else {1}:
                offset = x - (np.array(point) * (side, 1, 1))[:, None, None, None]
                total -= person.widened[name] * offset * np.exp(-(offset**2).sum(0) / (2 * law.radius**2))
    return total
