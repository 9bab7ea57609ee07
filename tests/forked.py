"""Run `qsmbench` commands in forks of a process that has imported the package, to save the time of its imports.

A command such as `run` starts itself in a child process with a new interpreter. Tests that run dozens of commands would
spend more time on imports than on anything else. Here the child, and the warm process that a study starts, are forks
of one process that has only imported modules and has a single thread. Tests of the processes themselves do not use it.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import traceback
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

LENGTH = 8
"""Size of the length field before a request [bytes]."""

PRIVATE = ("PYTEST_CURRENT_TEST", "QSMBENCH_PARENT", "QSMBENCH_PIPE", "KMP_INIT_AT_FORK")
"""Environment variables in which a command may differ from the process that it is a fork of."""

ONE_THREAD = {
    **dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # Arrow's allocator, which pandas imports
}
"""Environment of a process with a single thread."""


class Forks:
    """The process that has imported the package; `popen` takes the place of `subprocess.Popen` in `supervise`."""

    def __init__(self) -> None:
        self._known = _compared(os.environ)
        ours, theirs = socket.socketpair()
        self._requests = ours
        environment = {**os.environ, **ONE_THREAD}
        with theirs:
            self._process = subprocess.Popen([sys.executable, "-P", __file__], stdin=theirs.fileno(), env=environment)
        ours.recv(1)  # it is ready

    def popen(self, command, *, env, pass_fds, start_new_session, **more):
        """Start a command as a fork; where its environment is another one, in an interpreter of its own."""
        if _compared(env) != self._known:
            more |= {"pass_fds": pass_fds, "start_new_session": start_new_session}
            return subprocess.Popen(command, env=env, **more)
        assert command[1:4] == ["-P", "-m", "qsmbench.cli"] and start_new_session and not more
        (writing,) = pass_fds
        answers, theirs = socket.socketpair()
        content = json.dumps([command[4:], str(Path.cwd()), dict(env)]).encode()
        with theirs:
            socket.send_fds(self._requests, [len(content).to_bytes(LENGTH)], [1, 2, writing, theirs.fileno()])
        self._requests.sendall(content)
        return Command(answers)

    def close(self) -> None:
        """End the process."""
        self._requests.close()
        self._process.wait()


class Command:
    """A command that runs in a fork, like a `subprocess.Popen`."""

    def __init__(self, answers: socket.socket) -> None:
        self._answers = answers
        self._code: int | None = None
        self.pid = self._answer(None)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; return the exit code, negative for a signal."""
        if self._code is None:
            self._code = self._answer(timeout)
            self._answers.close()
        return self._code

    def _answer(self, timeout: float | None) -> int:
        ready, _, _ = select.select([self._answers], [], [], timeout)
        if not ready:
            raise subprocess.TimeoutExpired("qsmbench", timeout or 0)
        return int.from_bytes(self._answers.recv(4), signed=True)


def _compared(environment) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name not in PRIVATE}


# In the process that has imported the package


def serve(requests: socket.socket) -> None:
    """Fork for each request, until the other end is closed."""
    _import_all()
    running: dict[int, socket.socket] = {}
    requests.send(b"r")
    while True:
        ready, _, _ = select.select([requests], [], [], 0.02 if running else None)
        for pid in list(running):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                _tell(running.pop(pid), os.waitstatus_to_exitcode(status))
        if ready:
            request = _receive(requests)
            if request is None:
                return
            (arguments, folder, environment), streams = request
            answers = socket.socket(fileno=streams.pop())
            pid = os.fork()
            if pid == 0:
                _become(arguments, folder, environment, streams)
            for stream in streams:
                os.close(stream)
            running[pid] = answers
            _tell(answers, pid)


def _import_all() -> None:
    """Import what commands and the jobs of a study need."""
    import matplotlib

    matplotlib.use("Agg")
    import snakemake.cli

    from qsmbench import metrics
    from qsmbench.dependencies import PACKAGE
    from qsmbench.run import registry

    for name in ("cli", "conform", "conform.page", "study.workflow", "study.batch", "run.step", "run.worker"):
        import_module(f"qsmbench.{name}")
    for file in sorted((PACKAGE / "study" / "jobs").glob("[a-z]*.py")):
        import_module(f"qsmbench.study.jobs.{file.stem}")
    for name in registry.names():
        registry.find(name)
    metrics.modules()
    gc.collect()
    gc.freeze()
    assert snakemake.cli
    assert len(list(Path("/proc/self/task").iterdir())) == 1, "a process with threads must not be forked"


def _receive(requests: socket.socket):
    header, streams, _, _ = socket.recv_fds(requests, LENGTH, 4)
    if not header:
        return None
    length, content = int.from_bytes(header), b""
    while len(content) < length:
        content += requests.recv(length - len(content))
    return json.loads(content), streams


def _tell(answers: socket.socket, number: int) -> None:
    with contextlib.suppress(OSError):
        answers.send(number.to_bytes(4, signed=True))


def _become(arguments, folder, environment, streams) -> None:
    """Be the command, with its streams, folder and environment; never return."""
    code = 1
    try:
        os.setsid()
        for number, stream in zip((1, 2), streams, strict=False):
            os.dup2(stream, number)
            os.close(stream)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update({**environment, "QSMBENCH_PARENT": str(os.getppid()), "QSMBENCH_PIPE": str(streams[2])})
        sys.argv = ["qsmbench", *arguments]
        from qsmbench import cli
        from qsmbench.study import warm

        warm.subprocess = SimpleNamespace(Popen=_warm)  # type: ignore[attr-defined]
        cli.main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        os._exit(code)


def _warm(command, *, stdin, env, start_new_session):
    """Start the warm process of a study as a fork of its command."""
    assert command[1:4] == ["-P", "-m", "qsmbench.study.warm"] and start_new_session
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setsid()
            os.dup2(stdin, 0)
            os.environ.clear()
            os.environ.update(env)
            from qsmbench.study import warm

            warm.main(int(command[4]), command[5:])
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return SimpleNamespace(pid=pid, terminate=lambda: os.kill(pid, signal.SIGTERM), wait=lambda: os.waitpid(pid, 0))


if __name__ == "__main__":
    serve(socket.socket(fileno=os.dup(0)))
