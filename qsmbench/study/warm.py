"""A warm process from which the jobs of a study are forked, so that no job starts a new interpreter.

`WarmProcess` starts it for the run of a study; `ask.py` sends it one job at a time. It has imported the modules that
jobs and built-in methods need, and does nothing else: it has one thread, never opens a scan, a truth or a
specification, and never imports third-party code; only its forks do. If there is no warm process, a job runs in a new
interpreter.
"""

from __future__ import annotations

import contextlib
import gc
import math
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from qsmbench.child import ONE_THREAD, Fork, kill_group, read_nothing
from qsmbench.compiled import warm_up
from qsmbench.study import ask

JOBS = "qsmbench.study.jobs"
NEEDED = (
    f"{JOBS}.__main__",
    f"{JOBS}.noise",
    f"{JOBS}.score",
    "qsmbench.run.step",
    "qsmbench.run.worker",
)
"""Modules that most jobs import."""

WATCH = 0.5
"""Interval of checks that the study still runs [s]."""


class WarmProcess:
    """The warm process of a study's run. After the study ends, it ends the remaining jobs and exits.

    Args:
        modules: dotted names of further modules of this package to import.
    """

    def __init__(self, modules: Sequence[str]) -> None:
        self._folder = tempfile.mkdtemp(prefix="qsmbench-")
        self._process: subprocess.Popen[bytes] | None = None
        address = str(Path(self._folder, "socket"))
        with socket.socket(socket.AF_UNIX) as listening, contextlib.suppress(OSError):  # a path may be too long
            listening.bind(address)
            listening.listen(128)
            command = [sys.executable, "-P", "-m", __name__, str(os.getpid()), *NEEDED, *modules]
            environment = {**os.environ, **ONE_THREAD}
            # a session of its own: where the study's process group is killed, it is left to clean up
            self._process = subprocess.Popen(command, stdin=listening.fileno(), env=environment, start_new_session=True)
            os.environ[ask.ADDRESS] = f"{os.getpid()}:{address}"

    @property
    def pid(self) -> int:
        """Process id; 0 if it could not be started."""
        return self._process.pid if self._process else 0

    def stop(self) -> None:
        """End the process and all of its jobs."""
        os.environ.pop(ask.ADDRESS, None)
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


class _Jobs:
    """The running jobs, each with the connection to the process that requested it."""

    def __init__(self) -> None:
        self._running: list[tuple[Fork, socket.socket]] = []

    @property
    def connections(self) -> list[socket.socket]:
        return [connection for _, connection in self._running]

    def start(self, connection: socket.socket) -> None:
        """Fork a job with the working directory, environment and streams of the process that requests it."""
        connection.settimeout(WATCH)
        (job, folder, *environment), streams = _receive(connection)
        ours = [connection, *self.connections]

        def work() -> None:
            _forget(ours)
            for number, stream in zip(ask.STREAMS, streams, strict=True):
                os.dup2(stream, number)
            os.environ.clear()
            os.environ.update(dict(value.split("=", 1) for value in environment))
            os.environ.pop(ask.ADDRESS, None)  # no job asks for another
            os.chdir(folder)
            import_module(f"{JOBS}.__main__").main(Path(job), warm=True)

        self._running.append((Fork(work), connection))
        for stream in streams:
            os.close(stream)

    def end(self, gone: Sequence[object] = ()) -> None:
        """Report the jobs that have ended; kill those whose connection is closed."""
        for entry in list(self._running):
            job, connection = entry
            if connection in gone:
                kill_group(job)
            code = job.wait(math.inf if connection in gone else 0)
            if code is not None:
                with contextlib.suppress(OSError):
                    connection.send(bytes([code if code >= 0 else 128 - code]))
                connection.close()
                self._running.remove(entry)


def _receive(connection: socket.socket) -> tuple[list[str], list[int]]:
    """Return a request and the file descriptors of its streams."""
    header, streams, _, _ = socket.recv_fds(connection, ask.LENGTH, len(ask.STREAMS))
    if len(header) < ask.LENGTH:
        raise ConnectionError("whoever asked has ended before the request was complete")
    length, content = int.from_bytes(header), b""
    while len(content) < length:
        part = connection.recv(length - len(content))
        if not part:
            for stream in streams:
                os.close(stream)
            raise ConnectionError("whoever asked has ended before the request was complete")
        content += part
    return os.fsdecode(content).split("\0"), streams


def _forget(connections: Sequence[socket.socket]) -> None:
    """Reset, in a fork, the connections, signal handlers and standard input of the warm process."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for connection in connections:
        connection.close()
    read_nothing()


def main(study: int, modules: Sequence[str]) -> None:
    """Serve the process `study` until it ends; then end the remaining jobs and remove the socket."""
    for module in modules:
        import_module(module)
    warm_up()
    gc.collect()
    gc.freeze()  # a fork would copy what the collector touches
    woken, wakes = socket.socketpair()
    for end in (woken, wakes):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes.fileno())
    listening, jobs = socket.socket(fileno=0), _Jobs()
    while os.getppid() == study:
        ready, _, _ = select.select([listening, woken, *jobs.connections], [], [], WATCH)
        if woken in ready:
            woken.recv(1024)
        jobs.end(gone=[r for r in ready if r not in (listening, woken)])
        if listening in ready:
            connection, _ = listening.accept()
            try:
                jobs.start(connection)
            except OSError:  # whoever asked has ended
                connection.close()
    jobs.end(gone=jobs.connections)
    shutil.rmtree(Path(listening.getsockname()).parent, ignore_errors=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
