"""A live progress bar for a running study: Snakemake tells what it does, this shows it.

A logger plugin of Snakemake, registered by `qsmbench.study.workflow`.
"""

from __future__ import annotations

import time
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
SAID_BY_JOB = ("RuleException", "Exiting because a job", "WorkflowError:\nAt least one job")  # by its own line


class Forecast:
    """How long the rest of a run will take: for each kind of job, what the finished ones took on average.

    Args:
        counts: jobs of each kind that are to be done.
        parallel: how many run at a time.
        before: what a job of each kind took in an earlier run [s]; counts like one job of this run.
    """

    def __init__(self, counts: dict[str, int], parallel: int, before: dict[str, float]) -> None:
        self.waiting = dict(counts)
        self.parallel = parallel
        self.before = before
        self.taken: dict[str, list[float]] = {}
        self.running: dict[int, tuple[str, float]] = {}

    def started(self, job: int, rule: str) -> None:
        """A job began."""
        self.running[job] = (rule, time.monotonic())

    def finished(self, job: int) -> None:
        """A job ended."""
        rule, start = self.running.pop(job)
        self.taken.setdefault(rule, []).append(time.monotonic() - start)
        self.waiting[rule] = self.waiting.get(rule, 1) - 1

    def means(self) -> dict[str, float]:
        """Seconds that a job of each kind takes, as far as is known."""
        seen = {rule: [self.before[rule]] for rule in self.before}
        for rule, times in self.taken.items():
            seen[rule] = seen.get(rule, []) + times
        return {rule: sum(times) / len(times) for rule, times in seen.items()}

    def remaining(self) -> float | None:
        """Seconds still to go, or None as long as too little has been seen to say.

        Kinds of which no job has finished count as the mean of the others; nothing is said before half of the
        waiting jobs are of a kind that has been seen.
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


class LogHandler(LogHandlerBase):
    """Shows the current step, how many are done, and how long it will still take."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False
    parallel = 1  # set by the caller before the run, like the next
    history: Path | None = None  # where the times of one run are kept for the forecast of the next

    def __post_init__(self) -> None:
        self.console = Console(stderr=True)
        self.bar = Progress(
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[rest]}"),
            TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
            console=self.console,
            expand=True,
        )
        self.task: Any = None
        self.names: dict[int, tuple[str, str]] = {}
        self.forecast = Forecast({}, self.parallel, {})

    def emit(self, record: LogRecord) -> None:
        """Take note of one event."""
        event = getattr(record, "event", None)
        fields = vars(record)
        if event == LogEvent.RUN_INFO:
            self._begin(fields["stats"])
        elif event == LogEvent.JOB_INFO:
            wildcards = dict(fields["wildcards"] or {})
            # a job is announced as it starts; the event that says so in name comes before its rule is known
            what = " ".join(str(wildcards[k]) for k in ("chain", "dataset", "group", "measured") if wildcards.get(k))
            self.names[fields["jobid"]] = (fields["rule_name"], what)
            self.forecast.started(fields["jobid"], fields["rule_name"])
            self._show()
        elif event == LogEvent.JOB_FINISHED:
            if fields["job_id"] in self.forecast.running:
                self.forecast.finished(fields["job_id"])
            self._show()
        elif event == LogEvent.JOB_ERROR:
            self._error(fields)
        elif event == LogEvent.ERROR or (record.levelno >= ERROR and event is None):
            self._unexpected(record)

    def _begin(self, stats: dict[str, int]) -> None:
        counts = {rule: n for rule, n in stats.items() if rule not in (*GOALS, "total")}
        known = self.history is not None and self.history.is_file()
        self.forecast = Forecast(counts, self.parallel, read_json(self.history) if known else {})  # type: ignore[arg-type]
        self.task = self.bar.add_task("", total=sum(counts.values()), rest="")
        self.bar.start()

    def _show(self) -> None:
        if self.task is None:
            return
        now = [self.names.get(job, ("", "")) for job in self.forecast.running]
        current = ", ".join(f"{rule} {what}".strip() for rule, what in now if rule not in GOALS)
        rest = self.forecast.remaining()
        if rest == 0:
            current, spoken = "done", ""
        else:
            spoken = "time left not yet known ·" if rest is None else f"about {_spoken(rest)} left ·"
        done = self.bar.tasks[0].total - sum(self.forecast.waiting.values())  # type: ignore[operator]
        self.bar.update(
            self.task,
            completed=done,
            description=current or "…",
            rest=spoken,
        )

    def _error(self, fields: dict[str, Any]) -> None:
        if "log" not in fields:  # the bare announcement; the details follow
            return
        rule, what = self.names.get(fields["jobid"], (fields["rule_name"], ""))
        reason = _last_line([Path(f) for f in fields["log"]])
        self.console.print(f"[red]{rule} {what} failed:[/red] {escape(reason)}", highlight=False, soft_wrap=True)

    def _unexpected(self, record: LogRecord) -> None:
        message = record.getMessage().strip()
        if message and not message.startswith(SAID_BY_JOB):
            self.console.print(message, highlight=False, markup=False)

    def close(self) -> None:
        """Take the bar away."""
        if self.task is not None:
            self.bar.stop()
            if self.history is not None and self.forecast.taken:
                write_json(self.history, self.forecast.means())
        super().close()


def _spoken(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _last_line(logs: list[Path]) -> str:
    for log in logs:
        lines = log.read_text(errors="replace").strip().splitlines() if log.is_file() else []
        if lines:
            return f"{lines[-1].removeprefix('qsmbench: ')}  ({log})"
    return "no log was written"
