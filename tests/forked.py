"""Run `qsmbench` commands in forks of a process that has imported the package, to save the time of its imports.

A command such as `run` starts itself in a child process with a new interpreter, and a study starts a warm process with
another. Tests that run a hundred commands would spend more time on imports than on anything else. Here all of these are
forks of one process, which has only imported modules and has a single thread. Tests of the processes themselves, and of
what is installed, start interpreters.
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
import tempfile
import time
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

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
    """The process that has imported the package, and that commands are forked from."""

    def __init__(self) -> None:
        self._known = _compared(os.environ)
        ours, theirs = socket.socketpair()
        self._requests = ours
        environment = {**os.environ, **ONE_THREAD}
        with theirs:
            self._process = subprocess.Popen([sys.executable, "-P", __file__], stdin=theirs.fileno(), env=environment)
        ours.recv(1)  # it is ready

    def run(self, arguments, folder) -> subprocess.CompletedProcess:
        """Run `qsmbench` with some arguments in a folder; what it writes to its streams is kept."""
        assert _compared(os.environ) == self._known, "a command in another environment needs its own interpreter"
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as error:
            command = self._start(arguments, str(folder), os.environ, [out.fileno(), error.fileno()])
            try:
                code = command.wait(600)
            except subprocess.TimeoutExpired:
                os.killpg(command.pid, signal.SIGKILL)
                raise
            for stream in (out, error):
                stream.seek(0)
            return subprocess.CompletedProcess(arguments, code, out.read().decode(), error.read().decode())

    def popen(self, command, *, env, pass_fds, start_new_session):
        """Start a command's child; takes the place of `subprocess.Popen` in `supervise`."""
        if _compared(env) != self._known:
            return subprocess.Popen(command, env=env, pass_fds=pass_fds, start_new_session=start_new_session)
        module, *arguments = command[3:]
        assert command[1:3] == ["-P", "-m"] and module == "qsmbench.cli"
        return self._start(arguments, str(Path.cwd()), env, [1, 2, *pass_fds])

    def _start(self, arguments, folder, environment, streams) -> Command:
        answers, theirs = socket.socketpair()
        content = json.dumps([[str(a) for a in arguments], folder, dict(environment)]).encode()
        with theirs:
            socket.send_fds(self._requests, [len(content).to_bytes(LENGTH)], [*streams, theirs.fileno()])
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
            (arguments, folder, environment), (*streams, last) = request
            answers = socket.socket(fileno=last)

            def command(arguments=arguments, folder=folder, environment=environment, streams=streams) -> None:
                for number, stream in zip((1, 2), streams, strict=False):
                    os.dup2(stream, number)
                os.chdir(folder)
                if "QSMBENCH_PIPE" in environment:  # the child of a command
                    environment |= {"QSMBENCH_PARENT": str(os.getppid()), "QSMBENCH_PIPE": str(streams[2])}
                _become("qsmbench.cli", arguments, environment)

            pid = _fork(command)
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


# In the forks


def _fork(run: Callable[[], object]) -> int:
    """Run a function in a fork that leads a session; return its process id."""
    pid = os.fork()
    if pid == 0:
        _end_with(run)
    return pid


def _end_with(run: Callable[[], object]) -> NoReturn:
    """Run a function, and end this process as an interpreter would."""
    code = 1
    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        run()
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


def _become(module: str, arguments: list[str], environment: dict[str, str]) -> None:
    """Do what `python -P -m MODULE` with these arguments does."""
    os.environ.clear()
    os.environ.update(environment)
    from qsmbench import cli, supervise
    from qsmbench.study import warm

    for starts in (supervise, warm):
        starts.subprocess = SimpleNamespace(Popen=Popen, TimeoutExpired=subprocess.TimeoutExpired)
    if module == warm.__name__:
        warm.main(int(arguments[0]), arguments[1:])
    else:
        sys.argv = ["qsmbench", *arguments]
        cli.main()


class Popen:
    """A child of a fork: a fork itself."""

    def __init__(self, command, *, env, stdin=None, pass_fds=(), start_new_session=False) -> None:
        module, *arguments = command[3:]
        assert command[1:3] == ["-P", "-m"] and start_new_session

        def child() -> None:
            if stdin is not None:
                os.dup2(stdin, 0)
            _become(module, arguments, dict(env))

        self.pid = _fork(child)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; return the exit code, negative for a signal."""
        end = None if timeout is None else time.monotonic() + timeout
        while end is not None:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                return self._ended(status)
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired("qsmbench", timeout or 0)
            time.sleep(0.02)
        return self._ended(os.waitpid(self.pid, 0)[1])

    def _ended(self, status: int) -> int:
        code = os.waitstatus_to_exitcode(status)
        self.wait = lambda timeout=None: code  # type: ignore[method-assign]
        return code

    def terminate(self) -> None:
        """Ask it to end."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)


if __name__ == "__main__":
    serve(socket.socket(fileno=os.dup(0)))
