"""Display of the progress of a running study, from the events of Snakemake.

A logger plugin of Snakemake, registered by `qsmbench.study.workflow`. On a terminal it draws a bar; elsewhere, as
in the log of a continuous-integration service, it prints plain lines.
"""

from __future__ import annotations

import textwrap
import time
from dataclasses import dataclass
from logging import ERROR, LogRecord
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from qsmbench.data.folders import read_json, write_json

GOALS = ("all",)  # rules that do nothing
NAMED = ("chain", "dataset", "group", "simulated", "measured")
"""Wildcards of the Snakefile that describe the target of a job."""

FAILED = ("failed", "timeout", "memory")
"""Statuses of jobs that failed themselves; later jobs skipped because of them are not reported."""

LINES = 200
"""Approximate number of plain lines per run, in addition to failures."""

LONGEST_PAUSE = 30.0
"""Time without a plain line after which the next finished job is printed [s]."""

WIDTH = 80
"""Columns of a plain line."""

SAID_BY_JOB = ("RuleException", "Exiting because a job", "WorkflowError:\nAt least one job")  # by its own line


class Forecast:
    """Forecast of the remaining time of a run, from the mean time of finished jobs of each kind.

    Args:
        counts: number of jobs to run, by kind.
        parallel: number of jobs that run at the same time.
        before: time of a job of each kind in an earlier run [s]; weighted like one job of this run.
    """

    def __init__(self, counts: dict[str, int], parallel: int, before: dict[str, float]) -> None:
        self.waiting = dict(counts)
        self.parallel = parallel
        self.before = before
        self.taken: dict[str, list[float]] = {}
        self.running: dict[int, tuple[str, float]] = {}

    def started(self, job: int, rule: str) -> None:
        """Register that a job has started."""
        self.running[job] = (rule, time.monotonic())

    def finished(self, job: int) -> None:
        """Take note that a job has finished."""
        rule, start = self.running.pop(job)
        self.taken.setdefault(rule, []).append(time.monotonic() - start)
        self.waiting[rule] = self.waiting.get(rule, 1) - 1

    def means(self) -> dict[str, float]:
        """Return the mean time of a job of each kind, if known [s]."""
        seen = {rule: [self.before[rule]] for rule in self.before}
        for rule, times in self.taken.items():
            seen[rule] = seen.get(rule, []) + times
        return {rule: sum(times) / len(times) for rule, times in seen.items()}

    def remaining(self) -> float | None:
        """Estimate the remaining time [s]; None if too few jobs have finished.

        Kinds without a finished job are assumed to take the mean of the others. There is no estimate until half of the
        waiting jobs are of a kind with a known time.
        """
        seen = self.means()
        waiting = {rule: n for rule, n in self.waiting.items() if n > 0}
        total = sum(waiting.values())
        known = sum(n for rule, n in waiting.items() if rule in seen)
        if not total or known < total / 2:
            return 0.0 if not total else None
        typical = sum(n * seen[rule] for rule, n in waiting.items() if rule in seen) / known
        work = sum(n * seen.get(rule, typical) for rule, n in waiting.items())
        now = time.monotonic()
        done = sum(min(now - start, seen.get(rule, typical)) for rule, start in self.running.values())
        return max(work - done, 0.0) / min(self.parallel, total)


class Bar:
    """A progress bar on a terminal: number of finished jobs, elapsed and remaining time, and running jobs."""

    def __init__(self, console: Console, total: int) -> None:
        self.console = console
        self.bar = Progress(
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[rest]}"),
            TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
            console=console,
            expand=True,
        )
        self.task = self.bar.add_task("", total=total, rest="")
        self.bar.start()

    def show(self, done: int, running: list[str], remaining: float | None) -> None:
        """Show the progress of the study.

        Args:
            done: number of finished jobs.
            running: names of the running jobs.
            remaining: estimated remaining time, s; None if unknown.
        """
        rest = "time left unknown ·" if remaining is None else f"about {_spoken(remaining)} left ·"
        current = ", ".join(running) or "…"
        if remaining == 0:
            current, rest = "done", ""
        self.bar.update(self.task, completed=done, description=current, rest=rest)

    def finished(self, done: int, what: str) -> None:
        """Do nothing; `show` advances the bar."""

    def failed(self, done: int, what: str, reason: str) -> None:
        """Print above the bar that a job failed."""
        self.console.print(f"[red]{escape(what)} failed:[/red] {escape(reason)}", highlight=False, soft_wrap=True)

    def stop(self) -> None:
        """Remove the bar."""
        self.bar.stop()


class Lines:
    """Plain lines for a log: one per failed job; for finished jobs, at most one per second and about `LINES` in all."""

    def __init__(self, console: Console, total: int) -> None:
        self.console = console
        self.total = total
        self.start = time.monotonic()
        self.last = -LONGEST_PAUSE, 0  # when the last line on a finished job was printed, and how many were done

    def show(self, done: int, running: list[str], remaining: float | None) -> None:
        """Do nothing: a log has only lines on finished and failed jobs."""

    def finished(self, done: int, what: str) -> None:
        """Print that a job has finished, unless the last such line is too recent."""
        now = time.monotonic() - self.start
        pause, jobs = now - self.last[0], done - self.last[1]
        due = pause >= 1 and (pause >= LONGEST_PAUSE or jobs >= self.total / LINES)
        if due or done == self.total:
            self.last = now, done
            self._print(done, what)

    def failed(self, done: int, what: str, reason: str) -> None:
        """Print that a job failed."""
        self._print(done, f"{what} failed: {reason}")

    def stop(self) -> None:
        """Do nothing."""

    def _print(self, done: int, text: str) -> None:
        count = f"[{done:>{len(str(self.total))}}/{self.total}] {_clock(time.monotonic() - self.start)} "
        lines = textwrap.wrap(
            count + text, WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
        )
        self.console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


@dataclass(frozen=True)
class Running:
    """A running job: its rule, its target, and the record that it writes."""

    rule: str
    what: str
    record: Path | None


class LogHandler(LogHandlerBase):
    """Handler of the events of a run, which shows progress, remaining time and failures."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False
    parallel = 1  # set by the caller before the run, like the next
    history: Path | None = None  # where the times of one run are kept for the forecast of the next

    def __post_init__(self) -> None:
        self.console = Console(stderr=True)
        self.display: Bar | Lines | None = None
        self.total = 0
        self.jobs: dict[int, Running] = {}
        self.forecast = Forecast({}, self.parallel, {})

    def emit(self, record: LogRecord) -> None:
        """Handle one event."""
        event = getattr(record, "event", None)
        fields = vars(record)
        if event == LogEvent.RUN_INFO:
            self._begin(fields["stats"])
        elif event == LogEvent.JOB_INFO:
            # a job is announced as it starts; the event that says so in name comes before its rule is known
            self._started(fields)
        elif event == LogEvent.JOB_FINISHED:
            self._finished(fields["job_id"])
        elif event == LogEvent.JOB_ERROR:
            self._error(fields)
        elif event == LogEvent.ERROR or (record.levelno >= ERROR and event is None):
            self._unexpected(record)

    def _begin(self, stats: dict[str, int]) -> None:
        counts = {rule: n for rule, n in stats.items() if rule not in (*GOALS, "total")}
        known = self.history is not None and self.history.is_file()
        self.forecast = Forecast(counts, self.parallel, read_json(self.history) if known else {})  # type: ignore[arg-type]
        self.total = sum(counts.values())
        self.display = (Bar if self.console.is_terminal else Lines)(self.console, self.total)

    @property
    def _done(self) -> int:
        return self.total - sum(self.forecast.waiting.values())

    def _started(self, fields: dict[str, Any]) -> None:
        wildcards = dict(fields["wildcards"] or {})
        what = " ".join(str(wildcards[k]) for k in NAMED if wildcards.get(k))
        output = list(fields.get("output") or ())
        self.jobs[fields["jobid"]] = Running(fields["rule_name"], what, Path(output[0]) if output else None)
        self.forecast.started(fields["jobid"], fields["rule_name"])
        self._show()

    def _finished(self, number: int) -> None:
        job = self.jobs.get(number)
        if number not in self.forecast.running or job is None:
            return
        self.forecast.finished(number)
        if self.display is not None and job.rule not in GOALS:
            what = f"{job.rule} {job.what}".strip()
            if (reason := _failure(job.record)) is not None:
                self.display.failed(self._done, what, reason)
            else:
                self.display.finished(self._done, what)
        self._show()

    def _show(self) -> None:
        if self.display is not None:
            now = [self.jobs[number] for number in self.forecast.running]
            running = [f"{job.rule} {job.what}".strip() for job in now if job.rule not in GOALS]
            self.display.show(self._done, running, self.forecast.remaining())

    def _error(self, fields: dict[str, Any]) -> None:
        if "log" not in fields or self.display is None:  # the bare announcement; the details follow
            return
        self.forecast.running.pop(fields["jobid"], None)
        job = self.jobs.get(fields["jobid"], Running(fields["rule_name"], "", None))
        self.display.failed(self._done, f"{job.rule} {job.what}".strip(), _last_line([Path(f) for f in fields["log"]]))

    def _unexpected(self, record: LogRecord) -> None:
        message = record.getMessage().strip()
        if message and not message.startswith(SAID_BY_JOB):
            self.console.print(message, highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        """End the display, and store the times for the forecast of the next run."""
        if self.display is not None:
            self.display.stop()
            if self.history is not None and self.forecast.taken:
                write_json(self.history, self.forecast.means())
        super().close()


def _failure(record: Path | None) -> str | None:
    """Return why a finished job has no result, from its record; None if it has one, or if an earlier job failed."""
    if record is None or not record.is_file():
        return None
    content = read_json(record)
    return str(content["reason"]) if content["status"] in FAILED else None


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _spoken(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _last_line(logs: list[Path]) -> str:
    for log in logs:
        lines = log.read_text(errors="replace").strip().splitlines() if log.is_file() else []
        if lines:
            return f"{lines[-1].removeprefix('qsmbench: ')}  ({log})"
    return "no log was written"
