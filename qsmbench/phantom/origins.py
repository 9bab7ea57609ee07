"""The values that the properties of a region depend on: of tissues, materials, sources and texture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from qsmbench.data.provenance import SourcedValue
from qsmbench.phantom.description import sources as s
from qsmbench.phantom.description.models import Texture
from qsmbench.phantom.description.tissues import Origin, Tissue
from qsmbench.phantom.species import CHI, FAT, SPECIES, STATED
from qsmbench.phantom.species import UNITS as UNITS_OF_SPECIES

UNITS = {"chi": "ppm", **UNITS_OF_SPECIES}
"""Unit of each property."""

LISTED = ("chi", *(name for name in STATED if name not in CHI))
"""The properties of a tissue, those of χ as one."""

ANYWHERE = ""
"""Used instead of a region: the whole object, or a location without a named region."""


def of_tissue(tissue: Tissue, b0: float) -> list[SourcedValue]:
    """List the values of a region of `tissue` at `b0` [T]."""
    r2star = ("r2", *CHI) if tissue.follows_chi else ("r2star",)
    of_fat = (FAT.r2star,) if FAT.r2star in tissue.curves else (FAT.r2, *dict.fromkeys(("r2", *r2star)))
    behind = {"chi": CHI, "r2star": r2star, FAT.r2star: of_fat}
    absent = [s for s in SPECIES[1:] if tissue.at(s.fraction, b0) == 0]
    unused = {name for s in absent for name in (s.t1, s.r2, s.r2star)}
    return [
        _row(name, f"{part} of {tissue.name}", tissue.at(part, b0), UNITS[part], tissue.origin(part, b0))
        for name in LISTED
        if name not in unused
        for part in behind.get(name, (name,))
    ]


def of_material(values: Mapping[str, float], origin: Origin) -> list[SourcedValue]:
    """List the values of a region whose properties are given in place."""
    return [_row(name, name, value, UNITS[name], origin) for name, value in values.items()]


def of_source(source: s.InPlace, origin: Origin, tissues: dict[str, Tissue], b0: float) -> list[SourcedValue]:
    """List the values that a source adds to its location.

    Args:
        source: the source.
        origin: of its dose.
        tissues: by name.
        b0: T.
    """
    rows = of_tissue(tissues["fat"], b0) if isinstance(source, s.Fat) else []
    for name, constants in source.uses().items():
        for key, dose in source.doses.items():
            rows.append(_row(name, f"{source.source} {key}", dose, s.DOSES.get(key, ""), origin))
        rows += [of_constant(name, constant) for constant in constants]
    return rows


def of_blood(
    tissue: Tissue, values: Mapping[str, tuple[float, Origin]], constants: Iterable[str], b0: float
) -> list[SourcedValue]:
    """List the values of veins: χ and R2* depend on their blood, all else on the table.

    R2* also depends on the table: the law for blood holds at 3 T, and is scaled by the table at other fields; see
    `veins.blood`.

    Args:
        tissue: venous blood in the table.
        values: of the blood, with their origins.
        constants: names of the constants that the values depend on.
        b0: T.
    """
    rows = [row for row in of_tissue(tissue, b0) if row.property != "chi"]
    rows += [row for row in of_tissue(tissue, 3.0) if row.property == "r2star"]
    for name in ("chi", "r2star"):
        rows += [_row(name, value_of, value, "", origin) for value_of, (value, origin) in values.items()]
        rows += [of_constant(name, constant) for constant in sorted(constants)]
    return rows


def of_constant(name: str, constant: str) -> SourcedValue:
    """Return the row of a `constant` of `phantoms/sources.csv` that the property `name` depends on."""
    known = s.constant_table()[constant]
    return _row(name, constant, known.value, known.unit, known.origin)


def of_texture(texture: Texture) -> list[SourcedValue]:
    """List the values of the spread within tissues; their means do not depend on it."""
    origin = Origin(texture.source, "assumed" in texture.source, "phantom")
    return [
        _row(name, f"texture: {part} in {group}", value, "share of the mean", origin)
        for name in ("chi", "r2star")
        for group, grain in texture.groups.items()
        for part, value in grain.model_dump().items()
    ]


def beyond_content(source: s.Added, para: float, origin: Origin) -> tuple[list[SourcedValue], float]:
    """Return a row if a source removes more χ+ than there is, and the χ+ [ppm] that it leaves.

    Args:
        source: the source.
        para: ppm, χ+ at its location.
        origin: of its dose.
    """
    effect = source.effect(3.0, 0.0)
    left = para * effect.factors.chi_para + effect.amounts.chi_para
    if left >= 0:
        return [], left
    why = f"{source.source} removes more than the χ+ of {para:.4g} ppm that there is; the rest is taken as diamagnetic"
    return [_row("chi", f"χ− in place of {source.source}", -left, "ppm", Origin(why, True, origin.by))], 0.0


def regions_of(source: s.InPlace) -> tuple[str, ...]:
    """Return the regions in which a source is located; `ANYWHERE` if it names none."""
    inside = source.in_ if source.in_ is not None else source.region
    return (inside,) if isinstance(inside, str) else inside or (ANYWHERE,)


def _row(name: str, value_of: str, value: Any, unit: str, origin: Origin) -> SourcedValue:
    shown = f"{value + 0:.4g}" if isinstance(value, float) else str(value)  # no -0
    return SourcedValue(ANYWHERE, name, value_of, shown, unit, origin.source, origin.by, origin.assumed)
