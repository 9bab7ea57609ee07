"""Run one job of a study: `python -m qsmbench.study.jobs JOB.json`.

It never fails because of its task: what went wrong stands in the record, so that one failing method or dataset does not
stop a study. The task runs in a child process and writes into a folder of its own. When it has ended well, its products
are moved to their places, and the record last. A job whose study has ended, or whose description has changed in the
meantime, leaves nothing.
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
"""The file in which the child reports on its task, in the job's own folder."""

PRODUCTS = "products"
"""Where the child writes to, within the job's own folder."""

ENDED_WELL = ("ok", "skipped")

WATCH = 0.2
"""How often it is looked whether whoever asked for a job is still there [s]."""


def main(file: Path, *, warm: bool = False) -> None:
    """Run the job that a file describes, unless its former result still holds.

    Args:
        file: the job's specification.
        warm: whether this process holds what the methods of this package import, so that steps run in forks of it.
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
            sys.exit(f"qsmbench: {job.name}: the study was changed or removed while the job ran; its result is discarded")
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
    """Do the task, or say why it cannot be done."""
    blocked = _blocked(job, records)
    if blocked is not None:
        return blocked
    spec = to_spec(job.spec, job.name)
    if isinstance(spec, StepSpec):
        from qsmbench.run import step

        return step.run(replace(spec, out=str(folder / PRODUCTS)), fork=warm)
    return _in_child(job, spec, folder)


def _blocked(job: Job, records: dict[str, Record]) -> Record | None:
    """The record of a job that cannot be done because one before it failed; None if it can.

    Jobs that gather the results of others do without those that are missing.
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
    """Do the task in a child process, and end it if this process or its parent is ended."""
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
    """Wait for the child; end it at its limit (None), or where the process that asked for this job has ended."""
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
    """What the task gives: status, reason, products, and details."""
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
    """Move what a job made to its places, and its record last."""
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
    """Put `source` in the place of `target`, which is removed even if there is no source."""
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)
    if source.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        source.replace(target)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
