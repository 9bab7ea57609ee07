"""The code that a result depends on: files by content, installed packages by version.

A Python file depends on everything that it imports, directly or indirectly, at its top or inside functions. Imports are
read from the source; nothing is executed. Modules of installed distributions are compared by the distribution's
version, everything else (this package, editable installs, modules next to the file) by content.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import platform
import re
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import Distribution, distributions, version
from pathlib import Path

import yaml

from qsmbench.paths import data_dir
from qsmbench.source_code import Import, parse, parsed, save

PACKAGE = Path(__file__).parent
READS = {PACKAGE / "spectra.py": data_dir() / "phantoms" / "spectra.csv"}
"""Tables that a module of this package reads, whoever imports it."""

_ROOT = PACKAGE / "__init__.py"  # holds the version, which changes no number; what it loads by name, see _by_name


@dataclass(frozen=True)
class Code:
    """The code that a result depends on.

    Attributes:
        files: all files compared by content, sorted.
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
    """Return the code that some Python files depend on.

    Args:
        files: Python files; their imports are followed.
        data: further files compared by content, such as templates or a network's weights.
        modules: dotted names of further modules; their imports are also followed.
        without: files to ignore, with the imports that only they have.
        tables: names to ignore, by file: tables whose rows are compared separately.
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
    read = [READS[file] for file in found if file in READS]
    every = sorted({*found, *data, *read}, key=lambda file: (_label(file), str(file)))
    digest = hashlib.sha256()
    for file in every:
        table = dict(tables).get(file)
        content = parse(file.read_bytes(), without=table).meaning if table else meaning(file)
        digest.update(f"{_label(file)}\0{content}\n".encode())
    save()
    versions = {name: _version(name) for name in sorted(distributions)}
    return Code(tuple(every), digest.hexdigest(), {"python": platform.python_version(), **versions})


_version = cache(version)  # read from a file each time


def sources(file: Path) -> list[Path]:
    """Return `file` and every file of this package that it imports, directly or indirectly, sorted."""
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
    """Return the files of this package that a file with the given content imports directly."""
    names = (name.split(".") for name in _names(parsed(content).imports, file))
    return tuple(f for top, *rest in names if top == PACKAGE.name for f in _within(PACKAGE, rest))


def _label(file: Path) -> str:
    """Return the name of a file in a digest, independent of the location of the package or the study."""
    return str(file.relative_to(PACKAGE.parent)) if file.is_relative_to(PACKAGE) else file.name


def _follow(files: Iterable[Path], without: frozenset[Path] = frozenset()) -> tuple[tuple[Path, ...], set[str]]:
    """Return all files to compare by content, sorted, and the names of the distributions that they import."""
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
    """Return a digest of a file's content, ignoring comments, docstrings and layout of code and YAML.

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
        return parsed(content).meaning
    if suffix in (".yaml", ".yml", ".json"):
        content = _normalised_yaml(content)
    return hashlib.sha256(content).hexdigest()


def _normalised_yaml(content: bytes) -> bytes:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return json.dumps(yaml.load(content, loader), default=str).encode()  # subjects are drawn in the order of keys
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, RecursionError):
        return content


@cache
def _imported(file: Path) -> tuple[tuple[Path, ...], frozenset[str]]:
    """Return the imported files that are compared by content, and the imported distributions."""
    try:
        imports = parsed(file.read_bytes()).imports
    except OSError:
        return (), frozenset()
    files: set[Path] = set()
    distributions: set[str] = set()
    for name in _names(imports, file):
        modules, distribution = _locate(name, file)
        if not file.is_relative_to(PACKAGE):
            modules += _by_name(name)
        files |= set(modules)
        distributions |= {distribution} if distribution else set()
    return tuple(sorted(files - {file, _ROOT})), frozenset(distributions)


def _names(imports: Iterable[Import], file: Path) -> Iterator[str]:
    """Return the dotted names of all imports; `from module import name` gives the module, and the name within it."""
    for level, module, names, renamed in imports:
        if level is None:
            yield from names
            yield from (
                PACKAGE.name
                for name, other in zip(names, renamed, strict=True)
                if name.startswith(f"{PACKAGE.name}.") and not other
            )
        else:
            module = _absolute(module, level, file)
            if module not in (PACKAGE.name, f"{PACKAGE.name}.methods"):  # of these, the names alone; see _by_name
                yield module
            yield from (f"{module}.{name}" for name in names)


def _by_name(name: str) -> tuple[Path, ...]:
    """Return the files that a third-party file can reach by a name, since the package loads them by name.

    `qsmbench.methods.tv` is that method. `import qsmbench`, and the names in its `__init__`, can reach every method, so
    that such a file depends on the whole package.
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


def _absolute(module: str, level: int, file: Path) -> str:
    """Return the absolute name of a module that a file imports from, with `level` dots before its name."""
    if not level:
        return module
    folder = file.parent
    for _ in range(level - 1):
        folder = folder.parent
    package = []
    while (folder / "__init__.py").is_file():
        package.append(folder.name)
        folder = folder.parent
    return ".".join([*reversed(package), *([module] if module else [])])


def _locate(name: str, file: Path) -> tuple[tuple[Path, ...], str | None]:
    """Return the files of a module and of its parent packages, or the distribution that contains it."""
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
    """Return the folder from which a file outside installed packages imports others: its own, or its package's."""
    if file.is_relative_to(PACKAGE) or any(file.is_relative_to(p) for p in _site_packages()):
        return []
    folder = file.parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return [folder, *([file.parent] if file.parent != folder else [])]


def _within(package: Path, rest: list[str]) -> tuple[Path, ...]:
    """Return the files that an import of `package.rest…` executes: those of each parent package and the module."""
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
    """Return the path of a top-level module, and its distribution unless it is an editable install."""
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
        return place, _distribution(top)
    return place, None


def _distribution(top: str) -> str | None:
    """Return the name of the first distribution that contains a top-level module.

    `importlib.metadata.packages_distributions` returns the same for all modules, but makes an object of every file.
    """
    file = re.compile(rf"^{re.escape(top)}(/.*)?\.py,", re.MULTILINE)
    for distribution, declared, record in _distributions():
        if top in declared or (not declared and file.search(record)):
            return distribution.metadata["Name"]
    return None


@cache
def _distributions() -> list[tuple[Distribution, list[str], str]]:
    """Return all distributions, the modules that each declares, and the list of its files."""
    return [(d, (d.read_text("top_level.txt") or "").split(), d.read_text("RECORD") or "") for d in distributions()]


@cache
def _site_packages() -> tuple[Path, ...]:
    return tuple({Path(sysconfig.get_path(p)) for p in ("purelib", "platlib", "stdlib")})
