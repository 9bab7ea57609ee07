"""A folder of NIfTI files and a table of them, where no BIDS dataset is at hand."""

from __future__ import annotations

from pathlib import Path

from qsmbench.data.folders import read_json
from qsmbench.data.series import Image, Series, sidecar_of
from qsmbench.data.tables import read_table
from qsmbench.errors import QsmbenchError

TABLES = ("echoes.tsv", "echoes.csv")
"""Names of the table: a row for each echo."""

_KEYS = {"echo_time": "EchoTime", "field_strength": "MagneticFieldStrength", "units": "Units"}
"""Columns of the table that are keys of a sidecar in BIDS: s, T, and the unit of the phase (may be left out)."""

_PARTS = {"phase": "phase", "magnitude": "mag", "real": "real", "imaginary": "imag"}
"""Columns of the table that name files."""


def is_flat(folder: Path) -> bool:
    """Return whether `folder` holds a table of echoes."""
    return any((folder / name).is_file() for name in TABLES)


def find_flat(folder: Path) -> Series:
    """Find the files of a scan by the table in its folder.

    The table has a row for each echo, with the columns echo_time [s], field_strength [T], and either phase and
    magnitude or real and imaginary: names of files, relative to the folder. Keys of a JSON file beside a volume, such
    as `B0_dir` and `Units`, count as in BIDS; the table comes first.

    Raises:
        QsmbenchError: there is no table, a column is missing, or a file is missing or named twice.
    """
    tables = [folder / name for name in TABLES if (folder / name).is_file()]
    if not tables:
        raise QsmbenchError(f"{folder}: holds neither a BIDS dataset nor {TABLES[0]}")
    if len(tables) > 1:
        raise QsmbenchError(f"{folder}: holds both {' and '.join(TABLES)}; keep the one that is right")
    table = tables[0]
    rows = read_table(table)
    columns = set(rows[0]) if rows else set()
    pair = next((p for p in (("phase", "magnitude"), ("real", "imaginary")) if set(p) <= columns), None)
    if pair is None or "echo_time" not in columns:
        raise QsmbenchError(
            f"{table}: columns are {', '.join(sorted(columns)) or 'missing'}; needed are echo_time [s], field_strength "
            "[T], and phase and magnitude, or real and imaginary"
        )
    rows.sort(key=lambda row: _number(table, row))
    parts = {_PARTS[column]: [_image(table, row, column) for row in rows] for column in pair}
    files = [image.path for images in parts.values() for image in images]
    twice = [file for file in files if files.count(file) > 1]
    if twice:
        raise QsmbenchError(f"{table}: {twice[0].name} is named twice; each echo has two files of its own")
    return Series(parts, folder.name or str(folder.resolve().name))


def flat_files(folder: Path) -> list[Path]:
    """Return the files that `find_flat` would look at; none if it would refuse the folder."""
    try:
        images = find_flat(folder).images
    except QsmbenchError:
        return []
    tables = [folder / name for name in TABLES if (folder / name).is_file()]
    return sorted({*tables, *(f for i in images for f in (i.path, sidecar_of(i.path)) if f.is_file())})


def _number(table: Path, row: dict[str, str]) -> float:
    try:
        return float(row["echo_time"])
    except ValueError as e:
        raise QsmbenchError(f"{table}: echo_time is {row['echo_time']!r}; it must be a number of seconds") from e


def _image(table: Path, row: dict[str, str], column: str) -> Image:
    if not row[column]:
        raise QsmbenchError(f"{table}: {column} is empty in the row of echo_time {row['echo_time']}")
    file = table.parent / row[column]
    beside = sidecar_of(file)
    keys = read_json(beside) if beside.is_file() else {}
    return Image(file, {**keys, **{key: row[name] for name, key in _KEYS.items() if row.get(name)}})
