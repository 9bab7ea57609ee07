"""The table of tissues: their properties at any field strength."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, PositiveFloat

from qsmbench.errors import QsmbenchError
from qsmbench.paths import data_dir
from qsmbench.phantom.description.geometry import Share
from qsmbench.phantom.species import FAT, REQUIRED, STATED, in_order
from qsmbench.typed_yaml import Model
from qsmbench.units import DR_3T, blood_chi

ORIENTED = ("delta_chi", "delta_r2star")
"""Optional properties of a tissue with fibres: ppm, 1/s at 3 T; see `anisotropy.py`."""


@dataclass(frozen=True)
class Origin:
    """The source of a value, whether it is assumed (neither published nor set by the user), and who sets it."""

    source: str
    assumed: bool
    by: Literal["table", "phantom", "scenario", "population", "user"]


@dataclass(frozen=True)
class Tissue:
    """A material.

    Attributes:
        name: as in the table.
        group: group in regional scores, such as `dgm`; may be empty.
        curves: property of `STATED` or `ORIENTED` → ((B0 [T], value), …); one pair if it does not depend on B0.
            `r2star`, `fat_r2star` and those of `ORIENTED` may be absent.
        origins: property → origin of each value of its curve.
    """

    name: str
    group: str
    curves: dict[str, tuple[tuple[float, float], ...]]
    origins: dict[str, tuple[Origin, ...]]

    def values(self, b0: float, dr: float = DR_3T) -> np.ndarray:
        """Return the properties at `b0` [T], (c,) in the order of `CHANNELS`.

        Between the fields of the table they are interpolated linearly in B0, and constant beyond them [assumed]: R2* is
        nearly linear in B0, T1 is smooth enough. A tissue without its own R2* has
        R2* = R2 + Dr·B0/(3 T)·(χ+ + χ−), as for inclusions much smaller than a voxel. Its fat is in the same field: if
        it has no R2* of its own, R2* − R2 is that of the water.

        Args:
            b0: T.
            dr: relaxivity of susceptibility at 3 T, 1/s/ppm.
        """
        found = {c: self.at(c, b0) for c in self.curves}
        found.setdefault("r2star", found["r2"] + r2_prime(found["chi_para"] + found["chi_dia"], b0, dr))
        return in_order(_with_r2star_of_fat(found))

    def at(self, name: str, b0: float) -> float:
        """Return the property called `name` at `b0` [T], which the tissue must have."""
        curve = np.array(self.curves[name])
        return float(np.interp(b0, curve[:, 0], curve[:, 1]))

    def origin(self, name: str, b0: float) -> Origin:
        """Return the origin of the property `name` at `b0` [T]; assumed if either of the interpolated values is."""
        fields = [field for field, _ in self.curves[name]]
        shares = [np.interp(b0, fields, one) for one in np.eye(len(fields))]
        used = [origin for origin, share in zip(self.origins[name], shares, strict=True) if share > 0]
        return Origin("; ".join(dict.fromkeys(o.source for o in used)), any(o.assumed for o in used), used[0].by)

    def orientation_dependence(self, b0: float) -> tuple[float, float]:
        """Return χ of fibres along B0 minus across it [ppm], and R2* across minus along [1/s].

        The difference of R2* is proportional to `b0` [T]: 2.9 /s at 3 T (Bender 2010, doi:10.1002/nbm.1534), 6.4 /s at
        7 T (Lee 2011, doi:10.1016/j.neuroimage.2011.04.026).
        """
        chi, r2star = (self.at(name, 3.0) if name in self.curves else 0.0 for name in ORIENTED)
        return chi, r2star * b0 / 3.0

    @property
    def follows_chi(self) -> bool:
        """Whether its R2* is computed from its susceptibility."""
        return "r2star" not in self.curves


def r2_prime(chi: float, b0: float, dr: float = DR_3T) -> float:
    """Compute the reversible relaxation rate [1/s] caused by inclusions, Dr·B0/(3 T)·|χ|.

    Shin 2021, doi:10.1016/j.neuroimage.2021.118371; proportional to B0 as in static dephasing (Yablonskiy 1994,
    doi:10.1002/mrm.1910320610).

    Args:
        chi: χ+ + χ− [ppm].
        b0: T.
        dr: at 3 T, 1/s/ppm.
    """
    return dr * b0 / 3.0 * chi


def split(chi: float) -> tuple[float, float]:
    """Return χ+ and χ− (positive) [ppm] of a material of one sign."""
    return max(chi, 0.0), max(-chi, 0.0)


def _with_r2star_of_fat(values: dict[str, float]) -> dict[str, float]:
    """Add the R2* of fat, if it is not stated, from that of water: both are in the same field."""
    if FAT.r2 in values and FAT.r2star not in values:
        return {**values, FAT.r2star: values[FAT.r2] + values["r2star"] - values["r2"]}
    return values


class Material(Model):
    """Properties given in place: ppm, relative to CSF, s, 1/s, 1/s, 0–1, and those of its fat: s, 1/s, 1/s.

    `pd` is that of all protons, `fat_fraction` the share of them in fat; T1, R2 and R2* are those of the water. By
    default R2 is R2*, T1 and R2 of the fat are those of the tissue `fat`, and R2* − R2 of the fat is that of the water.
    """

    chi: float
    pd: Annotated[float, Field(ge=0)] = 1
    t1: PositiveFloat = 1
    r2: Annotated[float, Field(ge=0)] | None = None
    r2star: Annotated[float, Field(ge=0)] = 0
    fat_fraction: Share = 0
    fat_t1: PositiveFloat | None = None
    fat_r2: Annotated[float, Field(ge=0)] | None = None
    fat_r2star: Annotated[float, Field(ge=0)] | None = None


class TissueChange(Model):
    """Values that override the table at every field: ppm, relative to CSF, s, 1/s, 0–1, ppm, 1/s.

    A new `chi` keeps the diamagnetic part unchanged, if possible.
    """

    chi: float | None = Field(None, description="χ = χ+ − χ−, ppm")
    chi_para: Annotated[float, Field(ge=0)] | None = Field(None, description="χ+, ppm")
    chi_dia: Annotated[float, Field(ge=0)] | None = Field(None, description="χ−, positive, ppm")
    pd: Annotated[float, Field(ge=0)] | None = Field(None, description="density of all protons relative to CSF")
    t1: PositiveFloat | None = Field(None, description="T1 of the water, s")
    r2: Annotated[float, Field(ge=0)] | None = Field(None, description="R2 of the water, 1/s")
    r2star: Annotated[float, Field(ge=0)] | None = Field(None, description="R2* of the water, 1/s")
    fat_fraction: Share | None = Field(None, description="proton-density fat fraction")
    fat_t1: PositiveFloat | None = Field(None, description="T1 of the fat, s")
    fat_r2: Annotated[float, Field(ge=0)] | None = Field(None, description="R2 of the fat, 1/s")
    fat_r2star: Annotated[float, Field(ge=0)] | None = Field(None, description="R2* of the fat, 1/s")
    delta_chi: float | None = Field(None, description="χ along the fibres minus χ across them, ppm")
    delta_r2star: float | None = Field(None, description="R2* at 3 T across the fibres minus along them, 1/s")


def blood_r2star(hct: float, oxygenation: float) -> float:
    """Compute R2* of blood at 3 T [1/s], (14.9·Hct + 14.7) + (302.1·Hct + 41.8)·(1−Y)² (Zhao 2007, from memory).

    Args:
        hct: haematocrit, 0–1.
        oxygenation: oxygen saturation Y, 0–1.
    """
    return (14.9 * hct + 14.7) + (302.1 * hct + 41.8) * (1 - oxygenation) ** 2


_LAWS = {"blood_chi": blood_chi, "blood_r2star": blood_r2star}


def _number(text: str, where: str) -> float:
    law = re.fullmatch(r"(\w+)\(([\d.]+); ?([\d.]+)\)", text)
    try:
        return _LAWS[law[1]](float(law[2]), float(law[3])) if law else float(text)
    except (KeyError, ValueError) as e:
        raise QsmbenchError(
            f"{where}: value {text!r} is not a number; write 0.02 or {' or '.join(_LAWS)}(Hct; Y)"
        ) from e


@cache
def read_tissues(path: Path) -> dict[str, Tissue]:
    """Read a table of tissues, one value a row: tissue, group, property, b0, value, unit, source, assumed.

    The properties are those of `STATED` and `ORIENTED`; `chi` sets only the part of its sign. T1 and R2 of the fat in a
    tissue are those of the tissue `fat`, unless it has its own.

    Raises:
        QsmbenchError: the file is missing, a value is not a number, a property is unknown or missing, or `assumed` is
            neither yes nor no.
    """
    if not path.is_file():
        raise QsmbenchError(f"{path}: no such file; the table of tissues is required")
    found: dict[str, dict[str, list[tuple[float, float, Origin]]]] = {}
    groups: dict[str, str] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            where = f"{path}: {row['tissue']}: {row['property']}"
            if row["property"] not in (*STATED, *ORIENTED, "chi"):
                raise QsmbenchError(f"{where} is not a property; choose from chi, {', '.join((*STATED, *ORIENTED))}")
            if row["assumed"] not in ("yes", "no"):
                raise QsmbenchError(f"{where}: assumed is {row['assumed']!r}; choose from yes, no")
            b0, value = float(row["b0"] or 0), _number(row["value"], where)
            origin = Origin(row["source"], row["assumed"] == "yes", "table")
            parts = zip(("chi_para", "chi_dia"), split(value), strict=True)
            for name, part in parts if row["property"] == "chi" else [(row["property"], value)]:
                found.setdefault(row["tissue"], {}).setdefault(name, []).append((b0, part, origin))
            groups[row["tissue"]] = row["group"]
    for name, values in found.items():
        if missing := [c for c in REQUIRED if c not in values]:
            raise QsmbenchError(f"{path}: {name}: {missing[0]} is missing; required: {', '.join(REQUIRED)}")
        for relaxation in (FAT.t1, FAT.r2):
            if (own := values.get(relaxation) or found.get("fat", {}).get(relaxation)) is not None:
                values[relaxation] = own
            elif any(fraction for _, fraction, _ in values[FAT.fraction]):
                raise QsmbenchError(f"{path}: {name}: it has fat, but neither it nor a tissue fat has {relaxation}")
    return {name: _tissue(name, groups[name], values) for name, values in found.items()}


def _tissue(name: str, group: str, values: dict[str, list[tuple[float, float, Origin]]]) -> Tissue:
    by_field = {c: sorted(triples, key=lambda t: t[0]) for c, triples in values.items()}
    curves = {c: tuple((b0, value) for b0, value, _ in triples) for c, triples in by_field.items()}
    return Tissue(name, group, curves, {c: tuple(t[2] for t in triples) for c, triples in by_field.items()})


def table() -> dict[str, Tissue]:
    """Read the tissues of `phantoms/tissues.csv`, by name."""
    return read_tissues(data_dir() / "phantoms" / "tissues.csv")


def find_tissue(tissues: dict[str, Tissue], name: str, path: Path) -> Tissue:
    """Return the tissue called `name`.

    Args:
        tissues: by name.
        name: of one of them.
        path: the file that names it, for messages.

    Raises:
        QsmbenchError: there is none.
    """
    if name not in tissues:
        raise QsmbenchError(f"{path}: tissue {name!r} is unknown; choose from {', '.join(tissues)}")
    return tissues[name]


def with_changes(
    tissues: dict[str, Tissue], changes: dict[str, TissueChange], path: Path, origin: Origin
) -> dict[str, Tissue]:
    """Return the tissues with some values replaced, at every field.

    Args:
        tissues: by name.
        changes: by the tissue's name.
        path: the file that states them, for messages.
        origin: of all new values.

    Raises:
        QsmbenchError: a change names a tissue that does not exist.
    """
    result = dict(tissues)
    for name, change in changes.items():
        tissue = find_tissue(tissues, name, path)
        new = change.model_dump(exclude_none=True)
        if "chi" in new:
            chi = new.pop("chi")
            dia = max(tissue.at("chi_dia", 0), -chi)
            new |= {"chi_para": chi + dia, "chi_dia": dia}
        result[name] = replace(
            tissue,
            curves={**tissue.curves, **{c: ((0.0, v),) for c, v in new.items()}},
            origins={**tissue.origins, **dict.fromkeys(new, (origin,))},
        )
    return result


def with_factor(tissue: Tissue, names: Iterable[str], factor: float, origin: Callable[[Origin], Origin]) -> Tissue:
    """Return a tissue with some properties multiplied by a factor, at every field.

    Args:
        tissue: the original, which is not changed.
        names: of the properties.
        factor: the same for all.
        origin: returns the origin of a new value from that of the old one.

    Raises:
        QsmbenchError: the tissue lacks one of them.
    """
    curves, origins = dict(tissue.curves), dict(tissue.origins)
    for name in names:
        if name not in curves:
            raise QsmbenchError(f"tissue {tissue.name!r} has no {name}; it has {', '.join(curves)}")
        curves[name] = tuple((b0, factor * value) for b0, value in curves[name])
        origins[name] = tuple(origin(o) for o in origins[name])
    return replace(tissue, curves=curves, origins=origins)


def material_values(material: Material, tissues: dict[str, Tissue], b0: float) -> np.ndarray:
    """Return the properties of a material given in place, (c,) in the order of `CHANNELS`.

    Args:
        material: the material.
        tissues: by name, of which `fat` gives what is not stated about its fat.
        b0: T.
    """
    para, dia = split(material.chi)
    values = {"chi_para": para, "chi_dia": dia, **material.model_dump(exclude_none=True)}
    values.setdefault("r2", material.r2star)
    if material.fat_fraction > 0:
        for name in (FAT.t1, FAT.r2):
            values.setdefault(name, tissues["fat"].at(name, b0))
    return in_order(_with_r2star_of_fat(values))
