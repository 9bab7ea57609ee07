"""The description of a third-party method, obtained from a process that imports it; see `run.describe`."""

from __future__ import annotations

import re
from functools import cache, partial
from pathlib import Path
from typing import Any, NoReturn

from qsmbench import probe
from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.method import ExternalMethod
from qsmbench.run.isolated import absolute, room_for, source_of


def described(name: str, *, isolated: bool = False) -> ExternalMethod:
    """Return a description of the method called `name`; `broken` is the reason if it cannot be imported.

    Args:
        name: of an entry point, or path of a Python file, optionally with a choice of the regularisation; see
            `registry.find`.
        isolated: import it where it has access to its own code alone. What it says of its files is not believed then,
            and it is given arrays of NumPy.
    """
    return _described(name, isolated, _state(name))


def _state(name: str) -> tuple[Any, ...]:
    """Return what identifies the file that a name leads to from the working folder, and its content."""
    for path in (Path(name), Path(name.rpartition("+")[0])):
        if path.is_file():
            found = path.stat()
            return str(path.absolute()), found.st_mtime_ns, found.st_size, found.st_ino
    return (str(Path.cwd()),)


@cache
def _described(name: str, isolated: bool, _: tuple[Any, ...]) -> ExternalMethod:
    room = partial(room_for, [name]) if isolated else None
    content = probe.ask("qsmbench.run.describe", absolute(name) if isolated else name, room)
    try:
        if "error" in content:
            return _broken(name, str(content["error"]))
        if isolated:
            content |= {"source": str(source_of(name)), "files": [], "portable": False, "watched": True}
        return _method(content)
    except (KeyError, TypeError, ValueError, AttributeError) as e:
        return _broken(name, f"{name}: has an invalid description ({type(e).__name__}: {e})")


def _method(content: dict[str, Any]) -> ExternalMethod:
    if not re.fullmatch(r"\w[\w.+-]{0,199}", str(content["name"])):  # files are named after it
        raise ValueError(f"is called {str(content['name'])[:100]!r}")
    produces = tuple(content["produces"])
    if not produces or not all(n in ARTIFACTS for n in produces):
        raise ValueError(f"produces {produces}")
    return ExternalMethod(
        name=str(content["name"]),
        function=_not_here,
        produces=produces,
        reference=str(content["reference"]),
        portable=bool(content["portable"]),
        stochastic=bool(content["stochastic"]),
        optional=tuple(content["optional"]),
        files=tuple(map(Path, content["files"])),
        watched=bool(content["watched"]),
        inputs=tuple(content["consumes"]),
        defaults={n: tuple(v) if isinstance(v, list) else v for n, v in content["settings"].items()},
        description=str(content["summary"]),
        texts={n: str(text) for n, text in content["texts"].items()},
        file=Path(content["source"]),
    )


def _broken(name: str, reason: str) -> ExternalMethod:
    base = Path(name if Path(name).is_file() else name.rpartition("+")[0] or name)
    file = base if base.is_file() else Path(__file__)
    return ExternalMethod(base.stem, _not_here, (), "", file=file, broken=reason)


def _not_here(**_: Any) -> NoReturn:
    raise RuntimeError("a method's description cannot be called; load the method with `registry.find`")
