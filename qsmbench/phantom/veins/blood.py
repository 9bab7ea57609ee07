"""What the YAML of a head's veins may say, and the blood in them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, PositiveFloat, model_validator

from qsmbench.errors import QsmbenchError
from qsmbench.phantom.description import geometry as g
from qsmbench.phantom.description import models as d
from qsmbench.phantom.description.tissues import Tissue, blood_chi, blood_r2star, split
from qsmbench.phantom.properties import CHANNELS
from qsmbench.phantom.veins.growth import SIDES, Branch
from qsmbench.typed_yaml import Model, load_yaml

SINUS = "sinus"
"""Region of the veins that hold what both sides drain."""


class Trunk(Model):
    """A placed vein, its `points` x, y, z, radius [mm] in the direction of flow, or the points of a named tube.

    `into` names the trunk that it joins, at the point nearest to its end.
    """

    name: str
    region: str = "vein"
    points: tuple[tuple[float, float, float, PositiveFloat], ...] = ()
    tube: str | None = None
    into: str | None = None
    mirror: bool = False


class Growth(Model):
    """A kind of vein that grows; see `growth.Stage` for lengths [mm]."""

    name: str
    region: str = "vein"
    into: tuple[str, ...]
    through: g.Shape
    ends: g.Shape | None = None  # default: as through
    spacing: PositiveFloat
    apart: PositiveFloat
    reach: tuple[float, float]
    radius: PositiveFloat
    lean: g.Point = (0, 0, 0)
    wander: Annotated[float, Field(ge=0)] = 0
    smooth: Annotated[int, Field(ge=0)] = 8

    @model_validator(mode="after")
    def _possible(self) -> Growth:
        if np.linalg.norm(self.lean) >= 1:
            raise ValueError("lean must be shorter than 1")
        if not 0 <= self.reach[0] < self.reach[1]:
            raise ValueError("reach must be a shortest and a longest way")
        return self


class Veins(Model):
    """Trunks, each after the one that it joins; shapes beside the phantom's own; growths in turn."""

    trunks: Annotated[tuple[Trunk, ...], Field(min_length=1)]
    shapes: dict[str, g.Shape] = Field({})
    growths: tuple[Growth, ...] = ()

    @property
    def regions(self) -> dict[str, str]:
        """Region by the vein's name."""
        trunks = {v.name: v.region for v in self.trunks}
        return trunks | {v.name: v.region for v in self.growths}


def read_veins(path: Path, vessels: d.Vessels) -> Veins:
    """The description of the veins.

    Raises:
        QsmbenchError: it is illegal, or a saturation is given for a vein that it does not have.
    """
    veins = load_yaml(path, Veins)
    legal = {"default", *SIDES, *veins.regions, *(f"{s} {n}" for s in SIDES for n in veins.regions)}
    for key in vessels.saturation:
        if key not in legal:
            names = ", ".join(veins.regions)
            raise QsmbenchError(f"{path}: vein {key!r} has a saturation but is unknown; there are {names}")
    return veins


def saturation(branch: Branch, region: str, vessels: d.Vessels) -> float:
    """Oxygen saturation of the blood in `branch`, 0–1."""
    return vessels.saturation[_key(branch.side, branch.name, region, vessels)]


def saturation_keys(region: str, veins: Veins, vessels: d.Vessels) -> list[str]:
    """The keys of `vessels.saturation` that the veins of a region look up, whichever sides they grow on."""
    names = [name for name, its in veins.regions.items() if its == region]
    return list(dict.fromkeys(_key(side, name, region, vessels) for name in names for side in SIDES))


def _key(side: str, name: str, region: str, vessels: d.Vessels) -> str:
    keys = [f"{side} {name}", name, "default"]
    if region != SINUS:
        keys.insert(2, side)
    return next(key for key in keys if key in vessels.saturation)


def blood(tissue: Tissue, b0: float, hct: float, oxygenation: float) -> np.ndarray:
    """The table's venous blood at another haematocrit and oxygenation, (7,) in the order of `CHANNELS`.

    R2* follows Zhao's law at 3 T; at other fields it keeps its proportion to the table [assumed].
    """
    table = tissue.curves["r2star"]
    fields, values = zip(*table, strict=True)
    share = np.interp(b0, fields, values) / np.interp(3.0, fields, values)
    para, dia = split(blood_chi(hct, oxygenation))
    own = {"chi_para": para, "chi_dia": dia, "r2star": blood_r2star(hct, oxygenation) * float(share)}
    known = {**dict(zip(CHANNELS, tissue.values(b0), strict=True)), **own}
    return np.array([known[c] for c in CHANNELS])
