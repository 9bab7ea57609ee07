"""Child processes in their own sessions: a program, or a function in a fork of this process, which starts at once."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn, Protocol

from qsmbench.log import MAX_LOG, Log

_SET_CHILD_SUBREAPER = 36  # prctl(2)

ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""Environment of a process that forks: a library that starts threads when it is imported could not be forked safely."""

LONGEST_PAUSE = 0.1
"""Interval of checks whether a child has ended [s]."""


class Child(Protocol):
    """A child process. It leads a session, so that killing its group also ends the processes that it started."""

    pid: int

    def wait(self, timeout: float) -> int | None:
        """Return the exit code, negative for a signal as in `subprocess`; None if it still runs after `timeout` [s]."""


class Program:
    """A program that runs in a child process.

    Args:
        command: the program and its arguments.
        output: file or pipe that receives its output.
        environment: its environment variables.
    """

    def __init__(self, command: Sequence[str], output: IO[bytes] | int, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
        self.pid = self._process.pid

    def wait(self, timeout: float) -> int | None:
        """Wait as `Child.wait` says."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(timeout)
        return None


class Fork:
    """A function that runs in a fork of this process.

    Args:
        run: the function; where it returns, the exit code is 0.
    """

    def __init__(self, run: Callable[[], object]) -> None:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        self._code: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            _run(run)

    def wait(self, timeout: float) -> int | None:
        """Wait as `Child.wait` says."""
        end, pause = time.monotonic() + timeout, 0.001
        while self._code is None:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            left = end - time.monotonic()
            if done:
                self._code = os.waitstatus_to_exitcode(status)
            elif left <= 0:
                return None
            else:
                time.sleep(min(left, pause))
                pause = min(1.5 * pause, LONGEST_PAUSE)
        return self._code


def run_and_tell(command: Sequence[str], where: Path, environment: Mapping[str, str]) -> tuple[int, str]:
    """Run a command in the folder `where`, pass on what it says, and return its exit code and what it said.

    Of a long log, the beginning and the end are kept. What the command leaves running in the background does not keep
    us waiting; `qsmbench.run.step` ends it.
    """
    log = Log(_print, MAX_LOG - 1024)  # less than what is kept of a step, or it would be cut twice
    with subprocess.Popen(
        command,
        cwd=where,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout is not None
        reader = threading.Thread(target=log.read, args=(process.stdout.fileno(),), daemon=True)
        reader.start()
        try:
            code = process.wait()
        except BaseException:  # a limit of time, or an interruption: leaving would wait for the process
            process.kill()
            raise
        reader.join(timeout=1)
        if reader.is_alive():  # somebody in the background holds the pipe: leave it, closing it would wait
            process.stdout = None
    log.close()
    return code, log.text()


def _print(said: bytes) -> None:
    sys.stdout.flush()
    if hasattr(sys.stdout, "buffer"):
        sys.stdout.buffer.write(said)
    else:  # of a notebook
        sys.stdout.write(said.decode(errors="replace"))
    sys.stdout.flush()


def read_nothing() -> None:
    """Give this process, a fork, an empty standard input in place of its parent's."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


def adopt_orphans(adopt: bool) -> bool:
    """Have descendants of this process become its children when their own parent ends, or no longer.

    A process that forks twice and opens a session of its own would otherwise leave the family.

    Returns:
        whether the system can do that; only Linux can.
    """
    return sys.platform == "linux" and ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, int(adopt), 0, 0, 0) == 0


def kill_group(child: Child) -> None:
    """Kill a child and its process group."""
    for kill in (os.killpg, os.kill):  # it may not lead a group yet
        with contextlib.suppress(ProcessLookupError):
            kill(child.pid, signal.SIGKILL)


def _run(run: Callable[[], object]) -> NoReturn:
    code = 1
    try:
        os.setsid()
        run()
        code = 0
    except SystemExit as end:
        code = _exit_code(end.code)
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


def _exit_code(given: Any) -> int:
    """The exit code that Python gives for what `sys.exit` was called with; a text is written to stderr."""
    if given is None or isinstance(given, int):
        return given or 0
    sys.stderr.write(f"{given}\n")
    return 1
