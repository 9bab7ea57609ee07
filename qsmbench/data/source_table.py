"""The table of a truth's susceptibility sources: what was added to the tissues, where, and how much."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from qsmbench.data.tables import read_table, read_text
from qsmbench.errors import QsmbenchError

SOURCES_FILE = "sources.tsv"
"""File in a truth folder: one row per `PlacedSource`."""

NEGLIGIBLE = 1e-3
"""Mean |χ| [ppm] below which a source, or a lesion against its surroundings, has no sign (assumed)."""


@dataclass(frozen=True)
class PlacedSource:
    """A source at its location; sources that fill the same place are one.

    Attributes:
        index: in the artifact `sources`.
        kind: such as `iron`, or `myelin+iron` at one place.
        place: how it is placed: region (it fills one), at, in (scattered) or shape.
        dose: as described, such as `iron chi 0.4 ppm`.
        name: of the region that it creates; empty for none.
        region: that it fills or was scattered in, or in which its centre lies; several are separated by commas.
        inside: share of it that lies in `region`, 0–1.
        x, y, z: centre, world mm.
        volume: mm³.
        chi_total: ∫Δχ dV against the tissue without it, before texture, ppm·mm³.
        shell: thickness of a rim, mm; 0 for a solid source.
        part_of: index of the solid source whose rim it is; 0 for none.
        by: origin of the dose: phantom, scenario, user, or population, for the findings of a person.
    """

    index: int
    kind: str
    place: str
    dose: str
    name: str
    region: str
    inside: float
    x: float
    y: float
    z: float
    volume: float
    chi_total: float
    shell: float
    part_of: int
    by: str

    @property
    def chi(self) -> float:
        """Mean change of χ, ppm."""
        return self.chi_total / self.volume if self.volume > 0 else 0.0

    @property
    def sign(self) -> int:
        """1 if it is paramagnetic against the tissue without it, −1 if diamagnetic, 0 if neither."""
        return 0 if abs(self.chi) < NEGLIGIBLE else 1 if self.chi > 0 else -1

    @property
    def diameter(self) -> float:
        """Diameter of the ball of the same volume, mm."""
        return float((6 * self.volume / 3.141592653589793) ** (1 / 3))

    @property
    def is_finding(self) -> bool:
        """Whether it is one of the findings of the person rather than what the phantom or the scenario is about."""
        return self.by == "population"


COLUMNS = tuple(f.name for f in fields(PlacedSource))

_TEXTS = ("kind", "place", "dose", "name", "region", "by")
_DERIVED = ("sign",)


def write_sources(path: Path, rows: Iterable[PlacedSource]) -> None:
    """Write a tab-separated table with a column for each attribute of `PlacedSource`, and its `sign`."""
    lines = ["\t".join((*COLUMNS, *_DERIVED))]
    lines += ["\t".join(_text(getattr(row, c)) for c in (*COLUMNS, *_DERIVED)) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_sources(path: Path) -> list[PlacedSource]:
    """Read a table written by `write_sources`; no rows if there is no such file, or if it has only the columns.

    Raises:
        QsmbenchError: a column is missing, or a value is not a number.
    """
    if not path.is_file() or len(read_text(path).splitlines()) == 1:
        return []
    rows = read_table(path)
    found = []
    for row in rows:
        missing = [c for c in COLUMNS if c not in row]
        if missing:
            raise QsmbenchError(f"{path}: has no column {missing[0]!r}; required: {', '.join(COLUMNS)}")
        values: dict[str, Any] = {}
        for c in COLUMNS:
            try:
                kind = str if c in _TEXTS else int if c in ("index", "part_of") else float
                values[c] = kind(row[c])
            except ValueError as e:
                raise QsmbenchError(f"{path}: {c} is {row[c]!r}; it must be a number") from e
        found.append(PlacedSource(**values))
    return found


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
