"""Which files of the package a module rests on, so that a change of code reruns what it concerns and no more."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent


def sources(*files: Path) -> list[Path]:
    """`files` and every file of qsmbench that they import, directly or through others, sorted."""
    found: set[Path] = set()
    waiting = list(files)
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting += _imported(file)
    return sorted(found)


@cache
def _imported(file: Path) -> list[Path]:
    names: list[str] = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [found for name in names if (found := _file(name))]


def _file(module: str) -> Path | None:
    top, *rest = module.split(".")
    if top != PACKAGE.name:
        return None
    place = PACKAGE.joinpath(*rest)
    for candidate in (place.with_suffix(".py"), place / "__init__.py"):
        if rest and candidate.is_file():
            return candidate
    return None
