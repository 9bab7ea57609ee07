"""What a file of Python says: its meaning as a digest, and what it imports.

Parsing all code of the package takes longer than anything else that is done to find out whether a study is up to date.
It is done once for each content: what was found is kept in the user's cache.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
import os
import platform
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from qsmbench.paths import cache_dir


class Import(NamedTuple):
    """An import statement.

    Attributes:
        level: number of leading dots; None for `import a, b`.
        module: that names are imported from; empty for `import a, b`.
        names: what is imported.
        renamed: for each name, whether it gets another (`as`).
    """

    level: int | None
    module: str
    names: tuple[str, ...]
    renamed: tuple[bool, ...]


class Source(NamedTuple):
    """What a file says.

    Attributes:
        meaning: digest of its code without comments, docstrings and layout.
        imports: its import statements, but for those that only type checkers execute.
    """

    meaning: str
    imports: tuple[Import, ...]


def parsed(content: bytes) -> Source:
    """Parse the content of a Python file; return what was found when it was parsed before, in whatever process."""
    known = _known(_store())
    key = hashlib.sha256(content).hexdigest()
    if key not in known:
        known[key] = parse(content)
        _new.add(key)
    return known[key]


def parse(content: bytes, *, without: str = "") -> Source:
    """Parse the content of a Python file; what cannot be parsed imports nothing, and means its bytes.

    Args:
        content: of the file.
        without: a name; what is assigned to it at the top level of the file does not count.
    """
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return Source(hashlib.sha256(content).hexdigest(), ())
    imports = _imports(tree)
    tree.body = [s for s in tree.body if not (without and _assigns(s, without))]
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [s for s in body if not _is_text(s)]  # type: ignore[attr-defined]
    return Source(hashlib.sha256(ast.dump(tree).encode()).hexdigest(), imports)


def save() -> None:
    """Keep what was parsed by this process for others; where the cache cannot be written, nothing is kept."""
    place = _store()
    if not _new:
        return
    _new.clear()
    content = dict(list(_known(place).items())[-_MOST:])
    partial = place.with_name(f"{place.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(content))
        partial.replace(place)


_MOST = 5000
"""Contents that are kept; there are some 300 files in the package."""

_new: set[str] = set()  # contents that were parsed since the last `save`


def _store() -> Path:
    return cache_dir() / f"source-{_version()}.json"


@cache
def _version() -> str:
    """Of all that a digest depends on beside the content: this module, and Python's syntax trees."""
    return hashlib.sha256(Path(__file__).read_bytes() + platform.python_version().encode()).hexdigest()[:16]


@cache
def _known(place: Path) -> dict[str, Source]:
    try:
        content = json.loads(place.read_text())
        return {key: _restored(*value) for key, value in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _restored(meaning: str, imports: list[list[Any]]) -> Source:
    statements = ((level, module, tuple(names), tuple(renamed)) for level, module, names, renamed in imports)
    return Source(meaning, tuple(Import(*s) for s in statements))


def _imports(tree: ast.Module) -> tuple[Import, ...]:
    unread = {id(n) for b in ast.walk(tree) if _only_for_types(b) for s in getattr(b, "body", ()) for n in ast.walk(s)}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom) and id(node) not in unread:
            names, renamed = zip(*((a.name, a.asname is not None) for a in node.names), strict=True)
            level, module = (node.level, node.module or "") if isinstance(node, ast.ImportFrom) else (None, "")
            found.append(Import(level, module, names, renamed))
    return tuple(found)


def _only_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _assigns(statement: ast.stmt, name: str) -> bool:
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return any(isinstance(t, ast.Name) and t.id == name for t in targets)


def _is_text(statement: ast.stmt) -> bool:
    """Whether a statement is a docstring, or a text after a constant: it computes nothing."""
    value = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)
