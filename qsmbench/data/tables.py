"""Small tables and texts as people save them: tabs, semicolons or commas, with or without a byte order mark."""

from __future__ import annotations

import codecs
import csv
import re
from pathlib import Path

from qsmbench.errors import QsmbenchError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Marks at the beginning of texts that spreadsheets save, and what they stand for."""

_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+([eE][-+]?\d+)?")


def read_text(path: Path) -> str:
    """Read a text in UTF-8, or in UTF-16 if its byte order mark says so, without the mark.

    Raises:
        QsmbenchError: no such file, or its bytes are neither.
    """
    if path.exists() and not path.is_file():
        raise QsmbenchError(f"{path}: is no plain file")
    try:
        content = path.read_bytes()
    except FileNotFoundError as e:
        raise QsmbenchError(f"{path}: no such file") from e
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as e:
        raise QsmbenchError(f"{path}: is not text in UTF-8 (byte {e.start} is 0x{content[e.start]:02x})") from e
    if "\0" in text:
        raise QsmbenchError(f"{path}: is not text in UTF-8 (byte {text.index(chr(0))} is 0x00)")
    return text


def read_table(path: Path) -> list[dict[str, str]]:
    """Read the rows of a table whose first line names the columns.

    The columns are separated by what the first line has most of: tabs, semicolons or commas; where it has
    none, by two blanks or more. Where semicolons separate
    them, a number may have a decimal comma, as spreadsheets of many languages write it. Names of columns lose
    surrounding blanks and are in lower case.

    Raises:
        QsmbenchError: no such file, not text, without a row, or a row with more cells than there are columns.
    """
    lines = [line for line in read_text(path).splitlines() if line.strip()]
    if not lines:
        raise QsmbenchError(f"{path}: is empty; its first line must name the columns")
    separator = max("\t;,", key=lines[0].count)
    if separator not in lines[0]:  # columns set apart by blanks, as a person types them
        separator, lines = "\t", [re.sub(r"\s{2,}", "\t", line.strip()) for line in lines]
    header, *rows = csv.reader(lines, delimiter=separator)
    names = [name.strip().lower() for name in header]
    found = []
    for number, row in enumerate(rows, 2):
        if len(row) > len(names) and any(cell.strip() for cell in row[len(names) :]):
            raise QsmbenchError(f"{path}: row {number} has {len(row)} cells, but there are {len(names)} columns")
        cells = [_with_point(cell.strip()) if separator == ";" else cell.strip() for cell in row]
        found.append(dict(zip(names, cells + [""] * (len(names) - len(cells)), strict=False)))
    return found


def _with_point(cell: str) -> str:
    return cell.replace(",", ".") if _DECIMAL_COMMA.fullmatch(cell) else cell
