"""The progress of a run: the forecast of the remaining time, the bar, and the lines where there is no terminal."""

import io
import json
import logging
import re

import pytest
from rich.console import Console
from snakemake_interface_logger_plugins.common import LogEvent

from qsmbench.study import progress
from qsmbench.study.progress import Forecast, LogHandler


@pytest.fixture
def clock(monkeypatch):
    """A clock that tests turn."""

    class Clock:
        now = 0.0

    monkeypatch.setattr(progress.time, "monotonic", lambda: Clock.now)
    return Clock


def test_nothing_is_said_before_anything_is_known(clock):
    forecast = Forecast({"step": 4, "score": 4}, 2, {})
    assert forecast.remaining() is None
    forecast.started(1, "other")
    clock.now = 5
    forecast.finished(1)
    assert forecast.remaining() is None


def test_mean_of_the_finished_over_the_processors(clock):
    forecast = Forecast({"step": 5}, 2, {})
    forecast.started(1, "step")
    clock.now = 6
    forecast.finished(1)
    assert forecast.remaining() == 4 * 6 / 2


def test_what_runs_already_counts(clock):
    forecast = Forecast({"step": 2}, 1, {"step": 10.0})
    forecast.started(1, "step")
    clock.now = 4
    assert forecast.remaining() == 20 - 4
    clock.now = 100  # longer than expected: its own time is up, that of the other is not
    assert forecast.remaining() == 10


def test_an_earlier_run_is_a_first_guess(clock):
    forecast = Forecast({"step": 3}, 1, {"step": 10.0})
    assert forecast.remaining() == 30
    forecast.started(1, "step")
    clock.now = 4
    forecast.finished(1)
    assert forecast.remaining() == 2 * 7


def test_done(clock):
    forecast = Forecast({"step": 1}, 2, {})
    forecast.started(1, "step")
    clock.now = 1
    forecast.finished(1)
    assert forecast.remaining() == 0


class Run:
    """A run of jobs on invented records, one after another, told to a handler as Snakemake tells it."""

    def __init__(self, clock, folder, *, terminal, width=80):
        self.clock, self.folder, self.out = clock, folder, io.StringIO()
        self.handler = LogHandler(None, None)
        self.handler.console = Console(file=self.out, force_terminal=terminal, width=width, legacy_windows=False)

    def tell(self, event, **fields):
        self.handler.emit(logging.makeLogRecord({"event": event, "levelno": logging.INFO, **fields}))

    def begin(self, jobs):
        self.tell(LogEvent.RUN_INFO, stats={"step": jobs, "all": 1, "total": jobs + 1})

    def job(self, number, seconds, status="ok", reason=""):
        record = self.folder / f"{number}.json"
        wildcards = {"dataset": "head_brain-3t_seed-0", "chain": f"romeo.fit.vsharp.tv-{number}"}
        self.tell(LogEvent.JOB_INFO, jobid=number, rule_name="step", wildcards=wildcards, output=[str(record)])
        self.clock.now += seconds
        record.write_text(json.dumps({"status": status, "reason": reason}))
        self.tell(LogEvent.JOB_FINISHED, job_id=number)

    def text(self):
        self.handler.close()
        return self.out.getvalue()


def test_without_a_terminal_each_job_is_a_line_with_count_and_time(clock, tmp_path):
    run = Run(clock, tmp_path, terminal=False)
    run.begin(3)
    for number in range(3):
        run.job(number, 61)
    assert run.text().splitlines() == [
        "[1/3] 0:01:01 step romeo.fit.vsharp.tv-0 head_brain-3t_seed-0",
        "[2/3] 0:02:02 step romeo.fit.vsharp.tv-1 head_brain-3t_seed-0",
        "[3/3] 0:03:03 step romeo.fit.vsharp.tv-2 head_brain-3t_seed-0",
    ]


@pytest.mark.parametrize("seconds", [0.001, 0.5, 4.0])
def test_a_thousand_jobs_are_few_lines_of_80_columns(clock, tmp_path, seconds):
    run = Run(clock, tmp_path, terminal=False)
    run.begin(1000)
    for number in range(1000):
        run.job(number, seconds)
    lines = run.text().splitlines()
    assert 1 <= len(lines) <= min(1000 * seconds + 2, 1000 * seconds / progress.LONGEST_PAUSE + progress.LINES + 2)
    assert max(map(len, lines)) <= 80
    assert lines[-1].startswith("[1000/1000]")
    assert "\x1b" not in "".join(lines)


def test_all_failures_are_lines_and_what_they_block_is_not_named_again(clock, tmp_path):
    run = Run(clock, tmp_path, terminal=False)
    run.begin(1000)
    long = "it did not converge " * 8 + "and/a/path/of/many/parts/that/must/not/be/broken/in/two.nii.gz"
    for number in range(1000):
        run.job(number, 0.01, *(("failed", long) if number % 100 == 1 else ("skipped", "blocked")))
    text = run.text()
    assert text.count(" failed:") == 10
    assert "blocked" not in text
    assert " ".join(text.split()).count(long) == 10
    assert max(map(len, text.splitlines())) <= 80


def test_a_job_that_left_no_record_is_a_line_with_the_end_of_its_log(clock, tmp_path):
    (tmp_path / "log.txt").write_text("many words\nqsmbench: the disk is full\n")
    run = Run(clock, tmp_path, terminal=False)
    run.begin(2)
    run.tell(LogEvent.JOB_INFO, jobid=1, rule_name="report", wildcards={}, output=[])
    run.tell(LogEvent.JOB_ERROR, jobid=1, rule_name="report", log=[str(tmp_path / "log.txt")])
    assert " ".join(run.text().split()) == f"[0/2] 0:00:00 report failed: the disk is full ({tmp_path / 'log.txt'})"


def test_on_a_terminal_there_is_a_bar_and_failures_above_it(clock, tmp_path):
    run = Run(clock, tmp_path, terminal=True, width=120)
    run.begin(4)
    run.job(0, 2)
    run.job(1, 2, "failed", "no [luck]")
    run.tell(LogEvent.JOB_INFO, jobid=3, rule_name="step", wildcards={"chain": "zero"}, output=[])
    assert isinstance(run.handler.display, progress.Bar)
    task = run.handler.display.bar.tasks[0]
    assert (task.completed, task.total) == (2, 4)
    assert task.description == "step zero"
    assert task.fields["rest"] == "about 4 s left ·"
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", run.text())
    assert "step romeo.fit.vsharp.tv-1 head_brain-3t_seed-0 failed: no [luck]" in text
    assert "2/4" in text
