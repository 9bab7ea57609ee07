"""Assumptions behind the scores of a group: regions with an assumed property, the origin, and the values behind it."""

from __future__ import annotations

from dataclasses import dataclass, field

from qsmbench.analysis.results import Study
from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.provenance import SourcedValue
from qsmbench.data.score_table import source_index

NAMED = 8
"""Number of regions named in a line; the rest are only counted."""

_PARTS = {"chi_para": "χ+", "chi_dia": "χ−"}
_SYMBOLS = {"chi": "χ", "pd": "PD", "t1": "T1", "r2": "R2", "r2star": "R2*", "fat_fraction": "fat fraction", **_PARTS}
_SYMBOLS |= {"fat_t1": "T1 of fat", "fat_r2": "R2 of fat", "fat_r2star": "R2* of fat"}
_WORDS = {
    "table": "values of tissues and sources",
    "population": "age and person",
    "scenario": "the scenario's numbers",
}


@dataclass
class Value:
    """An assumed value, and the properties and regions that depend on it; no regions means the whole object."""

    name: str
    value: str
    source: str
    properties: list[str] = field(default_factory=list)
    regions: list[str] = field(default_factory=list)


@dataclass
class Provenance:
    """The assumptions that the scores of one artifact of a group depend on.

    Attributes:
        symbol: of the property, such as χ.
        of_field: whether the artifact is a field, which depends on the property of every region.
        regions: all regions with a score, deep grey matter first.
        assumed: the regions whose property depends on an assumed value.
        statements: the origins of the assumed values, and the regions that each affects.
        beside: other assumptions, which do not concern single regions.
        changed: values set by the user.
        values: every assumed value of the phantom.
    """

    symbol: str
    of_field: bool
    regions: list[str]
    assumed: list[str]
    statements: list[tuple[str, str]]
    beside: list[str]
    changed: list[str]
    values: list[Value]

    def marked(self, region: str) -> bool:
        """Whether the scores of a region depend on an assumed value of that region."""
        return not self.of_field and region in self.assumed


def provenance(study: Study, group: str, artifact: str) -> Provenance | None:
    """Return the assumptions behind the scores of an artifact; None for a measured scan, whose truth is unknown."""
    rows = study.provenance(group)
    if not rows:
        return None
    behind = ARTIFACTS[artifact].tissue_property if artifact in ARTIFACTS else "chi"
    regions = _scored(study, group, artifact)
    assumed = [r for r in rows if r.assumed]
    assumed.sort(key=lambda r: regions.index(r.region) if r.region in regions else len(regions))
    mine = [r for r in assumed if r.property == behind and r.region in regions]
    found = {r.region for r in mine}
    beside = [r for r in assumed if not r.region and r.property in (behind, "shape")]
    return Provenance(
        symbol=_SYMBOLS.get(behind, behind),
        of_field=artifact in ARTIFACTS and ARTIFACTS[artifact].is_field,
        regions=regions,
        assumed=[r for r in regions if r in found],
        statements=_statements(mine),
        beside=list(dict.fromkeys(_with_symbol(r.name.split(":")[0]) for r in beside)),
        changed=list(dict.fromkeys(_with_symbol(r.name) for r in rows if r.by == "user")),
        values=_values(assumed),
    )


def _scored(study: Study, group: str, artifact: str) -> list[str]:
    s = study.scores
    mine = s[(s["group"] == group) & (s["artifact"] == artifact) & (s["region"] != "") & s["value"].notna()]
    nuclei = set(study.nuclei(group))
    regions = [r for r in dict.fromkeys(mine["region"]) if source_index(r) is None]
    return sorted(regions, key=lambda r: r not in nuclei)


def _statements(rows: list[SourcedValue]) -> list[tuple[str, str]]:
    """Return the origins of the values, and the first few regions of each."""
    by: dict[str, list[SourcedValue]] = {}
    for row in rows:
        by.setdefault(row.by, []).append(row)
    return [(_words(who, its), _listed([r.region for r in its])) for who, its in by.items()]


def _words(by: str, rows: list[SourcedValue]) -> str:
    return _WORDS.get(by) or "the phantom's " + " and ".join(dict.fromkeys(r.name.split(",")[0] for r in rows))


def _listed(names: list[str]) -> str:
    names = list(dict.fromkeys(names))
    rest = len(names) - NAMED
    return ", ".join(names) if rest <= 1 else f"{', '.join(names[:NAMED])} and {rest} more"


def _values(rows: list[SourcedValue]) -> list[Value]:
    """Return each value once, with all properties and regions that depend on it."""
    found: dict[tuple[str, ...], Value] = {}
    for row in rows:
        key = (row.name, row.value, row.unit, row.source)
        value = found.setdefault(key, Value(_with_symbol(row.name), f"{row.value} {row.unit}".strip(), row.source))
        symbol = _SYMBOLS.get(row.property, row.property)
        value.properties += [symbol] if symbol not in value.properties else []
        value.regions += [row.region] if row.region and row.region not in value.regions else []
    return list(found.values())


def _with_symbol(name: str) -> str:
    """Return a value's name with the symbol of its property, such as χ+ of putamen."""
    first, space, rest = name.partition(" ")
    return _SYMBOLS.get(first, first) + space + rest
