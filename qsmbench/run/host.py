"""A process that runs steps one after the other, each in a fork of its own, so that a chain starts one interpreter.

It has imported the libraries and the methods of this package that were asked for, and nothing of others; it has one
thread. Steps outside a study run here; the jobs of a study have a process of their own (`study/warm.py`).
"""

from __future__ import annotations

import contextlib
import gc
import json
import math
import os
import select
import socket
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Self

from qsmbench.child import ONE_THREAD, Fork, kill_group, read_nothing
from qsmbench.probe import how_it_ended
from qsmbench.run.specs import RUN_FILE, Record, StepSpec, read_record, to_spec

NEEDED = ("qsmbench.run.step", "qsmbench.run.worker")
"""Modules that every step imports."""

WATCH = 0.1
"""Interval of checks that whoever asked still waits [s]."""


class StepHost:
    """The process; it starts with the first step, and ends with the block of `with`."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            for end in (self._answers, self._requests):
                end.close()
            self._process.wait()

    def run(self, spec: StepSpec) -> Record:
        """Run a step as `step.run` does; return its record."""
        if self._process is None:
            self._start()
        content = {"spec": replace(spec, out=str(Path(spec.out).absolute())).to_json(), "environment": dict(os.environ)}
        code = self._answer(json.dumps(content) + "\n")
        record = read_record(Path(spec.out) / RUN_FILE) if code == 0 else None
        reason = "the process that runs the steps has ended" if code is None else f"crashed: {how_it_ended(code)}"
        return record or Record(f"step {spec.chain}", "failed", reason, transient=True)

    def _answer(self, line: str) -> int | None:
        """Send a line; return the exit code of the step, or None if the process has ended."""
        try:
            self._requests.sendall(line.encode())
            return int(self._answers.readline())
        except (OSError, ValueError):
            return None

    def _start(self) -> None:
        self._requests, theirs = socket.socketpair()
        self._answers = self._requests.makefile("r")
        command = [sys.executable, "-P", "-m", __name__]
        environment = {**os.environ, **ONE_THREAD}
        # a session of its own: where the process group is interrupted, it is left to clean up
        with theirs:
            self._process = subprocess.Popen(command, stdin=theirs.fileno(), env=environment, start_new_session=True)


def main() -> None:
    """Run the steps that arrive at standard input, until it is closed."""
    from qsmbench.compiled import warm_up
    from qsmbench.run import registry

    for module in NEEDED:
        import_module(module)
    warm_up()
    requests = socket.socket(fileno=os.dup(0))
    lines = requests.makefile("rw")
    while line := lines.readline():
        asked = json.loads(line)
        spec = to_spec(asked["spec"], "step")
        assert isinstance(spec, StepSpec)
        if spec.own_code and not spec.broken:
            with contextlib.suppress(Exception):  # the step says why
                registry.find(spec.method)
        gc.collect()
        gc.freeze()  # a fork would copy what the collector touches
        code = _run(spec, asked["environment"], requests)
        if code is None:
            return
        lines.write(f"{code}\n")
        lines.flush()


def _run(spec: StepSpec, environment: dict[str, str], requests: socket.socket) -> int | None:
    """Run a step in a fork; return its exit code, or None if nobody waits for it any more."""

    def work() -> None:
        read_nothing()
        os.dup2(0, requests.fileno())  # or nobody would see that the host has ended
        os.environ.clear()
        os.environ.update(environment)
        import_module("qsmbench.run.step").run(spec, fork=True)

    step = Fork(work)
    while (code := step.wait(WATCH)) is None:
        if select.select([requests], [], [], 0)[0]:
            kill_group(step)
            step.wait(math.inf)
            return None
    return code


if __name__ == "__main__":
    main()
