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
import threading
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil

from qsmbench.child import Child, Fork, Program, adopt_orphans
from qsmbench.log import Log, first_error
from qsmbench.probe import how_it_ended
from qsmbench.run.specs import RUN_FILE, Record, StepSpec, write_spec
from qsmbench.sandbox import MAX_DISK, MAX_PROCESSES, read_plain

OUTCOME_FILE = "outcome.json"
"""The file in which the worker reports on its run, in its TMPDIR."""

WATCH = 0.05
"""How often memory is looked at [s], if it is limited: a method fills some 100 MiB in that time."""

LOOK = 0.25
"""How often the disk and the number of processes are looked at [s]."""

_KNOWN = ("status", "reason", "seconds", "peak_memory", "transient", "details")
"""What a worker may say of its run."""


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
        remove(old)
    broken = {"status": "failed", "reason": spec.broken}
    outcome: dict[str, Any] = broken if spec.broken else _watch(spec, out, fork=fork)
    limits = {"time_limit": spec.time_limit, "memory_limit": spec.memory_limit}
    details = {"chain": spec.chain, "method": spec.method, "settings": spec.settings, "limits": limits}
    details |= {"wall": outcome.pop("wall", None), **outcome.pop("details", {})}
    files, products = outcome.pop("files", []), {}
    try:
        if outcome["status"] == "ok":
            products = {str(Path(f).relative_to(out)): _digest_of_plain(Path(f)) for f in files}
    except (OSError, ValueError) as e:
        outcome |= {"status": "failed", "reason": f"its products are not as it says ({e})"}
    outcome["reason"] = one_line(outcome["reason"])
    record = Record(name=f"step {spec.chain}", products=products, details=details, **outcome)
    write_spec(out / RUN_FILE, record)
    return record


def digest(file: Path) -> str:
    """Return a digest of the content of a file."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _digest_of_plain(file: Path) -> str:
    if file.is_symlink() or not file.is_file():
        raise ValueError(f"{file.name} is not a plain file")
    return digest(file)


def remove(path: Path) -> None:
    """Remove a file or a folder, whatever a method has made of it: folders without rights, or thousands deep."""
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    with contextlib.suppress(OSError, RecursionError):
        shutil.rmtree(path)
        return
    subprocess.run(["chmod", "-R", "u+rwx", str(path)], check=False, capture_output=True)
    subprocess.run(["rm", "-rf", "--", str(path)], check=False, capture_output=True)


def one_line(text: str, longest: int = 500) -> str:
    """Return a text that others wrote as a table or a terminal bears it: no line breaks, no control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:longest]


def _watch(spec: StepSpec, out: Path, *, fork: bool) -> dict[str, Any]:
    """Run the worker, end it at its limits, and say how it ended. Nothing of it is left, on disk or running."""
    start = time.perf_counter()
    scratch = tempfile.mkdtemp(prefix="qsmbench-")
    try:
        with _family() as family, (out / "log.txt").open("wb", buffering=0) as file:
            log = Log(file.write)
            reading, writing = os.pipe()
            worker = (_forked if fork and spec.own_code else _started)(spec, scratch, writing)
            family.join(worker.pid, scratch)
            os.close(writing)
            reader = threading.Thread(target=log.read, args=(reading,), daemon=True)
            reader.start()
            try:
                end = _wait(worker, family, spec, [Path(scratch), out])
            finally:
                family.kill()
                worker.wait(math.inf)
                family.bury()
                contained = _end_containers(spec, Path(scratch))
                reader.join(timeout=5)
                log.close()
        os.close(reading)
        outcome = _outcome(end, Path(scratch), log.text())
    finally:
        remove(Path(scratch))
    wall = time.perf_counter() - start
    return {"wall": wall, "seconds": wall, "peak_memory": None if contained else _peak(), **outcome}


def _started(spec: StepSpec, scratch: str, log: int) -> Child:
    """The worker, as a new process."""
    command = [sys.executable, "-P", "-m", "qsmbench.run.worker", json.dumps(spec.to_json()), str(os.getpid()), scratch]
    return Program(command, log, {**os.environ, "TMPDIR": scratch})


def _forked(spec: StepSpec, scratch: str, log: int) -> Child:
    """The worker, as a fork of this process."""
    served = os.getpid()

    def work() -> None:
        for output in (1, 2):
            os.dup2(log, output)
        os.close(log)
        os.environ["TMPDIR"] = tempfile.tempdir = scratch
        import_module("qsmbench.run.worker").serve(spec, served, scratch)

    return Fork(work)


def _outcome(end: int | tuple[str, str], scratch: Path, said: str) -> dict[str, Any]:
    """Status and reason, and what else the worker knows if it left an account."""
    if isinstance(end, tuple):
        return {"status": end[0], "reason": end[1]}
    if end == 0:
        with contextlib.suppress(OSError, ValueError, TypeError, LookupError, RecursionError):
            told = json.loads(read_plain(scratch / OUTCOME_FILE))
            outcome = {key: told[key] for key in (*_KNOWN, "files") if key in told}
            if isinstance(outcome["status"], str) and isinstance(outcome["reason"], str):
                return outcome
    reason = f"crashed: {how_it_ended(end)}"
    error = first_error(said)[:200]
    reason = f"{reason} ({error})" if error else reason
    # the system kills processes when memory runs out, which another run may not meet
    return {"status": "failed", "reason": reason, "transient": end == -signal.SIGKILL}


def _wait(worker: Child, family: Family, spec: StepSpec, written: list[Path]) -> int | tuple[str, str]:
    """The worker's exit code, or status and reason where it broke a limit. A killed study leaves nothing running."""
    parent, end = os.getppid(), time.perf_counter() + spec.time_limit
    pause, look, broken = (LOOK if spec.memory_limit is None else WATCH), 0.0, None
    while (left := end - time.perf_counter()) > 0:
        if (code := worker.wait(min(left, pause))) is not None:
            return code
        before = time.perf_counter()
        if spec.memory_limit is not None and family.exceeds(spec.memory_limit):
            return "memory", f"took more memory than its limit of {spec.memory_limit:g} MiB"
        if before > look:
            broken = _too_much(family, written)
            look = before + max(LOOK, 20 * (time.perf_counter() - before))
        if broken:
            return "failed", broken
        if os.getppid() != parent:
            raise SystemExit("the study that asked for this step has ended")
        if spec.memory_limit is not None:  # where many processes run, looking takes time
            pause = max(WATCH, 20 * (time.perf_counter() - before))
    return "timeout", f"took longer than its limit of {spec.time_limit:g} s"


def _too_much(family: Family, written: list[Path]) -> str | None:
    """Which limit, of those that are the same for all steps, is exceeded."""
    if family.count() > MAX_PROCESSES:
        return f"started more processes than its limit of {MAX_PROCESSES}"
    if sum(map(on_disk, written)) > MAX_DISK:
        return f"wrote more to disk than its limit of {MAX_DISK} MiB"
    return None


def on_disk(folder: Path) -> float:
    """Return what a folder takes on disk [MiB], at least 4 KiB for each file."""
    total, waiting = 0, [str(folder)]
    while waiting:
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    total += max(4096, entry.stat(follow_symlinks=False).st_blocks * 512)
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
    return total / 2**20


@contextlib.contextmanager
def _family() -> Iterator[Family]:
    """A family that is to be; it is told from the children that this process has already."""
    adopted = adopt_orphans(True)
    try:
        yield Family(adopted)
    finally:
        if adopted:
            adopt_orphans(False)


class Family:
    """A process, the processes that it started, and those that they did, wherever they have gone.

    Args:
        adopted: whether those whose parent has ended become children of this process; see `child.adopt_orphans`.
            Where they do not, they are known by their TMPDIR, which no other process has.
    """

    def __init__(self, adopted: bool) -> None:
        self.adopted = adopted
        self.others = {p.pid for p in psutil.Process().children()}
        self.members: dict[int, psutil.Process] = {}
        self.since = time.time()

    def join(self, pid: int, scratch: str) -> None:
        """Begin with a process, and its TMPDIR."""
        self.head, self.scratch = pid, scratch
        with contextlib.suppress(psutil.NoSuchProcess):
            self.members[pid] = psutil.Process(pid)
            self.since = self.members[pid].create_time()

    def meet(self) -> None:
        """Take note of who belongs to it. One that is met stays known, even if its parent ends before it."""
        waiting, own = [p for p in psutil.process_iter(["ppid"]) if p.pid not in self.members], os.getpid()
        if self.adopted:
            self.members |= {p.pid: p for p in waiting if p.info["ppid"] == own and p.pid not in self.others}
        while found := [p for p in waiting if p.info["ppid"] in self.members and p.pid not in self.members]:
            self.members |= {p.pid: p for p in found}

    def count(self) -> int:
        """Return how many there are."""
        self.meet()
        return sum(self._each(lambda p: p.is_running()))

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
        known = -1
        while known < len(self.members):  # one that is halted starts no other
            known = len(self.members)
            self._each(lambda p: p.suspend())
            self.meet()
            if not self.adopted:
                self._meet_by_folder()
        self._each(lambda p: p.kill())

    def bury(self) -> None:
        """Wait for those that have become children of this process, after their own parent has been waited for."""
        for pid in set(self.members) - {self.head}:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)

    def _meet_by_folder(self) -> None:
        for process in psutil.process_iter(["create_time"]):
            with contextlib.suppress(psutil.Error, OSError):
                young = (process.info["create_time"] or 0) >= self.since
                if young and process.environ().get("TMPDIR", "").startswith(self.scratch):
                    self.members[process.pid] = process

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
    # the engine writes it where the container cannot, who might name another
    files = list(scratch.glob("*/tmp/container.cid")) if spec.container in ("docker", "podman") else []
    for file in files:
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            command = [spec.container, "rm", "--force", read_plain(file).decode().strip()]
            subprocess.run(command, check=False, capture_output=True, timeout=60)
    return bool(files)


def _peak() -> float:
    """The most memory that one process of the worker's took [MiB]."""
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return round(peak / 2**20 if sys.platform == "darwin" else peak / 2**10, 1)
