"""What a method of others is, found out by importing it in a process of its own.

As it is imported, others' Python may raise, exit, crash the interpreter or never return; only its own row may suffer.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.method import ExternalMethod

TIME_LIMIT = 60.0
"""s, for importing a method."""


@cache
def described(name: str) -> ExternalMethod:
    """Return a description of the method called `name`; `broken` says why it cannot be imported.

    Args:
        name: of an entry point, or path of a Python file, perhaps with a choice of the regularisation; see
            `registry.find`.
    """
    content = _ask(name)
    base = Path(name.partition("+")[0])
    file = base if base.is_file() else None
    if "error" in content:
        return ExternalMethod(base.stem, _not_here, (), "", file=file or Path(__file__), broken=str(content["error"]))
    return ExternalMethod(
        name=str(content["name"]),
        function=_not_here,
        produces=tuple(content["produces"]),
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


def _not_here(**_: Any) -> NoReturn:
    raise RuntimeError("this is the description of a method; `registry.find` loads it")


def _ask(name: str) -> dict[str, Any]:
    """What the process says, checked; or an error."""
    with tempfile.TemporaryDirectory(prefix="qsmbench-", ignore_cleanup_errors=True) as folder:
        answer = Path(folder) / "answer.json"
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "qsmbench.run.describe", name, str(answer)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            code = process.wait(TIME_LIMIT)
        except subprocess.TimeoutExpired:
            return {"error": f"{name}: cannot be imported: took longer than {TIME_LIMIT:g} s"}
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        try:
            content = json.loads(answer.read_text())
            return content if "error" in content else _checked(content)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {"error": f"{name}: cannot be imported: the process ended ({how})"}


def _checked(content: dict[str, Any]) -> dict[str, Any]:
    if not all(isinstance(n, str) and n in ARTIFACTS for n in content["produces"]) or not content["produces"]:
        raise ValueError("produces no artifact")
    if not isinstance(content["settings"], dict) or not all(isinstance(n, str) for n in content["consumes"]):
        raise TypeError("is no description")
    return content


def main() -> None:
    """Entry point of the process: the method's name, and the file to write."""
    name, answer = sys.argv[1], Path(sys.argv[2])
    content: dict[str, Any]
    try:
        from qsmbench.run import registry

        m = registry.find(name)
        content = {
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
    except BaseException as e:  # whatever it raises is the answer
        content = {"error": " ".join(str(e).split())}
    answer.write_text(json.dumps(content))
    os._exit(0)  # what it left running does not keep us


def _plain(value: Any) -> Any:
    """A default as JSON: numbers of NumPy as Python's, anything strange as text."""
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return value.item() if hasattr(value, "item") else str(value)


if __name__ == "__main__":
    main()
