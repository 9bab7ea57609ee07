"""Ask a process of its own about third-party Python, which may do anything as it is imported.

It may raise, exit, crash the interpreter or never return; whoever asks gets an answer, or the reason why there is none.
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
"""s, for importing a module; assumed, PyTorch takes some ten on a cold disk."""


def how_it_ended(code: int) -> str:
    """Return how a process ended, by its return code as `subprocess` tells it."""
    if code >= 0:
        return f"exit code {code}"
    known = {s.value: s.name for s in signal.Signals}
    return f"killed by {known.get(-code, f'signal {-code}')}"


def ask(module: str, name: str, room: Callable[[Path, Path], Sandbox] | None = None) -> dict[str, Any]:
    """Run `python -m MODULE NAME ANSWER.json` and return its answer; see `answer`.

    Args:
        module: of qsmbench; ends in a call of `answer`.
        name: what it is to import.
        room: what the process is shut in, made of two empty folders: one to work in, and the one for the answer.

    Returns:
        what it says; or, with the key `error`, why it says nothing.
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
    """Answer `ask` in the process that it runs: with what `find` says of the name, or what it raises."""
    try:
        content = find(sys.argv[1])
    except BaseException as e:  # whatever it raises is the answer
        content = {"error": " ".join(str(e).split()) or type(e).__name__}
    Path(sys.argv[2]).write_text(json.dumps(content))
    os._exit(0)  # what it left running does not keep us
