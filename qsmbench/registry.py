"""How methods are found.

A method is a function in a file of the same name: `methods/<stage>/tkd.py` holds `tkd`. Its parameter names say
which artifacts it consumes; its keyword-only parameters are its settings.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args

from qsmbench.artifacts import ARTIFACTS
from qsmbench.errors import QsmbenchError, offer

PARAMETERS = ("grid", "te", "b0", "orientations")
"""What a method may consume beside artifacts: the Grid, the echo times [s] as an array, B0 [T], and a tuple of the
`Orientation`s that show the same head."""

STAGES = ("mask", "unwrap", "field", "background", "inversion", "joint", "separation", "contrast", "controls")
"""The folders below `methods/`, in the order of the pipeline."""

Container = Literal["none", "bubblewrap", "docker", "podman", "apptainer"]
"""Where a folder of others' code is run: as it is on this machine; so, but shut off from its data and from the network
(bubblewrap); or in the container that it names."""

_FOLDER = Path(__file__).parent / "methods"


@dataclass(frozen=True)
class Method:
    """A reconstruction step, read off its function."""

    name: str
    function: Callable[..., Any]
    produces: tuple[str, ...]
    reference: str
    portable: bool = False
    """Whether it takes arrays of any library."""
    inner: Method | None = None
    """The method that it wraps."""
    optional: tuple[str, ...] = ()
    """What it also takes where it is there."""
    files: tuple[Path, ...] = ()
    """Files beside its source that it rests on, such as a network's weights."""
    watched: bool = True
    """Whether all that it starts are children of ours; docker and podman start a container elsewhere."""

    @property
    def consumes(self) -> tuple[str, ...]:
        """Names of the artifacts (and of `grid`, `te`, `b0`) that the method takes."""
        parameters = inspect.signature(self.function).parameters.values()
        return tuple(p.name for p in parameters if p.kind is not p.KEYWORD_ONLY)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings and their defaults, as the signature states them."""
        parameters = inspect.signature(self.function).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}

    @property
    def summary(self) -> str:
        """First line of the docstring."""
        return (inspect.getdoc(self.function) or "").split("\n", 1)[0]

    @property
    def source(self) -> Path:
        """The file that holds the method (the innermost, of one that wraps another)."""
        return self.inner.source if self.inner else Path(inspect.getfile(self.function))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


def method(
    *, produces: str | tuple[str, ...], reference: str, portable: bool = False
) -> Callable[[Callable[..., Any]], Method]:
    """Declare a function to be a method.

    Args:
        produces: the artifact that it returns, or several, in the order of the returned tuple.
        reference: where the algorithm comes from, as "Author year, doi:…".
        portable: whether it takes arrays of any library that follows the array API (see `ops.array`), so that it runs
            on a GPU; otherwise it is given NumPy's.

    Raises:
        TypeError: a parameter or a product is no artifact, or a setting has no default.
    """
    names = (produces,) if isinstance(produces, str) else tuple(produces)

    def declare(function: Callable[..., Any]) -> Method:
        declared = Method(function.__name__, function, names, reference, portable)
        unknown = [n for n in names if n not in ARTIFACTS]
        unknown += [n for n in declared.consumes if n not in ARTIFACTS and n not in PARAMETERS]
        if unknown:
            legal = ", ".join([*ARTIFACTS, *PARAMETERS])
            raise TypeError(f"method {declared.name}: {unknown[0]!r} is no artifact; there are {legal}")
        missing = [n for n, default in declared.settings.items() if default is inspect.Parameter.empty]
        if missing:
            raise TypeError(f"method {declared.name}: the setting {missing[0]!r} has no default")
        return declared

    return declare


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
        from qsmbench.choice.choose import wrapped

        inner, _, how = name.rpartition("+")
        return wrapped(find(inner), how)
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
