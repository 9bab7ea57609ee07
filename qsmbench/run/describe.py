"""What a method of others is, found out by importing it in a process of its own."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from qsmbench import probe
from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.method import ExternalMethod


@cache
def described(name: str) -> ExternalMethod:
    """Return a description of the method called `name`; `broken` says why it cannot be imported.

    Args:
        name: of an entry point, or path of a Python file, perhaps with a choice of the regularisation; see
            `registry.find`.
    """
    content = probe.ask("qsmbench.run.describe", name)
    try:
        return content["error"] and _broken(name, content["error"]) if "error" in content else _method(content)
    except (KeyError, TypeError, ValueError, AttributeError) as e:
        return _broken(name, f"{name}: is described wrongly ({type(e).__name__}: {e})")


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
        file=Path(content["source"]),
    )


def _broken(name: str, reason: str) -> ExternalMethod:
    base = Path(name.partition("+")[0])
    file = base if base.is_file() else Path(__file__)
    return ExternalMethod(base.stem, _not_here, (), "", file=file, broken=reason)


def _not_here(**_: Any) -> NoReturn:
    raise RuntimeError("this is the description of a method; `registry.find` loads it")


def _describe(name: str) -> dict[str, Any]:
    from qsmbench.run import registry

    m = registry.find(name)
    return {
        "name": m.name,
        "produces": m.produces,
        "consumes": m.consumes,
        "settings": {n: _plain(v) for n, v in m.settings.items()},
        "optional": m.optional,
        "reference": m.reference,
        "portable": m.portable,
        "summary": m.summary,
        "watched": m.watched,
        "files": [str(f) for f in m.files],
        "source": str(m.source),
    }


def _plain(value: Any) -> Any:
    """A default as JSON: numbers of NumPy as Python's, anything strange as text."""
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return value.item() if hasattr(value, "item") else str(value)


if __name__ == "__main__":
    probe.answer(_describe)
