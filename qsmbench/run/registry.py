"""Find methods by name or by path.

`find` loads a method to run it in this process. `describe` returns its description without running any of its code
here: third-party Python is imported in a separate process (`run.describe`), since it may do anything on import.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

from qsmbench.errors import FailedError, QsmbenchError, suggest
from qsmbench.method import STAGES, Container, Method

FOLDER = Path(__file__).parents[1] / "methods"
"""Folder of the built-in methods: `<stage>/<name>.py` contains the function `<name>`."""


@cache
def _files() -> dict[str, Path]:
    return {f.stem: f for stage in STAGES for f in sorted((FOLDER / stage).glob("[a-z]*.py"))}


@cache
def _entry_points() -> dict[str, Any]:
    return {e.name: e for e in entry_points(group="qsmbench.methods")}


def resolves(text: str) -> bool:
    """Whether a text, such as the value of a setting, names a method."""
    base = _without_choice(text)
    return base in names() or (base.endswith(".py") and Path(base).is_file()) or is_folder(base)


def names() -> list[str]:
    """Return the names of all methods: built-in ones in pipeline order, then those of installed packages."""
    return [*_files(), *(n for n in _entry_points() if n not in _files())]


def describe(name: str, *, container: Container = "none") -> Method:
    """Return the inputs, products and settings of the method called `name`; see `find`.

    Third-party Python is not executed in this process. If it cannot be imported, `broken` of the result is the reason.

    Raises:
        QsmbenchError: there is no such method or container.
    """
    if _is_trusted(name):
        return find(name, container=container)
    _check_there(name)
    return importlib.import_module("qsmbench.run.described").described(name)


def is_folder(name: str) -> bool:
    """Whether a method's name is the path of a third-party folder, or of its `algorithm.yml`."""
    base = _without_choice(name)
    return (Path(base).is_dir() and base not in names()) or Path(base).name == "algorithm.yml"


def is_own(name: str) -> bool:
    """Whether a method belongs to this package, or is such a method with a choice of its regularisation."""
    return _without_choice(name) in _files()


def _without_choice(name: str) -> str:
    """Return the method that a name such as `tv+lcurve` wraps; a path may itself contain a plus sign."""
    while "+" in name and not Path(name).exists() and name not in _files():
        name = name.rpartition("+")[0]
    return name


def _is_trusted(name: str) -> bool:
    """Whether finding a method imports no third-party Python."""
    base = _without_choice(name)
    if is_own(name):
        return True
    return base not in _entry_points() and not base.endswith(".py")


def _check_there(name: str) -> None:
    base = _without_choice(name)
    if base.endswith(".py") and not Path(base).is_file():
        raise QsmbenchError(f"{base}: no such file; a method's path must name a Python file")


def find(name: str, *, container: Container = "none", memory_limit: float | None = None) -> Method:
    """Load a method by name or path.

    `tv+lcurve` is the method `tv`, wrapped by a choice of its regularisation (see `choice.choose`).
    Only its own file is imported.

    Args:
        name: of a method; or the path of a Python file (`….py`), of a folder with an `algorithm.yml`, or of the
            description of a network (`….yaml`).
        container: where a folder runs; see `method.Container`.
        memory_limit: of the container of a folder, MiB.

    Raises:
        QsmbenchError: there is no such method or container.
        FailedError: it cannot be imported, or its file declares no method of that name.
    """
    if container not in get_args(Container):
        raise QsmbenchError(f"container is {container!r}; choose from {', '.join(get_args(Container))}")
    path = Path(name)
    if name.endswith(".py"):
        return _declared(_load_file(path), path.stem, str(path))
    if is_folder(name) and name == _without_choice(name):
        return _load_folder(path if path.is_dir() else path.parent, container, memory_limit)
    if name.endswith((".yaml", ".yml")):
        return importlib.import_module("qsmbench.external.network").load(path)
    if name in _files():
        file = _files()[name]
        return _declared(importlib.import_module(f"qsmbench.methods.{file.parent.name}.{name}"), name, str(file))
    if "+" in name:
        inner, _, how = name.rpartition("+")
        return importlib.import_module("qsmbench.choice.choose").with_parameter_choice(
            find(inner, container=container, memory_limit=memory_limit), how
        )
    if name in _entry_points():
        return _load_entry_point(name)
    if "/" in name:
        raise QsmbenchError(f"{name}: no such folder; a method's path must name a folder with an algorithm.yml")
    raise QsmbenchError(f"unknown method {name!r}; {suggest(name, names())}")


def _load_folder(path: Path, container: Container, memory_limit: float | None) -> Method:
    # by its name, so that a change of it is a change of methods that are folders alone; see `dependencies`
    return importlib.import_module("qsmbench.external.folder").load(path, container, memory_limit)


def _load_entry_point(name: str) -> Method:
    where = f"entry point qsmbench.methods:{name}"
    try:
        loaded = _entry_points()[name].load()
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
