"""Work beside other work gives its result, or what it raised, on any number of threads."""

from __future__ import annotations

import threading

import pytest

from qsmbench.threads import in_background


def test_work_goes_on_beside_other_work(monkeypatch):
    monkeypatch.setenv("QSMBENCH_THREADS", "2")
    met = threading.Barrier(2, timeout=60)
    result = in_background(met.wait)
    met.wait()
    assert result() in (0, 1)


def test_on_one_thread_work_waits_until_it_is_asked_for(monkeypatch):
    monkeypatch.setenv("QSMBENCH_THREADS", "1")
    done = []
    result = in_background(lambda: done.append(threading.current_thread()))
    assert not done
    result()
    assert done == [threading.current_thread()]


@pytest.mark.parametrize("threads", ["1", "2"])
def test_what_work_raises_is_raised_where_its_result_is_asked_for(monkeypatch, threads):
    monkeypatch.setenv("QSMBENCH_THREADS", threads)
    result = in_background(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        result()
