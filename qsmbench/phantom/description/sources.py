"""Susceptibility sources that can be added to an object: iron, calcium, blood, fat, gadolinium, myelin, oxygen.

Each has a dose in its own unit and a location; `phantoms/sources.csv` defines the effect of a dose. Sources do not
depend on the anatomy of a head.
"""

from __future__ import annotations

import csv
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from qsmbench.errors import QsmbenchError
from qsmbench.paths import data_dir
from qsmbench.phantom.description.geometry import Point, Shape, Share, Sizes
from qsmbench.phantom.description.tissues import Origin, Tissue, r2_prime
from qsmbench.phantom.species import CHI, STATED, in_order
from qsmbench.seeds import generator
from qsmbench.typed_yaml import Model

Side = Literal["left", "right"]


@dataclass(frozen=True)
class Constant:
    """A number of `phantoms/sources.csv`, in its unit, and its source."""

    value: float
    unit: str
    origin: Origin


@cache
def constant_table() -> dict[str, Constant]:
    """Read the rows of `phantoms/sources.csv`, by name.

    Raises:
        QsmbenchError: the file is missing.
    """
    path = data_dir() / "phantoms" / "sources.csv"
    if not path.is_file():
        raise QsmbenchError(f"{path}: no such file; the table of source strengths is required")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    origins = [Origin(row["source"], row["assumed"] == "yes", "table") for row in rows]
    return {
        row["quantity"]: Constant(float(row["value"]), row["unit"], origin)
        for row, origin in zip(rows, origins, strict=True)
    }


@cache
def constants() -> dict[str, float]:
    """Return the numbers alone; see `constant_table`."""
    return {name: constant.value for name, constant in constant_table().items()}


DOSES = {"dose": "µg/g", "lic": "mg/g dry", "chi": "ppm", "density": "mg/ml", "hu": "HU", "concentration": "mmol/l"}
"""Unit of each dose that has one."""


class Placed(Model):
    """Location of a source: a `region`, `at` a point, scattered `in` regions, or a `shape`."""

    region: str | None = Field(
        None, description="name of a region: all of it, or the part that side and gradient select"
    )
    side: Side | None = Field(None, description="the patient's left or right only")
    gradient: Point | None = Field(
        None, description="direction in which the dose increases across the region, from 0 to its full value"
    )
    at: Point | None = Field(None, description="centre in the space of the template, mm")
    radii: PositiveFloat | Sizes | None = Field(None, description="one radius or three semi-axes about at, mm")
    rotate: Point = Field((0, 0, 0), description="rotation about x, then y, then z, degrees")
    in_: str | tuple[str, ...] | None = Field(None, alias="in", description="regions to scatter in")
    count: PositiveInt = Field(1, description="number of lesions scattered in the regions of in")
    fewer: bool = Field(False, description="scatter fewer than count where the regions have no space for all")
    diameter: PositiveFloat | tuple[PositiveFloat, PositiveFloat] | None = Field(
        None, description="diameter of the scattered lesions; two numbers give a range, mm"
    )
    shape: Shape | None = Field(None, description="any shape of the phantoms, mm")
    irregular: Annotated[float, Field(ge=0, le=0.3)] = Field(
        0, description="roughness of the surface: rms height of its waves over the radius"
    )
    shell: PositiveFloat | None = Field(None, description="fill only a rim of this thickness, mm")
    seed: Annotated[int, Field(ge=0)] = Field(0, description="seed of the locations and of irregular surfaces")
    name: str | None = Field(
        None, description="label the source as a region of this name, which is scored; null: no region"
    )

    @model_validator(mode="after")
    def _one_place(self) -> Placed:
        stated = [n for n in ("region", "at", "in_", "shape") if getattr(self, n) is not None]
        if len(stated) != 1:
            raise ValueError("give one of region, at, in, shape")
        for key, needed in (("at", "radii"), ("in_", "diameter")):
            if (getattr(self, key) is None) != (getattr(self, needed) is None):
                raise ValueError(f"{key.strip('_')} and {needed} must be given together")
        if self.gradient is not None and (self.region is None or not any(self.gradient)):
            raise ValueError("gradient needs a region and a direction other than 0, 0, 0")
        if self.side is not None and (self.at is not None or self.shape is not None):
            raise ValueError("side needs region or in")
        return self

    @property
    def doses(self) -> dict[str, float | str]:
        """Dose as given in the description: key → number or word."""
        stated = self.model_dump(include=self.model_fields_set)
        return {key: value for key, value in stated.items() if key not in {*Placed.model_fields, "source", "stores"}}


Uses = dict[str, tuple[str, ...]]
"""Each property that a source sets or changes, and the constants that it depends on in addition to the dose."""


class Factors(NamedTuple):
    """Factors by which a source multiplies the properties of a tissue."""

    chi_para: float = 1
    chi_dia: float = 1
    pd: float = 1
    r1: float = 1
    r2: float = 1


class Amounts(NamedTuple):
    """Amounts that a source adds to the properties of a tissue: ppm, ppm, 1/s, 1/s."""

    chi_para: float = 0
    chi_dia: float = 0
    r1: float = 0
    r2: float = 0


class Effect(NamedTuple):
    """Effect of a source on the tissue at its location; see `affect`.

    Attributes:
        relaxivity: increase of R2* − R2 with χ+ and χ−, 1/s/ppm.
        factors: that multiply the tissue's properties.
        amounts: added to them.
    """

    relaxivity: float
    factors: Factors = Factors()
    amounts: Amounts = Amounts()


class Iron(Placed):
    """Ferritin and haemosiderin, added to the tissue (removed if negative).

    Give a `dose` [µg Fe per g wet tissue], its χ+ as `chi` [ppm], or the relative `change` of χ+, such as 1.5 for 2.5
    times the tissue's χ+; or `lic`, the whole iron of the liver [mg Fe per g dry tissue]: what exceeds the usual
    concentration, which the tissue has, is added. With `stores: liver`, which `lic` implies, χ and R2* per iron are
    those of the liver, not the brain.
    """

    source: Literal["iron"]
    lic: Annotated[float, Field(ge=0)] | None = Field(
        None, description="all iron of the liver, mg Fe per g of dry tissue"
    )
    stores: Literal["brain", "liver"] = Field("brain", description="organ whose χ and R2* per iron apply")
    dose: float | None = Field(None, description="iron added, µg Fe per g of wet tissue")
    chi: float | None = Field(None, description="χ+ that the added iron causes")
    change: Annotated[float, Field(ge=-1, le=20)] | None = Field(None, description="relative change of χ+")

    @model_validator(mode="after")
    def _possible(self) -> Iron:
        if sum(v is not None for v in (self.dose, self.chi, self.change, self.lic)) != 1:
            raise ValueError("give one of dose [µg/g], chi [ppm], change [of χ+], lic [mg/g dry]")
        if self.lic is not None and self.lic > (most := constants()["liver_iron.most"]):
            raise ValueError(f"lic is {self.lic:g} mg/g, which is out of range; it must be at most {most:.0f}")
        if self._in_liver and self._dose() <= constants()["liver_iron.most"] * 1000 / constants()["liver_iron.wet"]:
            return self
        if abs(self._dose()) > (most := constants()["iron.most"]):
            raise ValueError(f"{self._dose():.0f} µg Fe/g is out of range; it must be from −{most:.0f} to {most:.0f}")
        return self

    @property
    def _in_liver(self) -> bool:
        return self.lic is not None or self.stores == "liver"

    def _dose(self) -> float:
        """Return the iron, µg per g of wet tissue; 0 for a relative change."""
        known = constants()
        if self.lic is not None:
            return 1000 * (self.lic - known["liver_iron.usual"]) / known["liver_iron.wet"]
        return self.dose if self.dose is not None else (self.chi or 0) / known[f"{self._table}.chi"]

    @property
    def _table(self) -> str:
        return "liver_iron" if self._in_liver else "iron"

    def effect(self, b0: float, dr: float) -> Effect:
        """Return its effect: χ+ and R2′ increase with the dose, R1 slightly; a relative change does not affect R1.

        In the liver, the slope of R2′ is that of R2* over iron at 1.5 and 3 T, and linear in B0.
        """
        if self._in_liver:
            return self._effect_in_liver(b0)
        chi, r1 = self._dose() * constants()["iron.chi"], self._dose() * constants()["iron.r1"]
        para = 1 + (self.change or 0)
        return Effect(r2_prime(1, b0, dr), Factors(chi_para=para), Amounts(chi_para=chi, r1=r1))

    def _effect_in_liver(self, b0: float) -> Effect:
        known = constants()
        chi, r1 = (self._dose() * known[f"liver_iron.{part}"] for part in ("chi", "r1"))
        per_chi = 1000 / known["liver_iron.wet"] * known["liver_iron.chi"]  # ppm per mg/g dry
        low, high = known["liver_iron.r2star_1.5"], known["liver_iron.r2star_3"]
        slope = max(low + (high - low) * (b0 - 1.5) / 1.5, 0)
        para = 1 + (self.change or 0)
        return Effect(slope / per_chi, Factors(chi_para=para), Amounts(chi_para=chi, r1=r1))

    def uses(self) -> Uses:
        """Return its `Uses`; a dose given as χ uses the χ of iron only to compute R1."""
        if self._in_liver:
            slopes = ("liver_iron.r2star_1.5", "liver_iron.r2star_3", "liver_iron.chi", "liver_iron.wet")
            dose = ("liver_iron.wet", "liver_iron.usual") if self.lic is not None else ()
            chi = () if self.chi is not None or self.change is not None else ("liver_iron.chi", *dose)
            return {"chi": chi, "r2star": slopes, "t1": ("liver_iron.r1", *dose)}
        known = () if self.dose is None else ("iron.chi",)
        r1: Uses = {} if self.change is not None else {"t1": ("iron.chi", "iron.r1") if self.chi else ("iron.r1",)}
        return {"chi": known, "r2star": known, **r1}


def liver_iron(sources: Iterable[Iron]) -> float:
    """Return the iron of a liver with the usual concentration and these sources, mg/g dry."""
    known = constants()
    return known["liver_iron.usual"] + sum(s._dose() for s in sources) * known["liver_iron.wet"] / 1000


class Calcification(Placed):
    """Hydroxyapatite: its `density` [mg/ml], or its CT number `hu` [HU]."""

    source: Literal["calcification"]
    density: PositiveFloat | None = Field(None, description="hydroxyapatite per volume")
    hu: PositiveFloat | None = Field(None, description="CT number of the hydroxyapatite")

    @model_validator(mode="after")
    def _possible(self) -> Calcification:
        if (self.density is None) == (self.hu is None):
            raise ValueError("give either density [mg/ml] or hu [HU]")
        if self.mg_per_ml > (most := constants()["calcification.most"]):
            raise ValueError(f"{self.mg_per_ml:.0f} mg/ml is denser than hydroxyapatite; it must be at most {most:.0f}")
        return self

    @property
    def mg_per_ml(self) -> float:
        """The density, mg/ml."""
        return self.density if self.density is not None else (self.hu or 0) / constants()["calcification.hu"]

    def effect(self, b0: float, dr: float) -> Effect:
        """Return its effect: χ− and R2′ increase with the density, and mineral replaces water."""
        chi = self.mg_per_ml * constants()["calcification.chi"]
        water = max(1 - self.mg_per_ml / constants()["calcification.solid"], 0)
        return Effect(r2_prime(1, b0, dr), Factors(pd=water), Amounts(chi_dia=chi))

    def uses(self) -> Uses:
        """Return its `Uses`."""
        density = () if self.hu is None else ("calcification.hu",)
        chi = (*density, "calcification.chi")
        return {"chi": chi, "pd": (*density, "calcification.solid"), "r2star": chi}


class Gadolinium(Placed):
    """A chelate in solution: its `concentration` [mmol/l of tissue]."""

    source: Literal["gadolinium"]
    concentration: Annotated[float, Field(ge=0)] = Field(description="gadolinium per volume of tissue")

    @model_validator(mode="after")
    def _possible(self) -> Gadolinium:
        if self.concentration > (most := constants()["gadolinium.most"]):
            raise ValueError(f"{self.concentration:g} mmol/l is more than the undiluted agent's {most:.0f}")
        return self

    def effect(self, b0: float, dr: float) -> Effect:
        """Return its effect: χ+, R1 and R2 increase with the concentration; in solution there is no R2′."""
        known = constants()
        chi, r1, r2 = (self.concentration * known[f"gadolinium.{part}"] for part in ("chi", "r1", "r2"))
        return Effect(0, amounts=Amounts(chi_para=chi, r1=r1, r2=r2))

    def uses(self) -> Uses:
        """Return its `Uses`."""
        parts = {"chi": "chi", "t1": "r1", "r2": "r2", "r2star": "r2"}
        return {name: (f"gadolinium.{part}",) for name, part in parts.items()}


class Myelin(Placed):
    """More or less myelin: its relative `change`, from −1 (none) to 1 (twice as much)."""

    source: Literal["myelin"]
    change: Annotated[float, Field(ge=-1, le=1)] = Field(description="relative change of the myelin")

    def effect(self, b0: float, dr: float) -> Effect:
        """Return its effect: χ−, R2′, R1 and R2 increase with myelin, PD decreases."""
        known = constants()
        dia, r1, r2 = (1 + self.change * known[f"myelin.{part}"] for part in ("chi", "r1", "r2"))
        pd = 1 - self.change * known["myelin.pd"]
        return Effect(r2_prime(1, b0, dr), Factors(chi_dia=dia, pd=pd, r1=r1, r2=r2))

    def uses(self) -> Uses:
        """Return its `Uses`."""
        parts = {"chi": ("chi",), "pd": ("pd",), "t1": ("r1",), "r2": ("r2",), "r2star": ("chi", "r2")}
        return {name: tuple(f"myelin.{p}" for p in of) for name, of in parts.items()}


class Haemorrhage(Placed):
    """Blood outside vessels at one of five stages; `amount` is its volume fraction, 0–1."""

    source: Literal["haemorrhage"]
    stage: Literal["hyperacute", "acute", "early_subacute", "late_subacute", "chronic"] = Field(
        description="state of the blood"
    )
    amount: Annotated[float, Field(gt=0, le=1)] = Field(1, description="volume fraction of the blood")

    def filling(self, tissues: dict[str, Tissue], b0: float, dr: float) -> tuple[float, np.ndarray]:
        """Return its volume fraction, and its properties, (c,) in the order of `CHANNELS`.

        Args:
            tissues: by name.
            b0: T.
            dr: relaxivity of susceptibility at 3 T, 1/s/ppm.
        """
        chi, pd, t1, r2, cells = (constants()[f"{self.stage}.{p}"] for p in ("chi", "pd", "t1", "r2", "cells"))
        r2star = r2 + cells * r2_prime(chi, b0, dr)
        own = {"chi_para": chi, "chi_dia": 0, "pd": pd, "t1": t1, "r2": r2, "r2star": r2star, "fat_fraction": 0}
        return self.amount, in_order(own)

    def uses(self) -> Uses:
        """Return its `Uses`."""
        parts = {"chi": ("chi",), "pd": ("pd",), "t1": ("t1",), "r2": ("r2",), "r2star": ("chi", "r2", "cells")}
        return {name: tuple(f"{self.stage}.{p}" for p in of) for name, of in parts.items()}


class Fat(Placed):
    """Fat in place of tissue: its volume `fraction`, 0–1.

    Susceptibilities mix by volume; the tissue's water keeps its T1, R2 and R2*. Iron that is listed after it also
    increases R2* of the fat.
    """

    source: Literal["fat"]
    fraction: Annotated[float, Field(gt=0, le=1)] = Field(description="volume fraction of the fat")

    def filling(self, tissues: dict[str, Tissue], b0: float, dr: float) -> tuple[float, np.ndarray]:
        """Return its volume fraction, and the properties of the tissue `fat`, (c,) in the order of `CHANNELS`.

        Args:
            tissues: by name.
            b0: T.
            dr: relaxivity of susceptibility at 3 T, 1/s/ppm.
        """
        return self.fraction, tissues["fat"].values(b0, dr)

    def uses(self) -> Uses:
        """Return its `Uses`; it also has the values of the tissue `fat`."""
        return dict.fromkeys(("chi", *(name for name in STATED if name not in CHI)), ())


class Oxygenation(Model):
    """The blood of the object's veins: its oxygen `saturation`, or the oxygen extraction fraction `oef`.

    Select one `side`, the veins of one name (`vein`), or both; by default it applies to all veins not selected
    otherwise. It is the mean at the subject's age, to which the subject's own deviation is added.
    """

    source: Literal["oxygenation"]
    saturation: Share | None = Field(None, description="oxygen saturation of the venous blood")
    oef: Share | None = Field(None, description="oxygen extraction fraction, which gives the saturation")
    scatter: Annotated[float, Field(ge=0, le=0.3)] = Field(
        0, description="standard deviation of saturation or oef between subjects, beside that of the population"
    )
    side: Literal["left", "middle", "right"] | None = Field(None, description="veins of this side only")
    vein: str | None = Field(None, description="veins of this name only")

    @model_validator(mode="after")
    def _possible(self) -> Oxygenation:
        if (self.saturation is None) == (self.oef is None):
            raise ValueError("give either saturation or oef, both 0–1")
        return self

    @property
    def key(self) -> str:
        """The key of the phantom's `vessels.saturation` that it sets."""
        return " ".join(part for part in (self.side, self.vein) if part) or "default"

    @property
    def value(self) -> float:
        """Saturation of the venous blood, 0–1: OEF = 1 − Y/Y of the arteries."""
        return self.of(0)

    def of(self, subject: int) -> float:
        """Return the saturation of a subject's venous blood, 0–1.

        Args:
            subject: seeds the deviation by `scatter`; 0 has none.
        """
        normal = generator([subject, 5, zlib.crc32(self.key.encode())]).standard_normal() if subject else 0.0
        stated = self.saturation if self.saturation is not None else (self.oef or 0.0)
        own = float(np.clip(stated + self.scatter * normal, 0, 1))
        return own if self.saturation is not None else constants()["oxygenation.arterial"] * (1 - own)

    def uses(self) -> tuple[str, ...]:
        """Return the constants that its value depends on."""
        return () if self.oef is None else ("oxygenation.arterial",)


Added = Iron | Calcification | Gadolinium | Myelin
"""Sources that change the tissue."""

InPlace = Added | Haemorrhage | Fat
"""Sources that are painted; the last two replace the tissue."""

Source = Annotated[InPlace | Oxygenation, Field(discriminator="source")]
