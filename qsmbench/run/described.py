"""The description of a third-party method, obtained from a process that imports it; see `run.describe`."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from qsmbench import probe
from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.method import ExternalMethod


@cache
def described(name: str) -> ExternalMethod:
    """Return a description of the method called `name`; `broken` is the reason if it cannot be imported.

    Args:
        name: of an entry point, or path of a Python file, optionally with a choice of the regularisation; see
            `registry.find`.
    """
    content = probe.ask("qsmbench.run.describe", name)
    try:
        return _broken(name, str(content["error"])) if "error" in content else _method(content)
    except (KeyError, TypeError, ValueError, AttributeError) as e:
        return _broken(name, f"{name}: has an invalid description ({type(e).__name__}: {e})")


def _method(content: dict[str, Any]) -> ExternalMethod:
    produces = tuple(content["produces"])
    if not produces or not all(n in ARTIFACTS for n in produces):
        raise ValueError(f"produces {produces}")
    return ExternalMethod(
        name=str(content["name"]),
        function=_not_here,
        produces=produces,
        reference=str(content["reference"]),
        portable=bool(content["portable"]),
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
