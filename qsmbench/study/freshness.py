"""Determine which results of a study are up to date, from the study's folder alone.

Each job writes a record of what its result depends on: settings, code, versions of packages, and the content of its
inputs. A job is rerun if and only if one of them, or a product, has changed. Modification times and Snakemake's own
records are ignored, so that a study can be copied, moved, and run from any working directory.

Outdated records and those of all later jobs are moved aside, so that Snakemake does not find them. When a later job
runs, it compares its inputs with its former record, and keeps its result if they are unchanged.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from qsmbench.run.specs import Job, Record, read_record, write_spec
from qsmbench.study.contents import Contents

MAKING = ".making-"
"""Prefix of the temporary folder that a job writes into before its products are moved into place."""


def former(record: Path) -> Path:
    """Return the path of a record that is, or may be, out of date."""
    return record.with_name(f"{record.stem}.former.json")


def made_from(job: Job, records: Mapping[str, Record]) -> dict[str, Any]:
    """Return what the result of a job depends on, in the form of its record.

    Args:
        job: the job.
        records: of the earlier jobs, by path.
    """
    inputs = {label: _input(value, records) for label, value in job.inputs.items()}
    return {"settings": job.settings, **job.code, "inputs": inputs}


def _input(value: Any, records: Mapping[str, Record]) -> str:
    if isinstance(value, str):
        return value
    path, product = value
    record = records[path]
    status = f"{record.status}: {record.reason}"
    if product == "status":
        return status
    if product == "run":
        return f"{status} {record.seconds} s {record.peak_memory} MiB"
    if product == "details":
        return canonical({k: v for k, v in record.details.items() if k not in ("wall", "limits", "unit")})
    if not record.ok:
        return status
    if product == "*":  # all that it made
        return canonical(record.products)
    return record.products.get(product, "absent")


def canonical(content: Any) -> str:
    """Return JSON that is equal for equal contents."""
    return json.dumps(content, sort_keys=True, default=str)


def prepare(
    jobs: Iterable[Job],
    contents: Contents,
    *,
    rerun: Callable[[Job], bool],
    limited: Callable[[Job, Record], bool],
    place: Callable[[Job], Path],
) -> list[Job]:
    """Move aside the outdated records, and write the specification of each job.

    Args:
        jobs: each after the jobs that it depends on.
        contents: digests of files.
        rerun: returns whether the user requested to rerun a job.
        limited: returns whether a record's outcome depends on limits that have changed since.
        place: returns the path of a job's specification.

    Returns:
        the jobs to run, unless their inputs turn out to be unchanged.
    """
    waiting: dict[str, Job] = {}
    records: dict[str, Record] = {}
    for job in jobs:
        path = Path(job.record)
        found = [(p, r) for p in (path, former(path)) if (r := read_record(p)) is not None]
        intact = {p: r for p, r in found if _intact(path.parent, r, contents)}
        usable = {p: r for p, r in intact.items() if not (r.transient or limited(job, r))}
        if rerun(job):
            usable = {}
        current = None
        if not any(before in waiting for before in job.before):
            expected = canonical(made_from(job, records))
            current = next((p for p, r in usable.items() if canonical(r.made_from) == expected), None)
        if current is not None:
            records[job.record] = usable[current]
            if current != path:
                current.replace(path)
        else:
            waiting[job.record] = job
            _set_aside(path, usable)
        write_job(place(job), replace(job, reusable=current is None and bool(usable)))
    return list(waiting.values())


def write_job(path: Path, job: Job) -> None:
    """Write a job's specification unless the file already contains it."""
    with contextlib.suppress(OSError):
        if path.read_text() == job.text():
            return
    write_spec(path, job)


def _intact(folder: Path, record: Record, contents: Contents) -> bool:
    """Whether all products of a record exist with the recorded content."""
    return all(contents.digest(folder / name) == digest for name, digest in record.products.items())


def _set_aside(record: Path, usable: Mapping[Path, Record]) -> None:
    """Keep the newest record that may still be valid, and remove the others."""
    aside = former(record)
    if record in usable:
        record.replace(aside)
    elif aside in usable:
        record.unlink(missing_ok=True)
    else:
        record.unlink(missing_ok=True)
        aside.unlink(missing_ok=True)


def remove_leftovers(study: Path) -> None:
    """Remove the folders of jobs that were killed."""
    for folder in study.rglob(f"{MAKING}*"):
        pid = folder.name.rpartition("-")[2]
        if not (pid.isdigit() and _runs(int(pid))):
            shutil.rmtree(folder, ignore_errors=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
