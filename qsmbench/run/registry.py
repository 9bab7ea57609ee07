"""How methods are found.

A method is a function in a file of the same name: `methods/<stage>/tkd.py` holds `tkd`. Its parameter names say
which artifacts it consumes; its keyword-only parameters are its settings.
"""

from __future__ import annotations

import importlib
import importlib.util
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

from qsmbench.errors import QsmbenchError, offer
from qsmbench.method import STAGES, Container, Method

_FOLDER = Path(__file__).parents[1] / "methods"


@cache
def _files() -> dict[str, Path]:
    return {f.stem: f for stage in STAGES for f in sorted((_FOLDER / stage).glob("[a-z]*.py"))}


@cache
def _entry_points() -> dict[str, Any]:
    return {e.name: e for e in entry_points(group="qsmbench.methods")}


def names() -> list[str]:
    """Names of all methods: the built-in ones in the order of the pipeline's folders, then installed packages'."""
    return [*_files(), *(n for n in _entry_points() if n not in _files())]


def find(name: str, *, container: Container = "none", memory_limit: float | None = None) -> Method:
    """The method called `name`, or the one that `name` is the path of.

    `tv+lcurve` is the method `tv`, wrapped by a choice of its regularisation (see `choice.choose`).
    Only the file that holds it is imported.

    Args:
        name: of a method; or the path of a Python file (`….py`), of a folder with an `algorithm.yml`, or of the
            description of a network (`….yaml`).
        container: for a folder: where it runs; see `Container`.
        memory_limit: for a folder: MiB that its container may take.

    Raises:
        QsmbenchError: there is no such method or container, or its file declares no method of that name.
    """
    if container not in get_args(Container):
        raise QsmbenchError(f"container is {container!r}; legal are {', '.join(get_args(Container))}")
    path = Path(name)
    if name.endswith(".py"):
        return _declared(_load_file(path), path.stem, str(path))
    if path.is_dir() and name not in names():
        return _folder(path, container, memory_limit)
    if path.name == "algorithm.yml":
        return _folder(path.parent, container, memory_limit)
    if name.endswith((".yaml", ".yml")):
        return importlib.import_module("qsmbench.external.network").load(path)
    if name in _files():
        file = _files()[name]
        return _declared(importlib.import_module(f"qsmbench.methods.{file.parent.name}.{name}"), name, str(file))
    if "+" in name:
        from qsmbench.choice.choose import with_parameter_choice

        inner, _, how = name.rpartition("+")
        return with_parameter_choice(find(inner), how)
    if name in _entry_points():
        try:
            loaded = _entry_points()[name].load()
        except (Exception, SystemExit) as e:  # another package's module may raise anything as it is imported
            raise QsmbenchError(f"entry point qsmbench.methods:{name} cannot be loaded: {type(e).__name__}: {e}") from e
        if not isinstance(loaded, Method):
            raise QsmbenchError(f"entry point qsmbench.methods:{name} is {loaded!r}; it must be a @method function")
        return loaded
    if "/" in name:
        raise QsmbenchError(f"{name}: no such folder; a method's path must name a folder with an algorithm.yml")
    raise QsmbenchError(f"unknown method {name!r}; {offer(name, names())}")


def _folder(path: Path, container: Container, memory_limit: float | None) -> Method:
    # by its name, so that a change of it is a change of methods that are folders alone; see `sources`
    return importlib.import_module("qsmbench.external.folder").load(path, container, memory_limit)


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise QsmbenchError(f"{path}: no such file; a method's path must name a Python file")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as e:  # a user's file may raise anything as it is imported
        raise QsmbenchError(f"{path}: cannot be imported: {type(e).__name__}: {' '.join(str(e).split())}") from e
    return module


def _declared(module: ModuleType, name: str, where: str) -> Method:
    found = getattr(module, name, None)
    if not isinstance(found, Method):
        others = [n for n, value in vars(module).items() if isinstance(value, Method)]
        there = f"; it declares {', '.join(others)}" if others else ""
        raise QsmbenchError(
            f"{where}: declares no method {name!r}{there}; decorate a function of that name with @method"
        )
    return found
