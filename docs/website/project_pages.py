"""Pages of files beside docs: README, CONTRIBUTING, CHANGELOG; and the Python interface, from its docstrings."""

from __future__ import annotations

import re
from collections.abc import Iterator

import qsmbench
from qsmbench.paths import data_dir

PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Files at the top of the repository, and their pages."""


def pages() -> Iterator[tuple[str, str]]:
    """Yield path and text of each page."""
    for file, page in PAGES.items():
        yield page, _moved((data_dir() / file).read_text())
    yield "reference/python.md", _python()


def _moved(text: str) -> str:
    """Return a text of the top folder with its links relative to docs; files that are not pages lose their links."""
    text = re.sub(r"\]\(docs/", "](", text)
    for file, page in PAGES.items():
        text = text.replace(f"]({file})", f"]({page})")
    return re.sub(r"\[([^\]]+)\]\((LICENSE|CITATION\.cff)\)", r"\1 (`\2`)", text)


def _python() -> str:
    parts = ["# Python interface", "`import qsmbench as qb`; [an introduction](../python.md) shows how its parts fit."]
    names = [n for n in qsmbench.__all__ if n != "methods"]
    parts += [f"::: qsmbench.api.{name}" for name in [*names, "Truth", "Result"] if name != "Grid"]
    parts += ["::: qsmbench.grid.Grid", "::: qsmbench.errors.QsmbenchError", "::: qsmbench.method.method"]
    parts += ["## methods", "`qb.methods.tv` and so on: see [all methods](methods/index.md)."]
    return "\n\n".join(parts)
