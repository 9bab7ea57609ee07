"""How many threads to use, and the one way to run a compiled loop on them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numba

from qsmbench.errors import QsmbenchError


def n_threads() -> int:
    """Number of threads: the environment variable QSMBENCH_THREADS, by default one per processor we may use.

    Raises:
        QsmbenchError: the variable is no positive integer.
    """
    stated = os.environ.get("QSMBENCH_THREADS", "")
    if not stated:  # a scheduler may have bound us to a few of the machine's processors
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not stated.isdigit() or int(stated) < 1:
        raise QsmbenchError(f"QSMBENCH_THREADS is {stated!r}; it must be a positive integer")
    return int(stated)


def limit_numba() -> None:
    """Let numba's own parallel loops use as many threads as `n_threads` says."""
    numba.set_num_threads(min(n_threads(), numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]


PARTS = 4
"""Parts of the work for each thread: where planes differ in work, whoever is done first takes the next."""


@cache
def _pool(threads: int, pid: int) -> ThreadPoolExecutor:
    # One pool for each process: threads do not survive a fork.
    return ThreadPoolExecutor(threads)


def over_planes(kernel: Callable[..., None], n_planes: int, *args: Any) -> None:
    """Call `kernel(start, stop, *args)` so that the planes 0 … n_planes of the first axis are each done once.

    The kernel must release the GIL, and write to no plane but its own. What it computes must not depend on how
    the planes are shared out: then results are the same on any number of threads.

    Args:
        kernel: compiled with `numba.njit(nogil=True)`.
        n_planes: length of the first axis.
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
