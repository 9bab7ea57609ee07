"""Differences between subjects: the keys of a population's YAML.

The code contains no anatomy: the YAML defines which parts, parameters of the phantom, tissues and sources change, and
by how much.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, NonNegativeFloat, PositiveFloat, field_validator

from qsmbench.phantom.description.geometry import Point, Share
from qsmbench.phantom.description.tissues import ORIENTED
from qsmbench.phantom.species import CHANNELS
from qsmbench.typed_yaml import Model, load_yaml


class Ages(Model):
    """Ages in years: of the template, of randomly drawn subjects, and the range that the user may choose."""

    reference: PositiveFloat
    range: tuple[PositiveFloat, PositiveFloat]
    allowed: tuple[PositiveFloat, PositiveFloat]


class Octave(Model):
    """Displacements of one scale, mm."""

    rms: NonNegativeFloat
    wavelength: PositiveFloat


class Drift(Model):
    """A change per year after the reference age, and its standard deviation between subjects."""

    per_year: float = 0
    scatter: NonNegativeFloat = 0


class Normal(Model):
    """A normal distribution, cut at `limits`."""

    law: Literal["normal"]
    mean: float
    sd: NonNegativeFloat
    limits: tuple[float, float]
    source: str = ""

    def at(self, normal: float, rank: float) -> float:
        """Return the value for a standard normal number and a number that is uniform from 0 to 1."""
        return float(np.clip(self.mean + self.sd * normal, *self.limits))


class LogNormal(Model):
    """A distribution whose logarithm is normal with the standard deviation `scatter`, cut at `limits`."""

    law: Literal["lognormal"]
    median: PositiveFloat
    scatter: NonNegativeFloat
    limits: tuple[float, float]
    source: str = ""

    def at(self, normal: float, rank: float) -> float:
        """Return the value; see `Normal.at`."""
        return float(np.clip(self.median * np.exp(self.scatter * normal), *self.limits))


class Uniform(Model):
    """A uniform distribution over a `range`."""

    law: Literal["uniform"]
    range: tuple[float, float]
    source: str = ""

    def at(self, normal: float, rank: float) -> float:
        """Return the value; see `Normal.at`."""
        return float(self.range[0] + rank * (self.range[1] - self.range[0]))


class Chance(Model):
    """1 with a probability, and 0 otherwise."""

    law: Literal["chance"]
    of_one: Share
    source: str = ""

    def at(self, normal: float, rank: float) -> float:
        """Return the value; see `Normal.at`."""
        return float(rank < self.of_one)


Law = Annotated[Normal | LogNormal | Uniform | Chance, Field(discriminator="law")]


class Widening(Drift):
    """The fraction, within `limits`, by which the anatomy within about `radius` [mm] of some points is widened.

    The points are in template space [mm]; those off the midline are mirrored.
    """

    limits: tuple[float, float]
    points: tuple[Point, ...]
    radius: PositiveFloat


class Constant(Model):
    """Tissues whose property does not depend on age."""

    curve: Literal["constant"]
    tissues: tuple[str, ...]
    source: str = ""

    def at(self, age: float, reference: float) -> float:
        """Return the property, relative to itself."""
        return 1.0


class Saturation(Model):
    """Tissues whose property is amplitude·(1 − exp(−rate·age)) + offset, in any unit."""

    curve: Literal["saturation"]
    tissues: tuple[str, ...]
    amplitude: PositiveFloat
    rate: PositiveFloat
    offset: NonNegativeFloat
    source: str = ""

    def at(self, age: float, reference: float) -> float:
        """Return the property at `age` [years]."""
        return self.amplitude * (1 - np.exp(-self.rate * age)) + self.offset


class Maturation(Model):
    """Tissues whose property increases in youth, and decreases after the reference age.

    `young` is the fraction missing at birth, which decreases to 1/e in `years`; `per_year` is lost afterwards.
    """

    curve: Literal["maturation"]
    tissues: tuple[str, ...]
    young: Share
    years: PositiveFloat
    per_year: NonNegativeFloat
    source: str = ""

    def at(self, age: float, reference: float) -> float:
        """Return the property at `age` [years], relative to its asymptote."""
        return (1 - self.young * np.exp(-age / self.years)) * (1 - self.per_year * max(age - reference, 0))


class Loss(Model):
    """Tissues that lose a fraction per year after some age."""

    tissues: tuple[str, ...]
    after: PositiveFloat
    per_year: NonNegativeFloat

    def left(self, age: float) -> float:
        """Return the remaining fraction at `age` [years]."""
        return max(1 - self.per_year * max(age - self.after, 0), 0)


class Composition(Model):
    """A factor of some properties of tissues, given by curves over age, relative to the reference age.

    Its logarithm has the standard deviation `scatter`, drawn for each curve; if `shared`, half of the variance is
    common to all tissues of a subject.
    """

    changes: tuple[str, ...]
    scatter: NonNegativeFloat = 0
    shared: bool = False
    curves: tuple[Annotated[Constant | Saturation | Maturation, Field(discriminator="curve")], ...]
    losses: tuple[Loss, ...] = ()

    @field_validator("changes")
    @classmethod
    def _known(cls, changes: tuple[str, ...]) -> tuple[str, ...]:
        legal = (*CHANNELS, *ORIENTED)
        for name in changes:
            if name not in legal:
                raise ValueError(f"there is no property {name!r}; choose from {', '.join(legal)}")
        return changes


class Blood(Model):
    """Standard deviations of haematocrit and of the veins' oxygen saturation, 0–1."""

    hct: Share
    saturation: Share


class Appearance(Model):
    """A source that appears with age, in half of the subjects by `half_at` [years].

    `dose` is the key of the `source` with its amount: `amount` at that age, `per_year` more afterwards, with the
    standard deviation `scatter` of the logarithm.
    """

    source: dict[str, Any]
    dose: str
    half_at: PositiveFloat
    amount: PositiveFloat
    per_year: NonNegativeFloat = 0
    scatter: NonNegativeFloat = 0

    def chance(self, age: float) -> float:
        """Return the fraction of subjects of `age` [years] who have it."""
        return 1 - 2 ** -((age / self.half_at) ** 3)

    def mean(self, age: float) -> float:
        """Return the mean dose at `age` [years] in subjects who have it."""
        return self.amount + self.per_year * max(age - self.half_at, 0)


class Population(Model):
    """Differences between subjects; see `phantoms/head/population.yaml`.

    Random numbers are drawn in the order of each mapping, so that entries added at the end do not change earlier ones.
    """

    age: Ages
    size: NonNegativeFloat = 0
    proportions: NonNegativeFloat = 0
    shape: tuple[Octave, ...] = ()
    widened: dict[str, Widening] = Field({}, description="by a name of its own")
    parameters: dict[str, Drift] = Field({}, description="what is added to a parameter of the phantom")
    drawn: dict[str, Law] = Field({}, description="what a parameter of the phantom is in a subject other than 0")
    blood: Blood | None = None
    tissues: dict[str, Composition] = Field({}, description="by what the tissues hold, such as iron")
    sources: dict[str, Appearance] = Field({}, description="by the name of the region that it makes")

    @classmethod
    def none(cls) -> Population:
        """Return a population without differences between subjects."""
        return cls(age=Ages(reference=30, range=(30, 30), allowed=(1, 100)))


@cache
def read_population(path: Path) -> Population:
    """Read the population in a file.

    Raises:
        QsmbenchError: it is missing, or a key or value is invalid.
    """
    return load_yaml(path, Population)
