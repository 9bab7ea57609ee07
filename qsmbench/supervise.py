"""Run this command in a child process, so that it cannot end unnoticed.

The parent waits, and ends the child and its processes when it is interrupted or terminated. It knows whether the child
finished normally: third-party code may exit, crash or hang when it is imported or run.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from qsmbench.errors import FailedError
from qsmbench.probe import how_it_ended

_PARENT, _PIPE = "QSMBENCH_PARENT", "QSMBENCH_PIPE"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """A signal ended the command."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def is_child() -> bool:
    """Whether this process is the child; if so, make it end with its parent."""
    if os.environ.get(_PARENT) != str(os.getppid()):
        return False
    end_with_parent(os.getppid())
    return True


def done(code: int) -> None:
    """Tell the parent that the child finishes normally, with this exit code."""
    pipe = os.environ.get(_PIPE)
    if pipe and os.environ.get(_PARENT) == str(os.getppid()):
        with contextlib.suppress(OSError, ValueError):
            os.write(int(pipe), f"{code}\n".encode())


def run_in_child(arguments: Sequence[str], *, time_limit: float | None = None) -> NoReturn:
    """Run `qsmbench` with some arguments in a child process, and exit with its exit code.

    Raises:
        FailedError: the child did not finish normally, or took longer than `time_limit` [s].
        Interrupted: a signal ended the command.
    """
    reading, writing = os.pipe()
    environment = {**os.environ, _PARENT: str(os.getpid()), _PIPE: str(writing)}
    previous = {s: signal.signal(s, _raise) for s in SIGNALS if signal.getsignal(s) != signal.SIG_IGN}
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "qsmbench.cli", *arguments],
        env=environment,
        pass_fds=[writing],
        start_new_session=True,
    )
    os.close(writing)
    try:
        code = child.wait(time_limit)
    except subprocess.TimeoutExpired:
        raise FailedError(f"took longer than {time_limit:g} s") from None
    finally:
        for number in previous:
            signal.signal(number, signal.SIG_IGN)
        _end(child)
        for number, handler in previous.items():
            signal.signal(number, handler)
    os.set_blocking(reading, False)
    with open(reading, "rb") as pipe:  # noqa: PTH123  # a pipe
        finished = bool(pipe.read())
    if not finished:
        raise FailedError(f"third-party code ended the command before it had finished ({how_it_ended(code)})")
    sys.exit(code)


def exit_code_of(number: int) -> int:
    """Return the exit code of a command that a signal ended."""
    return 128 + number


def _raise(number: int, _: Any) -> NoReturn:
    raise Interrupted(number)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kill the child's process group. Processes with a group of their own watch their parent and end."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    if sys.stderr.isatty():
        sys.stderr.write("\x1b[?25h")  # a progress bar hides the cursor


def end_with_parent(parent: int, clean_up: Callable[[], object] = lambda: None) -> None:
    """End this process, its group and its descendants soon after its parent, in a thread that watches it.

    Args:
        parent: process id of the parent.
        clean_up: called before.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        clean_up()
        import psutil

        for process in psutil.Process().children(recursive=True):  # some may have sessions of their own
            with contextlib.suppress(psutil.Error):
                process.kill()
        if os.getpgrp() == os.getpid():  # else the group is somebody else's
            os.killpg(os.getpgrp(), signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
