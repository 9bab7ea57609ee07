"""Digests and imports of Python files, parsed once for each content.

Parsing all code of the package takes longer than all else that tells whether a study is up to date. The results are
kept in the cache folder.
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
        module: from which names are imported; empty for `import a, b`.
        names: imported names.
        renamed: whether each name is renamed by `as`.
    """

    level: int | None
    module: str
    names: tuple[str, ...]
    renamed: tuple[bool, ...]


class Source(NamedTuple):
    """What a Python file contains.

    Attributes:
        meaning: digest of its code, ignoring comments, docstrings and layout.
        imports: its import statements, except those under `if TYPE_CHECKING`.
    """

    meaning: str
    imports: tuple[Import, ...]


def parsed(content: bytes) -> Source:
    """Parse the content of a Python file, or return the cached result."""
    known = _known(_store())
    key = hashlib.sha256(content).hexdigest()
    if key not in known:
        known[key] = parse(content)
        _new.add(key)
    return known[key]


def parse(content: bytes, *, without: str = "") -> Source:
    """Parse the content of a Python file. Of invalid code, the digest is that of its bytes, and there are no imports.

    Args:
        content: of the file.
        without: name whose assignment at the top level of the file is ignored.
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
    """Write the results of this process to the cache; if it is not writable, do nothing."""
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
"""Maximum number of cached files; the package has some 300."""

_new: set[str] = set()  # parsed since the last `save`


def _store() -> Path:
    return cache_dir() / f"source-{_version()}.json"


@cache
def _version() -> str:
    """Return a digest of what results depend on besides the content: this module and the version of Python."""
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
    """Whether a statement is a docstring or a text after a constant, which computes nothing."""
    value = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)
