"""Find methods by name or by path.

`find` loads a method to run it in this process. `describe` returns its description without running any of its code
here: third-party Python is imported in a separate process (`run.describe`), since it may do anything on import.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

from qsmbench.errors import FailedError, QsmbenchError, suggest
from qsmbench.method import STAGES, Container, Method
from qsmbench.sandbox import check_available

FOLDER = Path(__file__).parents[1] / "methods"
"""Folder of the built-in methods: `<stage>/<name>.py` contains the function `<name>`."""

_FILES = (".py", ".yaml", ".yml")
"""The endings of files that hold a method: a function of Python, or the description of a network."""


@cache
def _files() -> dict[str, Path]:
    return {f.stem: f for stage in STAGES for f in sorted((FOLDER / stage).glob("[a-z]*.py"))}


@cache
def entry_point_methods() -> dict[str, Any]:
    """Return the entry points of other packages' methods by name; none is loaded."""
    return {e.name: e for e in entry_points(group="qsmbench.methods")}


def resolves(text: str) -> bool:
    """Whether a text, such as the value of a setting, names a method."""
    base = without_choice(text)
    return base in names() or (base.endswith(".py") and Path(base).is_file()) or is_folder(base)


def names() -> list[str]:
    """Return the names of all methods: built-in ones in pipeline order, then those of installed packages."""
    return [*_files(), *(n for n in entry_point_methods() if n not in _files())]


def describe(name: str, *, container: Container = "none") -> Method:
    """Return the inputs, products and settings of the method called `name`; see `find`.

    Third-party Python is not executed in this process, and with bubblewrap only in its sandbox. If it cannot be
    imported, `broken` of the result is the reason.

    Raises:
        QsmbenchError: there is no such method or container, or it cannot be used here.
    """
    if _is_trusted(name):
        return find(name, container=container)
    _check_there(name)
    _check_container(container, [name])
    return importlib.import_module("qsmbench.run.described").described(name, isolated=container == "bubblewrap")


def is_folder(name: str) -> bool:
    """Whether a method's name is the path of a third-party folder, or of its `algorithm.yml`."""
    base = without_choice(name)
    return (Path(base).is_dir() and base not in names()) or Path(base).name == "algorithm.yml"


def named_in(settings: Mapping[str, Any]) -> list[str]:
    """Return the methods that the values of settings name."""
    return [v for v in settings.values() if isinstance(v, str) and resolves(v)]


def is_own(name: str) -> bool:
    """Whether a method belongs to this package, or is such a method with a choice of its regularisation."""
    return without_choice(name) in _files()


def is_others(name: str) -> bool:
    """Whether a name leads to code that is not of this package."""
    base = without_choice(name)
    return not is_own(name) and (base.endswith(_FILES) or base in entry_point_methods() or is_folder(name))


def without_choice(name: str) -> str:
    """Return the method that a name such as `tv+lcurve` wraps; a path may itself contain a plus sign."""
    while "+" in name and not Path(name).exists() and name not in _files():
        name = name.rpartition("+")[0]
    return name


def _is_trusted(name: str) -> bool:
    """Whether finding a method imports no third-party Python."""
    base = without_choice(name)
    if is_own(name):
        return True
    return base not in entry_point_methods() and not base.endswith(".py")


def _check_there(name: str) -> None:
    base = without_choice(name)
    if base.endswith(".py") and not Path(base).is_file():
        raise QsmbenchError(f"{base}: no such file; a method's path must name a Python file")


def _check_container(container: Container, names: Iterable[str]) -> None:
    """Refuse a container that does not exist, cannot be had here, or is not for the methods of these names."""
    if container not in get_args(Container):
        raise QsmbenchError(f"container is {container!r}; choose from {', '.join(get_args(Container))}")
    others = [n for n in names if is_others(n)]
    if container == "bubblewrap" and others:
        check_available()
    without_image = [n for n in others if not is_folder(n)]
    if container not in ("none", "bubblewrap") and without_image:
        raise QsmbenchError(
            f"{without_image[0]}: has no image to run in {container}; set container: none or bubblewrap, or make it a "
            "folder with an algorithm.yml"
        )


def find(
    name: str,
    *,
    container: Container = "none",
    memory_limit: float | None = None,
    settings: Mapping[str, Any] | None = None,
    hidden: Sequence[Path] = (),
) -> Method:
    """Load a method by name or path.

    `tv+lcurve` is the method `tv`, wrapped by a choice of its regularisation (see `choice.choose`).
    Only its own file is imported.

    Args:
        name: of a method; or the path of a Python file (`….py`), of a folder with an `algorithm.yml`, or of the
            description of a network (`….yaml`).
        container: where third-party code runs; see `method.Container`.
        memory_limit: for a folder: MiB that its container may take.
        settings: may name further methods.
        hidden: folders that a container must not show, wherever they lie.

    Raises:
        QsmbenchError: there is no such method or container, or it cannot be used here.
        FailedError: it cannot be imported, or its file declares no method of that name.
    """
    involved = [name, *([] if is_folder(name) else named_in(settings or {}))]
    _check_container(container, involved)
    if container == "bubblewrap" and not is_folder(name) and any(map(is_others, involved)):
        return importlib.import_module("qsmbench.run.isolated").isolated(name, involved, hidden)
    path = Path(name)
    if name.endswith(".py"):
        return _declared(_load_file(path), path.stem, str(path))
    if is_folder(name) and name == without_choice(name):
        return _load_folder(path if path.is_dir() else path.parent, container, memory_limit, hidden)
    if name.endswith(_FILES):
        return importlib.import_module("qsmbench.external.network").load(path)
    if name in _files():
        file = _files()[name]
        return _declared(importlib.import_module(f"qsmbench.methods.{file.parent.name}.{name}"), name, str(file))
    if "+" in name:
        inner, _, how = name.rpartition("+")
        return importlib.import_module("qsmbench.choice.choose").with_parameter_choice(
            find(inner, container=container, memory_limit=memory_limit, hidden=hidden), how
        )
    if name in entry_point_methods():
        return _load_entry_point(name)
    if "/" in name:
        raise QsmbenchError(f"{name}: no such folder; a method's path must name a folder with an algorithm.yml")
    raise QsmbenchError(f"unknown method {name!r}; {suggest(name, names())}")


def _load_folder(path: Path, container: Container, memory_limit: float | None, hidden: Sequence[Path]) -> Method:
    # by its name, so that a change of it is a change of methods that are folders alone; see `dependencies`
    return importlib.import_module("qsmbench.external.folder").load(path, container, memory_limit, hidden)


def _load_entry_point(name: str) -> Method:
    where = f"entry point qsmbench.methods:{name}"
    try:
        loaded = entry_point_methods()[name].load()
    except (Exception, SystemExit, KeyboardInterrupt) as e:  # another package's module may raise anything
        raise FailedError(f"{where} cannot be loaded: {type(e).__name__}: {e}") from e
    if not isinstance(loaded, Method):
        raise FailedError(f"{where} is {loaded!r}; it must be a @method function")
    return loaded


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise QsmbenchError(f"{path}: no such file; a method's path must name a Python file")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    beside = str(path.parent.resolve())
    if beside not in sys.path:  # modules beside the file can be imported
        sys.path.insert(0, beside)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit, KeyboardInterrupt) as e:  # a user's file may raise anything as it is imported
        raise FailedError(f"{path}: cannot be imported: {type(e).__name__}: {' '.join(str(e).split())}") from e
    return module


def _declared(module: ModuleType, name: str, where: str) -> Method:
    found = getattr(module, name, None)
    if not isinstance(found, Method):
        others = [n for n, value in vars(module).items() if isinstance(value, Method)]
        there = f"; it declares {', '.join(others)}" if others else ""
        raise FailedError(f"{where}: declares no method {name!r}{there}; decorate a function of that name with @method")
    return found
