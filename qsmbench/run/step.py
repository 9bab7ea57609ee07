"""Run one step of a chain in a process of its own, within limits of time and memory, and record how it went.

`run` never fails because of a method: what went wrong stands in the record, so that one failing method does not stop
a study. This file imports next to nothing, since it runs once per step.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import IO, Any

import psutil

from qsmbench.child import Child, Fork, Program
from qsmbench.probe import how_it_ended
from qsmbench.run.specs import RUN_FILE, Record, StepSpec, write_spec

OUTCOME_FILE = "outcome.json"
"""The file in which the worker reports on its run, in its TMPDIR."""

WATCH = 0.05
"""How often memory is looked at [s]: a method fills some 100 MiB in that time."""


def run(spec: StepSpec, *, fork: bool = False) -> Record:
    """Run the step that `spec` describes, and write its products and its record, `run.json`, into its folder.

    Args:
        spec: the step.
        fork: whether a method of this package runs in a fork of this process, without imports of its own. Others' code
            always runs in a new process, which has nothing of this one.
    """
    out = Path(spec.out)
    out.mkdir(parents=True, exist_ok=True)
    for old in out.iterdir():
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    broken = {"status": "failed", "reason": spec.broken}
    outcome: dict[str, Any] = broken if spec.broken else _watch(spec, out, fork=fork)
    outcome["reason"] = one_line(outcome["reason"])
    limits = {"time_limit": spec.time_limit, "memory_limit": spec.memory_limit}
    details = {"chain": spec.chain, "method": spec.method, "settings": spec.settings, "limits": limits}
    details |= {"wall": outcome.pop("wall", None), **outcome.pop("details", {})}
    files = outcome.pop("files", []) if outcome["status"] == "ok" else []
    products = {str(Path(f).relative_to(out)): digest(Path(f)) for f in files}
    record = Record(name=f"step {spec.chain}", products=products, details=details, **outcome)
    write_spec(out / RUN_FILE, record)
    return record


def digest(file: Path) -> str:
    """Return a digest of the content of a file."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def one_line(text: str, longest: int = 500) -> str:
    """Return a text that others wrote as a table or a terminal bears it: no line breaks, no control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:longest]


def _watch(spec: StepSpec, out: Path, *, fork: bool) -> dict[str, Any]:
    """Run the worker, end it at its limits, and say how it ended. Nothing of it is left, on disk or running."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="qsmbench-", ignore_cleanup_errors=True) as scratch:
        with (out / "log.txt").open("wb") as log:
            worker = (_forked if fork and spec.own_code else _started)(spec, scratch, log)
        family = Family(worker.pid, scratch)
        try:
            end = _wait(worker, family, spec)
        finally:
            family.kill()
            worker.wait(math.inf)
            contained = _end_containers(spec, Path(scratch))
        outcome = _outcome(end, Path(scratch), out / "log.txt")
    wall = time.perf_counter() - start
    return {"wall": wall, "seconds": wall, "peak_memory": None if contained else _peak(), **outcome}


def _started(spec: StepSpec, scratch: str, log: IO[bytes]) -> Child:
    """The worker, as a new process."""
    command = [sys.executable, "-P", "-m", "qsmbench.run.worker", json.dumps(spec.to_json()), str(os.getpid()), scratch]
    return Program(command, log, {**os.environ, "TMPDIR": scratch})


def _forked(spec: StepSpec, scratch: str, log: IO[bytes]) -> Child:
    """The worker, as a fork of this process."""
    served = os.getpid()

    def work() -> None:
        for output in (1, 2):
            os.dup2(log.fileno(), output)
        os.environ["TMPDIR"] = tempfile.tempdir = scratch
        import_module("qsmbench.run.worker").serve(spec, served, scratch)

    return Fork(work)


def _outcome(end: int | tuple[str, str], scratch: Path, log: Path) -> dict[str, Any]:
    """Status and reason, and what else the worker knows if it left an account."""
    if isinstance(end, tuple):
        return {"status": end[0], "reason": end[1]}
    if end == 0:
        with contextlib.suppress(OSError, ValueError):
            outcome: dict[str, Any] = json.loads((scratch / OUTCOME_FILE).read_text())
            return outcome
    reason = f"crashed: {how_it_ended(end)}"
    last = log.read_text(errors="replace").strip().splitlines()[-1:]
    reason = f"{reason} ({last[0][:200]})" if last else reason
    # the system kills processes when memory runs out, which another run may not meet
    return {"status": "failed", "reason": reason, "transient": end == -signal.SIGKILL}


def _wait(worker: Child, family: Family, spec: StepSpec) -> int | tuple[str, str]:
    """The worker's exit code, or status and reason where it broke a limit. A killed study leaves nothing running."""
    parent, end = os.getppid(), time.perf_counter() + spec.time_limit
    pause = 1.0 if spec.memory_limit is None else WATCH
    while (left := end - time.perf_counter()) > 0:
        if (code := worker.wait(min(left, pause))) is not None:
            return code
        if spec.memory_limit is not None:
            before = time.perf_counter()
            if family.exceeds(spec.memory_limit):
                return "memory", f"took more memory than its limit of {spec.memory_limit:g} MiB"
            pause = max(WATCH, 20 * (time.perf_counter() - before))  # where many processes run, looking takes time
        if os.getppid() != parent:
            raise SystemExit("the study that asked for this step has ended")
    return "timeout", f"took longer than its limit of {spec.time_limit:g} s"


class Family:
    """A process, the processes that it started, and those that they did.

    Args:
        pid: of the process.
        scratch: its TMPDIR, which no other has: by that, who left the family is known.
    """

    def __init__(self, pid: int, scratch: str) -> None:
        self.members = {pid: psutil.Process(pid)}
        self.head, self.scratch = pid, scratch
        self.since = self.members[pid].create_time()

    def meet(self) -> None:
        """Take note of who belongs to it. One that is met stays known, even if its parent ends before it."""
        waiting = [p for p in psutil.process_iter(["ppid"]) if p.pid not in self.members]
        while found := [p for p in waiting if p.info["ppid"] in self.members]:
            self.members |= {p.pid: p for p in found}
            waiting = [p for p in waiting if p.pid not in self.members]

    def exceeds(self, limit: float) -> bool:
        """Whether all of them together take more than `limit` [MiB] of memory."""
        self.meet()
        if self._sum(lambda p: p.memory_info().rss) <= limit:
            return False
        if len(self.members) == 1 or not psutil.LINUX:
            return True
        # what several share was counted for each; who took which share takes longer to find out
        return self._sum(lambda p: p.memory_full_info().pss) > limit

    def kill(self) -> None:
        """End all of them, and those that run in a session of their own, whoever started them."""
        self.meet()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.head, signal.SIGKILL)
        for process in psutil.process_iter(["create_time"]):
            with contextlib.suppress(psutil.Error, OSError):
                young = (process.info["create_time"] or 0) >= self.since
                if (
                    young
                    and process.pid not in self.members
                    and process.environ().get("TMPDIR", "").startswith(self.scratch)
                ):
                    self.members[process.pid] = process
        self._each(lambda p: p.kill())

    def _sum(self, ask: Callable[[psutil.Process], int]) -> float:
        return sum(self._each(ask)) / 2**20

    def _each(self, ask: Callable[[psutil.Process], Any]) -> list[Any]:
        answers = []
        for process in self.members.values():
            with contextlib.suppress(psutil.Error):
                answers.append(ask(process))
        return answers


def _end_containers(spec: StepSpec, scratch: Path) -> bool:
    """End what docker or podman still runs for this step: killing their client does not. Whether it ran any."""
    files = list(scratch.rglob("*.cid"))
    for file in files:
        command = [spec.container, "rm", "--force", file.read_text().strip()]
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(command, check=False, capture_output=True, timeout=60)
    return bool(files)


def _peak() -> float:
    """The most memory that one process of the worker's took [MiB]."""
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return round(peak / 2**20 if sys.platform == "darwin" else peak / 2**10, 1)
