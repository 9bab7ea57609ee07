"""Run all jobs of one scan that have no record: `python -m qsmbench.study.batch STUDY DATASET CORES`.

It is one job of a cluster, since a job of its own would take longer to start than most steps run. As in a study on one
machine, the jobs are forked from a warm process.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from qsmbench.run.specs import RUN_FILE, Job, read_job
from qsmbench.study import ask
from qsmbench.study.warm import WarmProcess


def main(study: Path, dataset: str, cores: int) -> int:
    """Run the jobs, several at once; return 1 if one of them wrote no record, and 0 otherwise.

    Args:
        study: folder of the study, in which all jobs are specified.
        dataset: name of the dataset.
        cores: number of jobs at once.
    """
    waiting = {job.record: job for job in _pending(study, dataset)}
    warm = WarmProcess([])
    running: dict[Future[int], str] = {}
    try:
        with ThreadPoolExecutor(cores) as pool:
            while waiting or running:
                for record, job in list(waiting.items()):
                    if all(Path(before).is_file() for before in job.before):
                        running[pool.submit(_run, study, job)] = record
                        del waiting[record]
                if not running:  # the rest waits for a job that wrote no record
                    break
                for ended in wait(running, return_when=FIRST_COMPLETED).done:
                    del running[ended]
    finally:
        warm.stop()
    return 0 if all(Path(record).is_file() for record in _needed(study, dataset)) else 1


def _needed(study: Path, dataset: str) -> list[str]:
    """Return the records of a dataset that the tables and the report of the study need."""
    jobs = [read_job(Path(ask.job_file(str(study), str(study / name)))) for name in ("tables.json", "report.json")]
    needed = dict.fromkeys(record for job in jobs for record in job.before)
    return [record for record in needed if Path(record).is_relative_to(study / dataset)]


def _pending(study: Path, dataset: str) -> Iterator[Job]:
    """Yield the jobs of a dataset without a record."""
    found: set[str] = set()
    to_do = _needed(study, dataset)
    while to_do:
        record = to_do.pop()
        if record in found or Path(record).is_file() or not Path(record).is_relative_to(study / dataset):
            continue
        found.add(record)
        job = read_job(Path(ask.job_file(str(study), record)))
        yield job
        to_do += job.before


def _run(study: Path, job: Job) -> int:
    """Run a job, with its messages in its log."""
    log = _log(job)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as messages:
        command = [sys.executable, "-I", "-S", ask.__file__, str(study), job.record]
        return subprocess.run(command, stdout=messages, stderr=messages, check=False).returncode


def _log(job: Job) -> Path:
    """Return the log of a job, which the Snakefile names, too."""
    record = Path(job.record)
    if record.name == RUN_FILE:
        chain = record.parent
        return chain.parents[1] / "logs" / f"{chain.name}.txt"
    if record.parent.name == "scores":
        return record.parents[1] / "logs" / f"score_{record.stem}.txt"
    rule = job.name.partition(" ")[0]
    return record.parent / "logs" / f"{rule}.txt"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
