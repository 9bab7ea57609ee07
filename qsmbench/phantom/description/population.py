"""How people differ: the keys of a population's YAML.

Nothing here knows of anatomy: which parts are widened, which parameters of the phantom, which tissues and which sources
change, and by what, is the YAML's.
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
    """Years: of the template, of people who are drawn, and of people whose age the user may choose."""

    reference: PositiveFloat
    range: tuple[PositiveFloat, PositiveFloat]
    allowed: tuple[PositiveFloat, PositiveFloat]


class Octave(Model):
    """Displacements of one scale, mm."""

    rms: NonNegativeFloat
    wavelength: PositiveFloat


class Drift(Model):
    """A change per year after the reference age, and its standard deviation between people."""

    per_year: float = 0
    scatter: NonNegativeFloat = 0


class Widening(Drift):
    """The share, within `limits`, by which the anatomy within about `radius` [mm] of some points is widened.

    The points are of the template [mm]; those beside the midline stand for their mirror images, too.
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
    """Tissues whose property rises in youth, and falls after the reference age.

    `young` is the share that is missing at birth, which falls to 1/e in some `years`; `per_year` is lost afterwards.
    """

    curve: Literal["maturation"]
    tissues: tuple[str, ...]
    young: Share
    years: PositiveFloat
    per_year: NonNegativeFloat
    source: str = ""

    def at(self, age: float, reference: float) -> float:
        """Return the property at `age` [years], relative to what it would rise to."""
        return (1 - self.young * np.exp(-age / self.years)) * (1 - self.per_year * max(age - reference, 0))


class Loss(Model):
    """Tissues that lose a share per year of what they have, after some age."""

    tissues: tuple[str, ...]
    after: PositiveFloat
    per_year: NonNegativeFloat

    def left(self, age: float) -> float:
        """Return the share that is left at `age` [years]."""
        return max(1 - self.per_year * max(age - self.after, 0), 0)


class Composition(Model):
    """A factor of some properties of tissues: as its curves go with age, relative to the reference age.

    Its logarithm has the standard deviation `scatter`, drawn for each curve; half of the variance is common to all of a
    person's tissues if `shared`.
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
    """A source that people have from some age on, half of them at `half_at` [years].

    Its `dose` is the key of the `source` that holds how much of it there is: `amount` at that age, `per_year` more
    afterwards, with a standard deviation of its logarithm of `scatter`.
    """

    source: dict[str, Any]
    dose: str
    half_at: PositiveFloat
    amount: PositiveFloat
    per_year: NonNegativeFloat = 0
    scatter: NonNegativeFloat = 0

    def chance(self, age: float) -> float:
        """Return the share of people of `age` [years] who have it."""
        return 1 - 2 ** -((age / self.half_at) ** 3)

    def mean(self, age: float) -> float:
        """Return the dose of those who have it at `age` [years]."""
        return self.amount + self.per_year * max(age - self.half_at, 0)


class Population(Model):
    """How people differ; see `phantoms/head/population.yaml`.

    A mapping's order is that of the draws: to add an entry at its end leaves what was drawn for the others.
    """

    age: Ages
    size: NonNegativeFloat = 0
    proportions: NonNegativeFloat = 0
    shape: tuple[Octave, ...] = ()
    widened: dict[str, Widening] = Field({}, description="by a name of its own")
    parameters: dict[str, Drift] = Field({}, description="what is added to a parameter of the phantom")
    blood: Blood | None = None
    tissues: dict[str, Composition] = Field({}, description="by what the tissues hold, such as iron")
    sources: dict[str, Appearance] = Field({}, description="by the name of the region that it makes")


@cache
def read_population(path: Path) -> Population:
    """Read the population in a file.

    Raises:
        QsmbenchError: it is missing, or a key or value is invalid.
    """
    return load_yaml(path, Population)
