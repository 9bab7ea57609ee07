"""The forecast of the remaining time."""

import pytest

from qsmbench.study import progress
from qsmbench.study.progress import Forecast


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
