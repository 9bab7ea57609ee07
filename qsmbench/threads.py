"""The number of threads, and their use by compiled loops."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

from qsmbench.errors import QsmbenchError

T = TypeVar("T")


def n_threads() -> int:
    """Return the number of threads: the environment variable QSMBENCH_THREADS, by default one per usable processor.

    Raises:
        QsmbenchError: the variable is no positive integer.
    """
    value = os.environ.get("QSMBENCH_THREADS", "")
    if not value:  # a scheduler may allow only some of the processors
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not value.isdecimal() or int(value) < 1:
        raise QsmbenchError(f"QSMBENCH_THREADS is {value!r}; it must be a positive integer")
    return int(value)


def in_background(work: Callable[[], T]) -> Callable[[], T]:
    """Start `work` on a separate thread, and return a function that waits for its result (or raises its exception).

    If only one thread is allowed, the work is done when its result is requested.
    """
    if n_threads() == 1:
        return work
    with_one = ThreadPoolExecutor(1)
    running = with_one.submit(work)
    with_one.shutdown(wait=False)
    return running.result


PARTS = 4
"""Number of parts of the work per thread, to balance planes of unequal work."""


@cache
def _pool(threads: int, pid: int) -> ThreadPoolExecutor:
    # one pool for each process: threads do not survive a fork
    return ThreadPoolExecutor(threads)


def over_planes(kernel: Callable[..., None], n_planes: int, *args: Any) -> None:
    """Call `kernel(start, stop, *args)` on threads so that each plane of the first axis is processed once.

    The kernel must release the GIL, and write only to its own planes. Its results must not depend on the division of
    the planes; then they are the same for any number of threads. Numba's own parallel loops take several times as long
    to compile.

    Args:
        kernel: compiled with `numba.njit(nogil=True)`.
        n_planes: length of the first axis, or number of other parts of the work, such as points.
        args: passed on.
    """
    threads = n_threads()
    if threads == 1:
        kernel(0, n_planes, *args)
        return
    parts = min(PARTS * threads, n_planes)
    edges = [n_planes * i // parts for i in range(parts + 1)]
    pool = _pool(threads, os.getpid())
    running = [pool.submit(kernel, start, stop, *args) for start, stop in itertools.pairwise(edges)]
    for job in running:
        job.result()
