"""Differences between subjects: the keys of a population's YAML.

The code contains no anatomy: the YAML defines which parts, parameters of the phantom, tissues and sources change, and
by how much.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, NonNegativeFloat, PositiveFloat, field_validator, model_validator

from qsmbench.errors import QsmbenchError, suggest
from qsmbench.phantom.description.files import locate
from qsmbench.phantom.description.geometry import Share
from qsmbench.phantom.description.norms import SEXES, Sex, read_norms
from qsmbench.phantom.description.tissues import ORIENTED
from qsmbench.phantom.species import STATED
from qsmbench.typed_yaml import Model, load_yaml


class Ages(Model):
    """Ages in years: of the template, of randomly drawn subjects, and the range that the user may choose."""

    reference: PositiveFloat
    range: tuple[PositiveFloat, PositiveFloat]
    allowed: tuple[PositiveFloat, PositiveFloat]


def _between(listed: dict[float, float], age: float) -> float:
    """Return the value at an age, with straight lines between the listed years, and constant beyond them."""
    years = sorted(listed)
    return float(np.interp(age, years, [listed[y] for y in years]))


class Octave(Model):
    """Displacements of one scale, mm."""

    rms: NonNegativeFloat
    wavelength: PositiveFloat


class Drift(Model):
    """A change with age, and its standard deviation between subjects.

    It is `per_year` after the reference age, plus what `ages` says, by years, with straight lines between them. `times`
    gives a factor in place of both, also by years; then `scatter` is that of its logarithm.
    """

    per_year: float = 0
    ages: dict[PositiveFloat, float] = Field({})
    times: dict[PositiveFloat, PositiveFloat] = Field({})
    scatter: NonNegativeFloat = 0

    @model_validator(mode="after")
    def _one_way(self) -> Drift:
        if self.times and (self.ages or self.per_year):
            raise ValueError("give either times, or per_year and ages")
        return self

    def at(self, age: float, reference: float) -> float:
        """Return the mean change at `age` [years], what is added."""
        return self.per_year * max(age - reference, 0) + (_between(self.ages, age) if self.ages else 0.0)

    def changed(self, value: float, age: float, reference: float, normal: float) -> float:
        """Return a value as changed at `age` [years], with a deviation of `normal` standard deviations."""
        if self.times:
            return value * _between(self.times, age) * float(np.exp(self.scatter * normal))
        return value + self.at(age, reference) + self.scatter * normal


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


class OfSex(Model):
    """A value for each sex; half-way between them in a person without one."""

    law: Literal["sex"]
    female: float = 1
    male: float = 0
    source: str = ""

    def of(self, sex: Sex | None) -> float:
        """Return the value of a person."""
        return (self.female + self.male) / 2 if sex is None else {"female": self.female, "male": self.male}[sex]


Law = Annotated[Normal | LogNormal | Uniform | OfSex, Field(discriminator="law")]


class Part(Model):
    """A part of the body with a volume of its own: the regions of the phantom that it consists of, and its norm.

    `asymmetry` is the mean and the standard deviation of 2(L − R)/(L + R) of a part on both sides; without it, the part
    is not divided into sides. The norm is that of a `share` of the part, such as its middle.
    """

    norm: str
    regions: tuple[str, ...]
    share: Annotated[float, Field(gt=0, le=1)] = 1
    asymmetry: tuple[float, NonNegativeFloat] | None = None


class Volumes(Model):
    """Volumes of the head and its parts, from a table of norms.

    `whole` is the norm of the phantom's mask. The deviation of a part's logarithm is that of the whole plus one of its
    own, so that both make up the norm's standard deviation; its own is at least `own`.
    """

    norms: str = Field(description="CSV with the norms")
    whole: str
    own: NonNegativeFloat = 0
    parts: dict[str, Part] = Field({})


class Curve(Model):
    """Tissues whose property follows the same curve over age; `scatter` replaces that of their composition."""

    tissues: tuple[str, ...]
    scatter: NonNegativeFloat | None = None
    source: str = ""


class Constant(Curve):
    """Tissues whose property does not depend on age."""

    curve: Literal["constant"]

    def at(self, age: float, reference: float) -> float:
        """Return the property, relative to itself."""
        return 1.0


class Points(Curve):
    """Tissues whose property is given by years, in any unit, with straight lines between them."""

    curve: Literal["points"]
    ages: Annotated[dict[PositiveFloat, PositiveFloat], Field(min_length=1)]

    def at(self, age: float, reference: float) -> float:
        """Return the property at `age` [years]."""
        return _between(self.ages, age)


class Saturation(Curve):
    """Tissues whose property is amplitude·(1 − exp(−rate·age)) + offset, in any unit."""

    curve: Literal["saturation"]
    amplitude: PositiveFloat
    rate: PositiveFloat
    offset: NonNegativeFloat

    def at(self, age: float, reference: float) -> float:
        """Return the property at `age` [years]."""
        return self.amplitude * (1 - np.exp(-self.rate * age)) + self.offset


class Maturation(Curve):
    """Tissues whose property increases in youth, and decreases after some age.

    `young` is the fraction missing at birth, which decreases to 1/e in `years`; `per_year` is lost after the age
    `until`.
    """

    curve: Literal["maturation"]
    young: Share
    years: PositiveFloat
    until: PositiveFloat
    per_year: NonNegativeFloat

    def at(self, age: float, reference: float) -> float:
        """Return the property at `age` [years], relative to its asymptote."""
        return (1 - self.young * np.exp(-age / self.years)) * (1 - self.per_year * max(age - self.until, 0))


class Composition(Model):
    """A factor of some properties of tissues, given by curves over age, relative to the reference age.

    Its logarithm has the standard deviation `scatter`, drawn for each curve; if `shared`, half of the variance is
    common to all tissues of a subject. With `scatter_age` [years], the scatter is that of this age, and grows with the
    root of age.
    """

    changes: tuple[str, ...]
    scatter: NonNegativeFloat = 0
    scatter_age: PositiveFloat | None = None
    shared: bool = False
    curves: tuple[Annotated[Constant | Points | Saturation | Maturation, Field(discriminator="curve")], ...]

    def deviation(self, curve: Curve, age: float) -> float:
        """Return the standard deviation of the logarithm of a curve's tissues at `age` [years]."""
        scatter = self.scatter if curve.scatter is None else curve.scatter
        return scatter * (1.0 if self.scatter_age is None else np.sqrt(age / self.scatter_age))

    @field_validator("changes")
    @classmethod
    def _known(cls, changes: tuple[str, ...]) -> tuple[str, ...]:
        legal = (*STATED, *ORIENTED)
        for name in changes:
            if name not in legal:
                raise ValueError(f"there is no property {name!r}; choose from {', '.join(legal)}")
        return changes


class Haematocrit(Model):
    """Haematocrit by years, with straight lines between them, and its standard deviation between subjects, 0–1."""

    female: Annotated[dict[PositiveFloat, Share], Field(min_length=1)]
    male: Annotated[dict[PositiveFloat, Share], Field(min_length=1)]
    scatter: Share = 0

    def at(self, age: float, sex: Sex | None = None) -> float:
        """Return the mean at `age` [years]; without a sex, that of both."""
        return float(np.mean([_between(getattr(self, s), age) for s in ((sex,) if sex else SEXES)]))


class Blood(Model):
    """Haematocrit, and how the veins' oxygen saturation changes with age and between subjects, 0–1.

    The difference of the haematocrit from the mean of both sexes at the reference age is added to the phantom's.
    """

    hct: Haematocrit
    saturation: Drift = Drift()


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
    volumes: Volumes | None = None
    parameters: dict[str, Drift] = Field({}, description="change of a parameter of the phantom")
    drawn: dict[str, Law] = Field({}, description="what a parameter of the phantom is in a subject other than 0")
    blood: Blood | None = None
    dr: NonNegativeFloat = Field(0, description="sd of the logarithm of the relaxivity of susceptibility")
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
    population = load_yaml(path, Population)
    if (volumes := population.volumes) is None:
        return population
    file = locate(volumes.norms, path.parent)
    known = read_norms(file).sds
    for norm in (volumes.whole, *(part.norm for part in volumes.parts.values())):
        if norm not in known:
            raise QsmbenchError(f"{path}: there is no norm {norm!r} in {file}; {suggest(norm, list(known))}")
    return population.model_copy(update={"volumes": volumes.model_copy(update={"norms": str(file)})})
