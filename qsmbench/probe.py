"""Inspect third-party Python in a separate process, since its import may do anything.

It may raise, exit, crash the interpreter or never return; the caller gets an answer, or the reason why there is none.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from qsmbench.sandbox import Sandbox, launch_environment, read_plain

TIME_LIMIT = 60.0
"""Time limit for importing a module [s]; assumed: PyTorch takes about ten on a cold disk."""


def how_it_ended(code: int) -> str:
    """Describe the end of a process, by its return code as in `subprocess`."""
    if code >= 0:
        return f"exit code {code}"
    known = {s.value: s.name for s in signal.Signals}
    return f"killed by {known.get(-code, f'signal {-code}')}"


def ask(module: str, name: str, room: Callable[[Path, Path], Sandbox] | None = None) -> dict[str, Any]:
    """Run `python -m MODULE NAME ANSWER.json` and return its answer; see `answer`.

    Args:
        module: module of qsmbench that calls `answer`.
        name: of the module to import.
        room: sandbox of the process, made from two empty folders: one to work in, and one for the answer.

    Returns:
        its answer; or the reason why there is none, as `error`.
    """
    with tempfile.TemporaryDirectory(prefix="qsmbench-", ignore_cleanup_errors=True) as folder:
        work, file = Path(folder, "work"), Path(folder, "out", "answer.json")
        for made in (work, file.parent):
            made.mkdir()
        command = [sys.executable, "-P", "-m", module, name, str(file)]
        process = subprocess.Popen(
            command if room is None else room(work, file.parent).command(command),
            env=None if room is None else launch_environment(),
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
        try:
            content = json.loads(read_plain(file))
        except (OSError, ValueError, RecursionError):
            content = None
    if isinstance(content, dict):
        return content
    return {"error": f"{name}: cannot be imported: the process ended ({how_it_ended(code)})"}


def answer(find: Callable[[str], dict[str, Any]]) -> NoReturn:
    """Answer `ask` in its process: with the result of `find` for the name, or the exception that it raises."""
    try:
        content = find(sys.argv[1])
    except BaseException as e:  # whatever it raises is the answer
        content = {"error": " ".join(str(e).split()) or type(e).__name__}
    Path(sys.argv[2]).write_text(json.dumps(content))
    os._exit(0)  # what it left running does not keep us
