"""Markdown from plain text: tables, escaped characters, links."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

_CODE = re.compile(r"(^```.*?^```$|^ {4,}.*$|`[^`\n]+`)", re.S | re.M)
_DOI = re.compile(r"(?<![\w/\[])doi:(10\.\d+/[^\s`|]+)")
_SPECIAL = re.compile(r"([*_>\[\]])")


def changed(text: str, outside: Callable[[str], str], inside: Callable[[str], str] = str) -> str:
    """Return the text, changed outside and inside of code."""
    return "".join((inside if i % 2 else outside)(part) for i, part in enumerate(_CODE.split(text)))


def escaped(text: str) -> str:
    """Return plain text as Markdown that shows it unchanged; names in backticks stay code."""
    return changed(text, _escaped)


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text).replace("<", "&lt;")


def cell(text: str) -> str:
    """Return plain text as the content of a table's cell."""
    line = " ".join(text.split())
    return changed(line, lambda t: _escaped(t).replace("|", "\\|"))


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, code: int = 1) -> str:
    """Return a table.

    Args:
        columns: headings.
        rows: of plain text.
        code: number of columns at the left that are names.
    """
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    for row in rows:
        cells = [cell(f"`{c}`" if i < code and c else c) for i, c in enumerate(row)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def with_doi_links(text: str) -> str:
    """Return Markdown in which every DOI outside code is a link."""
    return changed(text, lambda part: _DOI.sub(_doi_link, part))


def _doi_link(found: re.Match[str]) -> str:
    doi = found[1]
    tail = ""
    while doi[-1] in ".,;:*" or (doi[-1] == ")" and doi.count("(") < doi.count(")")):
        doi, tail = doi[:-1], doi[-1] + tail
    plain = doi.replace("\\", "")
    return f"[doi:{plain}](<https://doi.org/{plain}>){tail}"
