"""Run `qsmbench` commands in forks of a process that has imported the package, to save the time of its imports.

A command such as `run` starts itself in a child process with a new interpreter, and a study starts a warm process with
another. Tests that run a hundred commands would spend more time on imports than on anything else. Here all of these are
forks of one process, which has only imported modules and has a single thread. Tests of the processes themselves, and of
what is installed, start interpreters.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import json
import math
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

from qsmbench.child import ONE_THREAD, Fork, read_nothing

LENGTH = 8
"""Size of the length field before a request [bytes]."""

PRIVATE = ("PYTEST_CURRENT_TEST", "QSMBENCH_PARENT", "QSMBENCH_PIPE", "KMP_INIT_AT_FORK")
"""Environment variables that a command may have anew: those of pytest, of `supervise` and of a library of threads."""

SINGLE = {**ONE_THREAD, "JE_ARROW_MALLOC_CONF": "background_thread:false"}  # of Arrow's allocator, which pandas imports
"""Environment of a process with a single thread."""


class Forks:
    """The process that has imported the package, and that commands are forked from."""

    def __init__(self) -> None:
        self._known = _compared(os.environ)
        ours, theirs = socket.socketpair()
        self._requests = ours
        environment = {**os.environ, **SINGLE}
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
    running: list[tuple[Fork, socket.socket]] = []
    requests.send(b"r")
    while True:
        ready, _, _ = select.select([requests], [], [], 0.02 if running else None)
        for command, answers in list(running):
            code = command.wait(0)
            if code is not None:
                _tell(answers, code)
                answers.close()
                running.remove((command, answers))
        if ready:
            request = _receive(requests)
            if request is None:
                return
            (arguments, folder, environment), (*streams, last) = request
            answers = socket.socket(fileno=last)

            def run(arguments=arguments, folder=folder, environment=environment, streams=streams) -> None:
                for number, stream in zip((1, 2), streams, strict=False):
                    os.dup2(stream, number)
                os.chdir(folder)
                if "QSMBENCH_PIPE" in environment:  # the child of a command
                    environment |= {"QSMBENCH_PARENT": str(os.getppid()), "QSMBENCH_PIPE": str(streams[2])}
                _become("qsmbench.cli", arguments, environment)

            command = _fork(run)
            for stream in streams:
                os.close(stream)
            running.append((command, answers))
            _tell(answers, command.pid)


def _import_all() -> None:
    """Import what commands and the jobs of a study need."""
    import matplotlib

    matplotlib.use("Agg")
    import snakemake.cli

    from qsmbench import metrics
    from qsmbench.dependencies import PACKAGE
    from qsmbench.run import registry

    for name in (
        "cli",
        "conform",
        "conform.page",
        "study.workflow",
        "study.batch",
        "run.step",
        "run.worker",
        "run.host",
    ):
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


def _fork(run: Callable[[], object]) -> Fork:
    """Run a function in a fork, with the signals and the standard input of a new interpreter."""

    def work() -> None:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        read_nothing()
        run()

    return Fork(work)


def _become(module: str, arguments: list[str], environment: dict[str, str]) -> None:
    """Do what `python -P -m MODULE` with these arguments does."""
    os.environ.clear()
    os.environ.update(environment)
    from qsmbench import cli, supervise
    from qsmbench.run import host
    from qsmbench.study import warm

    for starts in (supervise, warm, host):
        starts.subprocess = SimpleNamespace(Popen=Popen, TimeoutExpired=subprocess.TimeoutExpired)
    if module == warm.__name__:
        warm.main(int(arguments[0]), arguments[1:])
    elif module == host.__name__:
        host.main()
    else:
        sys.argv = ["qsmbench", *arguments]
        cli.main()


def _close_what_exec_closes(kept) -> None:
    """Close the files that a new program would not have, such as the parent's end of a pair of sockets."""
    for number in [int(file.name) for file in Path("/proc/self/fd").iterdir()]:
        with contextlib.suppress(OSError):  # the folder itself
            if number > 2 and number not in kept and fcntl.fcntl(number, fcntl.F_GETFD) & fcntl.FD_CLOEXEC:
                os.close(number)


class Popen:
    """A child of a fork: a fork itself."""

    def __init__(self, command, *, env, stdin=None, pass_fds=(), start_new_session=False) -> None:
        module, *arguments = command[3:]
        assert command[1:3] == ["-P", "-m"] and start_new_session

        def child() -> None:
            if stdin is not None:
                os.dup2(stdin, 0)
            _close_what_exec_closes(pass_fds)
            _become(module, arguments, dict(env))

        self._fork = _fork(child)
        self.pid = self._fork.pid

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; return the exit code, negative for a signal."""
        code = self._fork.wait(math.inf if timeout is None else timeout)
        if code is None:
            raise subprocess.TimeoutExpired("qsmbench", timeout or 0)
        return code

    def terminate(self) -> None:
        """Ask it to end."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)


if __name__ == "__main__":
    serve(socket.socket(fileno=os.dup(0)))
