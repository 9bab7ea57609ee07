"""The keys of the YAML of a phantom's veins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, PositiveFloat, model_validator

from qsmbench.errors import QsmbenchError
from qsmbench.phantom.description.expressions import substitute
from qsmbench.phantom.description.geometry import Point, Shape
from qsmbench.phantom.description.models import VENOUS, Vessels
from qsmbench.typed_yaml import Model, check, read_yaml

SIDES = ("left", "middle", "right")
"""Possible sides of a vein."""


class Trunk(Model):
    """A vein placed by hand: its `points` x, y, z, radius [mm] in the direction of flow, or those of a named tube.

    `into` is the trunk that it joins, at the point nearest to its end. `tissue` is that of its blood in the table,
    which determines everything but χ and R2*.
    """

    name: str
    region: str = "vein"
    tissue: str = VENOUS
    points: tuple[tuple[float, float, float, PositiveFloat], ...] = ()
    tube: str | None = None
    into: str | None = None
    by: Point = Field((0, 0, 0), description="displacement of the points, mm")
    mirror: bool = False


class Growth(Model):
    """A kind of generated vein; see `growth.Stage` for lengths [mm]."""

    name: str
    region: str = "vein"
    tissue: str = VENOUS
    into: tuple[str, ...]
    through: Shape
    ends: Shape | None = None  # default: as through
    spacing: PositiveFloat
    apart: PositiveFloat
    reach: tuple[float, float]
    radius: PositiveFloat
    lean: Point = (0, 0, 0)
    wander: Annotated[float, Field(ge=0)] = 0
    smooth: Annotated[int, Field(ge=0)] = 8

    @model_validator(mode="after")
    def _possible(self) -> Growth:
        if np.linalg.norm(self.lean) >= 1:
            raise ValueError("lean must have a length below 1")
        if not 0 <= self.reach[0] < self.reach[1]:
            raise ValueError("reach must be the shortest and the longest distance")
        return self


class Veins(Model):
    """Trunks, each after the one that it joins; additional shapes; growths in order."""

    trunks: Annotated[tuple[Trunk, ...], Field(min_length=1)]
    shapes: dict[str, Shape] = Field({})
    growths: tuple[Growth, ...] = ()

    @property
    def regions(self) -> dict[str, str]:
        """Region by the vein's name."""
        trunks = {v.name: v.region for v in self.trunks}
        return trunks | {v.name: v.region for v in self.growths}

    @property
    def tissues(self) -> dict[str, str]:
        """Tissue by the vein's name, and by region."""
        vessels: list[Trunk | Growth] = [*self.trunks, *self.growths]
        return {v.region: v.tissue for v in vessels} | {v.name: v.tissue for v in vessels}


def read_veins(path: Path, vessels: Vessels, parameters: Mapping[str, float]) -> Veins:
    """Read the description of the veins; it may contain expressions of the phantom's `parameters`.

    Raises:
        QsmbenchError: it is invalid, or a saturation is given for an unknown vein.
    """
    content = read_yaml(path)
    try:
        content = substitute(content, parameters)
    except ValueError as e:
        raise QsmbenchError(f"{path}: {e}") from e
    veins = check(content, Veins, str(path))
    legal = {
        "default",
        *SIDES,
        *veins.regions,
        *veins.regions.values(),
        *(f"{s} {n}" for s in SIDES for n in veins.regions),
    }
    for key in vessels.saturation:
        if key not in legal:
            names = ", ".join(dict.fromkeys((*veins.regions, *veins.regions.values())))
            raise QsmbenchError(f"{path}: saturation of unknown vein {key!r}; choose from {names}")
    return veins
