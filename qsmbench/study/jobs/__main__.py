"""Run one job of a study: `python -m qsmbench.study.jobs JOB.json`.

It never fails because of its task: errors are written to the record, so that one failing method or dataset does not
stop a study. The task runs in a child process and writes into a temporary folder. If it succeeds, its products are
moved into place, followed by the record. If the study has ended, or its description has changed in the meantime, the
job writes nothing.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import sys
import time
import traceback
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from qsmbench.child import Fork, kill_group
from qsmbench.errors import QsmbenchError
from qsmbench.probe import how_it_ended
from qsmbench.run.specs import KINDS, RUN_FILE, Job, Record, StepSpec, read_job, read_record, to_spec, write_spec
from qsmbench.study.freshness import MAKING, canonical, former, made_from
from qsmbench.supervise import end_with_parent

OUTCOME = "outcome.json"
"""File in the job's temporary folder in which the child reports on its task."""

PRODUCTS = "products"
"""Subfolder of the job's temporary folder that the child writes to."""

ENDED_WELL = ("ok", "skipped")

WATCH = 0.2
"""Interval of checks that the process which requested the job still runs [s]."""


def main(file: Path, *, warm: bool = False) -> None:
    """Run the job that a file describes, unless its former result is still valid.

    Args:
        file: the job's specification.
        warm: whether this process has imported the libraries of the built-in methods, so that steps run in its forks.
    """
    job = read_job(file)
    record = Path(job.record)
    records = {before: read_record(Path(before)) for before in job.before}
    absent = next((path for path, r in records.items() if r is None), None)
    if absent is not None:
        sys.exit(f"qsmbench: {absent}: no such record, which {job.name} needs")
    known = {path: r for path, r in records.items() if r is not None}
    made = json.loads(canonical(made_from(job, known)))
    kept = read_record(former(record)) if job.reusable else None
    if kept is not None and canonical(kept.made_from) == canonical(made):
        former(record).replace(record)
        return
    folder = record.parent / f"{MAKING}{record.stem}-{os.getpid()}"
    if job.spec["kind"] == StepSpec.kind:  # its record lies among its products
        folder = record.parent.parent / f"{MAKING}{record.parent.name}-{os.getpid()}"
    try:
        (folder / PRODUCTS).mkdir(parents=True)
        result = replace(_result(job, known, folder, warm=warm), name=job.name, made_from=made)
        if not _still_wanted(file, job):
            sys.exit(
                f"qsmbench: {job.name}: the study was changed or removed while the job ran; its result is discarded"
            )
        _publish(job, folder / PRODUCTS, result)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if result.status not in ENDED_WELL:
        sys.stderr.write(f"qsmbench: {result.reason}\n")


def _still_wanted(file: Path, job: Job) -> bool:
    try:
        return replace(read_job(file), reusable=job.reusable) == job
    except QsmbenchError:
        return False


def _result(job: Job, records: dict[str, Record], folder: Path, *, warm: bool) -> Record:
    """Run the task, or return a record with the reason why it cannot run."""
    blocked = _blocked(job, records)
    if blocked is not None:
        return blocked
    spec = to_spec(job.spec, job.name)
    if isinstance(spec, StepSpec):
        from qsmbench.run import step

        return step.run(replace(spec, out=str(folder / PRODUCTS)), fork=warm)
    return _in_child(job, spec, folder)


def _blocked(job: Job, records: dict[str, Record]) -> Record | None:
    """Return the record of a job that cannot run because an earlier job failed; None if it can run.

    Jobs that collect the results of others ignore missing ones.
    """
    if KINDS[job.spec["kind"]].gathers:
        return None
    for path, record in records.items():
        if record.ok:
            continue
        step = Path(path).name == RUN_FILE
        if step and record.status != "missing":
            origin = record.reason if record.status == "skipped" else f"{record.details.get('chain')}: {record.reason}"
            details = {"because": record.details.get("because", record.status)}
            return Record(job.name, "skipped", origin, details=details)
        return Record(job.name, "missing", record.reason, details={"because": "missing"})
    return None


def _in_child(job: Job, spec: Any, folder: Path) -> Record:
    """Run the task in a child process, and end it if this process or its parent ends."""
    start, own = time.monotonic(), os.getpid()

    def do() -> None:
        end_with_parent(own)
        (folder / OUTCOME).write_text(json.dumps(_task(spec, folder / PRODUCTS)))

    code = _wait(Fork(do), job.time_limit)
    if code is None:
        reason = f"{job.name}: took longer than its limit of {job.time_limit:g} s"
        return Record(job.name, "timeout", reason, transient=True)
    with contextlib.suppress(OSError, ValueError):
        outcome = json.loads((folder / OUTCOME).read_text())
        if code == 0:
            return Record(job.name, **{"seconds": time.monotonic() - start, **outcome})
    return Record(job.name, "failed", f"{job.name}: crashed: {how_it_ended(code)}", transient=True)


def _wait(child: Fork, time_limit: float | None) -> int | None:
    """Wait for the child; end it at its time limit (None), or when the process that requested this job has ended."""
    parent, end = os.getppid(), time.monotonic() + (time_limit or math.inf)
    while (code := child.wait(min(WATCH, end - time.monotonic()))) is None:
        orphaned = os.getppid() != parent
        if orphaned or time.monotonic() > end:
            kill_group(child)
            if orphaned:
                raise SystemExit("the study that asked for this job has ended")
            child.wait(math.inf)
            return None
    return code


def _task(spec: Any, out: Path) -> dict[str, Any]:
    """Run the task; return status, reason, products and details."""
    from qsmbench.run.step import digest, one_line

    try:
        details = import_module(f"qsmbench.study.jobs.{spec.kind}").run(spec, out)
    except QsmbenchError as e:  # something of the user's, which stays as it is until it is changed
        return {"status": "failed", "reason": one_line(str(e))}
    except MemoryError as e:
        reason = f"there is not enough memory ({e})" if str(e) else "there is not enough memory"
        return {"status": "memory", "reason": one_line(reason), "transient": True}
    except Exception as e:
        traceback.print_exc()
        return {"status": "failed", "reason": one_line(f"{type(e).__name__}: {e}"), "transient": True}
    files = sorted(f for f in out.rglob("*") if f.is_file())
    details = dict(details or {})
    transient = bool(details.pop("transient", False))
    products = {str(f.relative_to(out)): digest(f) for f in files}
    return {"status": "ok", "products": products, "transient": transient, "details": details}


def _publish(job: Job, products: Path, result: Record) -> None:
    """Move the products of a job into place, followed by its record."""
    record = Path(job.record)
    former(record).unlink(missing_ok=True)
    record.unlink(missing_ok=True)
    if job.spec["kind"] == StepSpec.kind:
        write_spec(products / record.name, result)
        _replace(products, record.parent)
        return
    for target in map(Path, job.targets):
        _replace(products / target.relative_to(record.parent), target)
    write_spec(record, result)


def _replace(source: Path, target: Path) -> None:
    """Replace `target` by `source`; remove it if there is no source."""
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)
    if source.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        source.replace(target)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
