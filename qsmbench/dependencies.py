"""Which code a result rests on: files by what they mean, installed packages by their version.

A file of Python rests on what it imports, directly or through others, at its top or within functions. Imports are read
off the source, nothing is executed. A module of an installed distribution counts by the distribution's version;
everything else (this package, editable installs, modules beside the file) by its content.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import platform
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import packages_distributions, version
from pathlib import Path

import yaml

PACKAGE = Path(__file__).parent
_ROOT = PACKAGE / "__init__.py"  # holds the version, which changes no number; what it loads by name, see _by_name


@dataclass(frozen=True)
class Code:
    """The code that something rests on.

    Attributes:
        files: all files that count by their content, sorted.
        digest: of the content of the files.
        versions: of the distributions that the files import, and of Python.
    """

    files: tuple[Path, ...]
    digest: str
    versions: dict[str, str]


def code_of(
    files: Iterable[Path],
    data: Iterable[Path] = (),
    *,
    modules: Iterable[str] = (),
    without: Iterable[Path] = (),
    tables: Mapping[Path, str] | None = None,
) -> Code:
    """Return the code that some files of Python rest on.

    Args:
        files: of Python; what they import is followed.
        data: further files whose content counts, such as templates or a network's weights.
        modules: dotted names of further modules; what they import is followed, too.
        without: files that do not count, nor what they alone import.
        tables: names that do not count, by file: tables of which each row concerns something else.
    """
    named = tuple(sorted((tables or {}).items()))
    return _code_of(tuple(files), tuple(data), tuple(modules), frozenset(without), named)


@cache
def _code_of(
    files: tuple[Path, ...],
    data: tuple[Path, ...],
    modules: tuple[str, ...],
    without: frozenset[Path],
    tables: tuple[tuple[Path, str], ...],
) -> Code:
    named = [_locate(name, _ROOT) for name in modules]
    found, distributions = _follow([*files, *(f for places, _ in named for f in places)], without)
    distributions |= {d for _, d in named if d}
    every = sorted({*found, *data}, key=lambda file: (_label(file), str(file)))
    digest = hashlib.sha256()
    for file in every:
        content = _meaning_without(file, dict(tables)[file]) if file in dict(tables) else meaning(file)
        digest.update(f"{_label(file)}\0{content}\n".encode())
    versions = {name: version(name) for name in sorted(distributions)}
    return Code(tuple(every), digest.hexdigest(), {"python": platform.python_version(), **versions})


def sources(file: Path) -> list[Path]:
    """Return `file` and every file of this package that it imports, directly or through others, sorted."""
    found: set[Path] = set()
    waiting = [file]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            waiting += _within_package(current, current.read_bytes())
    return sorted(found)


def imported_by(file: Path) -> tuple[Path, ...]:
    """Return `file` and what it imports, directly or through others, of no installed distribution and not of ours."""
    return tuple(f for f in _follow([file])[0] if not f.is_relative_to(PACKAGE))


def find_package(top: str) -> Path | None:
    """Return the folder or the file of a top-level module, which is not imported; None if there is none."""
    return _installed(top, tuple(sys.path))[0]


@cache
def _within_package(file: Path, content: bytes) -> tuple[Path, ...]:
    """Return the files of this package that a file of some content imports directly."""
    names = (name.split(".") for name in _names(ast.parse(content), file))
    return tuple(f for top, *rest in names if top == PACKAGE.name for f in _within(PACKAGE, rest))


def _label(file: Path) -> str:
    """Return the name of a file in a digest, which does not depend on where the package or the study lies."""
    return str(file.relative_to(PACKAGE.parent)) if file.is_relative_to(PACKAGE) else file.name


def _follow(files: Iterable[Path], without: frozenset[Path] = frozenset()) -> tuple[tuple[Path, ...], set[str]]:
    """All files by content, sorted, and the names of the distributions that they import."""
    found: set[Path] = set()
    distributions: set[str] = set()
    waiting = [Path(f) for f in files]
    while waiting:
        file = waiting.pop()
        if file in found or file in without:
            continue
        found.add(file)
        modules, packages = _imported(file)
        distributions |= packages
        waiting += modules
    return tuple(sorted(found)), distributions


def meaning(file: Path) -> str:
    """Return a digest of what a file means: comments, docstrings and layout of code and YAML do not count.

    A missing file has the digest "missing".
    """
    try:
        content = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return "missing"
    return _meaning(content, file.suffix)


@cache
def _meaning(content: bytes, suffix: str) -> str:
    if suffix == ".py":
        content = _normalised_python(content)
    elif suffix in (".yaml", ".yml", ".json"):
        content = _normalised_yaml(content)
    return hashlib.sha256(content).hexdigest()


def _meaning_without(file: Path, name: str) -> str:
    """Return the digest of a Python file without what is assigned to a name at its top level."""
    content = _normalised_python(file.read_bytes(), without=name)
    return hashlib.sha256(content).hexdigest()


def _normalised_python(content: bytes, *, without: str = "") -> bytes:
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return content
    tree.body = [s for s in tree.body if not (without and _assigns(s, without))]
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [s for s in body if not _is_text(s)]  # type: ignore[attr-defined]
    return ast.dump(tree).encode()


def _assigns(statement: ast.stmt, name: str) -> bool:
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return any(isinstance(t, ast.Name) and t.id == name for t in targets)


def _is_text(statement: ast.stmt) -> bool:
    """Whether a statement is a docstring, or a text after a constant: it computes nothing."""
    value = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def _normalised_yaml(content: bytes) -> bytes:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return json.dumps(yaml.load(content, loader), default=str).encode()  # subjects are drawn in the order of keys
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, RecursionError):
        return content


@cache
def _imported(file: Path) -> tuple[tuple[Path, ...], frozenset[str]]:
    """Return the files that a file imports, which count by content, and the distributions."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError, OSError):
        return (), frozenset()
    files: set[Path] = set()
    distributions: set[str] = set()
    for name in _names(tree, file):
        modules, distribution = _locate(name, file)
        if not file.is_relative_to(PACKAGE):
            modules += _by_name(name)
        files |= set(modules)
        distributions |= {distribution} if distribution else set()
    return tuple(sorted(files - {file, _ROOT})), frozenset(distributions)


def _names(tree: ast.Module, file: Path) -> Iterator[str]:
    """Dotted names of all that is imported; a name from a module is given with the module and alone."""
    unread = {id(n) for b in ast.walk(tree) if _only_for_types(b) for s in getattr(b, "body", ()) for n in ast.walk(s)}
    for node in ast.walk(tree):
        if id(node) in unread:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
            yield from (
                PACKAGE.name for alias in node.names if alias.name.startswith(f"{PACKAGE.name}.") and not alias.asname
            )
        elif isinstance(node, ast.ImportFrom):
            module = _absolute(node, file)
            if module not in (PACKAGE.name, f"{PACKAGE.name}.methods"):  # of these, the names alone; see _by_name
                yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _by_name(name: str) -> tuple[Path, ...]:
    """The files that a name reaches in a file of others, since the package loads them by name.

    `qsmbench.methods.tv` is that method. `import qsmbench`, and what its `__init__` offers, reach every method: such a
    file rests on all of the package.
    """
    top, *rest = name.split(".")
    if top != PACKAGE.name:
        return ()
    if rest[:1] == ["methods"] and len(rest) > 1:
        return tuple(sorted((PACKAGE / "methods").glob(f"*/{rest[1]}.py")))
    module = bool(rest) and ((PACKAGE / rest[0]).is_dir() or (PACKAGE / f"{rest[0]}.py").is_file())
    if (module and rest[0] not in ("api", "methods")) or rest == ["__version__"]:
        return ()
    return _all_of_it()


@cache
def _all_of_it() -> tuple[Path, ...]:
    return tuple(sorted(f for f in PACKAGE.rglob("*.py") if f != _ROOT))


def _only_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _absolute(node: ast.ImportFrom, file: Path) -> str:
    """Return the absolute name of the module that a statement imports."""
    if not node.level:
        return node.module or ""
    folder = file.parent
    for _ in range(node.level - 1):
        folder = folder.parent
    package = []
    while (folder / "__init__.py").is_file():
        package.append(folder.name)
        folder = folder.parent
    return ".".join([*reversed(package), *([node.module] if node.module else [])])


def _locate(name: str, file: Path) -> tuple[tuple[Path, ...], str | None]:
    """Return the files of a module and of the packages around it, or the distribution that holds it."""
    top, *rest = name.split(".")
    if not top:
        return (), None
    if top == PACKAGE.name:
        return _within(PACKAGE, rest), None
    for folder in _beside(file):
        if (folder / f"{top}.py").is_file():
            return (folder / f"{top}.py",), None
        if (folder / top).is_dir():
            return _within(folder / top, rest), None
    if top in sys.stdlib_module_names:
        return (), None
    place, distribution = _installed(top, tuple(sys.path))
    if distribution or place is None:
        return (), distribution
    return ((place,), None) if place.is_file() else (_within(place, rest), None)


def _beside(file: Path) -> list[Path]:
    """Return the folder in which a file of no installed package finds others: its own, or that of its package."""
    if file.is_relative_to(PACKAGE) or any(file.is_relative_to(p) for p in _site_packages()):
        return []
    folder = file.parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return [folder, *([file.parent] if file.parent != folder else [])]


def _within(package: Path, rest: list[str]) -> tuple[Path, ...]:
    """Return the files that an import of `package.rest…` executes: of each package on the way, and of the module."""
    found = [package / "__init__.py"]
    for part in rest:
        if (package / f"{part}.py").is_file():
            found.append(package / f"{part}.py")
            break
        package = package / part
        found.append(package / "__init__.py")
    return tuple(f for f in found if f.is_file() and f != _ROOT)


@cache
def _installed(top: str, _: tuple[str, ...]) -> tuple[Path | None, str | None]:
    """Return the path of a top-level module, and its distribution unless that is an editable install."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError, AttributeError):
        return None, None
    if spec is None:
        return None, None
    origin = Path(spec.origin) if spec.origin and spec.origin not in ("built-in", "frozen") else None
    folder = Path(next(iter(spec.submodule_search_locations))) if spec.submodule_search_locations else None
    place = folder or origin
    if place is None:
        return None, None
    if any(place.is_relative_to(p) for p in _site_packages()):
        names = _distributions().get(top)
        return place, names[0] if names else None
    return place, None


@cache
def _distributions() -> dict[str, list[str]]:
    return {top: list(names) for top, names in packages_distributions().items()}


@cache
def _site_packages() -> tuple[Path, ...]:
    return tuple({Path(sysconfig.get_path(p)) for p in ("purelib", "platlib", "stdlib")})
