"""Run one step of a chain in a process of its own, within a time limit, and record how it went.

`python -m qsmbench.step SPEC.json` never fails because of a method: what went wrong stands in `run.json`, so that
one failing method does not stop a study. This file imports next to nothing, since it runs once per step.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RUN_FILE = "run.json"
OUTCOME_FILE = "outcome.json"


def run(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Run the step that `spec` describes and write `run.json` into its folder.

    Args:
        spec: `chain`, `method` (name or path), `settings`, `out` (folder), `inputs` (folders, searched in order),
            `parent` (folder of the step before, or null), `time_limit` [s].

    Returns:
        what `run.json` holds: `status` (ok, skipped, failed, timeout), `reason`, `seconds` (of the method alone),
        `peak_memory` [MiB, of its whole process], and the specification.
    """
    out = Path(spec["out"])
    out.mkdir(parents=True, exist_ok=True)
    for old in out.iterdir():
        old.unlink()
    record = {**spec, **_inherited(spec.get("parent"))}
    if "status" not in record:
        record |= _watch(spec, out)
    partial = out / (RUN_FILE + ".part")
    partial.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    partial.replace(out / RUN_FILE)
    return record


def _inherited(parent: str | None) -> dict[str, Any]:
    """A step whose predecessor gave nothing is skipped, for the predecessor's reason."""
    if parent is None:
        return {}
    before = json.loads((Path(parent) / RUN_FILE).read_text())
    if before["status"] == "ok":
        return {}
    origin = before["reason"] if before["status"] == "skipped" else f"{before['chain']}: {before['reason']}"
    return {"status": "skipped", "reason": origin, "seconds": None, "peak_memory": None}


def _watch(spec: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """Run the worker, kill it at its time limit, and say how it ended."""
    command = [sys.executable, "-m", "qsmbench.worker", json.dumps(dict(spec)), str(os.getpid())]
    limit = spec["time_limit"]
    start = time.perf_counter()
    with (out / "log.txt").open("wb") as log:
        worker = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            code = _wait(worker, limit)
        except BaseException:
            _kill(worker)
            raise
    if code is None:
        _kill(worker)
        return _outcome("timeout", f"took longer than its limit of {limit:g} s", time.perf_counter() - start)
    outcome_file = out / OUTCOME_FILE
    if code == 0 and outcome_file.is_file():
        outcome = json.loads(outcome_file.read_text())
        outcome_file.unlink()
        return _outcome(outcome["status"], outcome["reason"], outcome["seconds"])
    how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    reason = f"crashed: {how}"
    last = (out / "log.txt").read_text(errors="replace").strip().splitlines()[-1:]
    return _outcome("failed", f"{reason} ({last[0][:200]})" if last else reason, time.perf_counter() - start)


def _wait(worker: subprocess.Popen[bytes], limit: float) -> int | None:
    """The worker's exit code, or None after `limit` [s]. A killed study leaves nothing running."""
    parent, end = os.getppid(), time.perf_counter() + limit
    while (left := end - time.perf_counter()) > 0:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return worker.wait(timeout=min(left, 1))
        if os.getppid() != parent:
            raise SystemExit("the study that asked for this step has ended")
    return None


def _kill(worker: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()


def _outcome(status: str, reason: str, seconds: float | None) -> dict[str, Any]:
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    mib = peak / 2**20 if sys.platform == "darwin" else peak / 2**10
    return {"status": status, "reason": reason, "seconds": seconds, "peak_memory": round(mib, 1)}


if __name__ == "__main__":
    run(json.loads(sys.argv[1]))
