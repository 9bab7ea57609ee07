"""Compiled loops, cached on disk until any code that they depend on changes.

By default numba recompiles a cached loop only if the size or the modification time of its own file changes. A loop that
calls a function or uses a constant of another file would not be updated, nor would a file with new content but an old
modification time.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numba
from numba.core import caching
from numba.core import event as events
from numba.core.registry import cpu_target

from qsmbench.dependencies import PACKAGE, sources


@cache
def _stamp(file: Path) -> str:
    """Return a digest of a file and of everything in the package that it imports."""
    digest = hashlib.sha256()
    for source in sources(file):
        digest.update(source.read_bytes())
    return digest.hexdigest()


class _ByCode:
    """A cache location for the package's loops, with a stamp of all their code."""

    _py_file: str

    def get_source_stamp(self) -> str:
        return _stamp(Path(self._py_file))

    @classmethod
    def from_function(cls, py_func: Callable, py_file: str) -> Any:
        inside = Path(py_file).is_relative_to(PACKAGE)
        return super().from_function(py_func, py_file) if inside else None  # type: ignore[misc]


class InGivenFolder(_ByCode, caching.UserProvidedCacheLocator):
    """The folder that NUMBA_CACHE_DIR names."""


class BesideSource(_ByCode, caching.InTreeCacheLocator):
    """The folder `__pycache__` beside the loop's file."""


class InUserFolder(_ByCode, caching.UserWideCacheLocator):
    """A folder in the user's caches."""


_OURS = [f"{__name__}.{place.__name__}" for place in (InGivenFolder, BesideSource, InUserFolder)]
_THEIRS = [place.__name__ for place in caching.CacheImpl._locator_classes]
numba.config.CACHE_LOCATOR_CLASSES = ",".join([*_OURS, *_THEIRS])  # type: ignore[attr-defined]

PATIENCE = 2.0
"""Time of compiling after which a note is shown [s]."""

COMPILE, PASS = "numba:compile", "numba:run_pass"
"""Events of numba: a function is compiled or loaded from the cache; a compiler pass runs, only when compiling."""


class _Compiling(events.Listener):
    """Listener that notes once that loops are being compiled, if that takes longer than `PATIENCE` in total."""

    def __init__(self) -> None:
        self.depth, self.spent, self.said = 0, 0.0, False
        self.since: float | None = None

    def on_start(self, event: events.Event) -> None:
        if event.kind == COMPILE:
            self.depth += 1
            return
        now = time.perf_counter()
        self.since = now if self.since is None else self.since
        if not self.said and self.spent + now - self.since > PATIENCE:
            self.said = True
            logging.getLogger("qsmbench").info("compiling loops; they are cached for later runs")

    def on_end(self, event: events.Event) -> None:
        if event.kind != COMPILE:
            return
        self.depth -= 1
        if self.depth == 0 and self.since is not None:
            self.spent, self.since = self.spent + time.perf_counter() - self.since, None


_compiling = _Compiling()
for _kind in (COMPILE, PASS):
    events.register(_kind, _compiling)

compiled = partial(numba.njit, cache=True, nogil=True)
"""Decorator of a compiled loop; it takes the options of `numba.njit`."""


leaf = partial(numba.njit, cache=True, nogil=True, inline="never", _nrt=False)
"""Decorator of a small function that compiled loops call for every voxel, and that makes no arrays.

It does not count the references to its array arguments, which would take longer than its computation, in particular
with several threads.
"""


def copy_kept(target: Path) -> None:
    """Copy the kept loops of the package to where a process finds them whose NUMBA_CACHE_DIR is `target`.

    A process that must not write to ours would else compile them again.
    """
    given = numba.config.CACHE_DIR  # type: ignore[attr-defined]
    for folder in (f for f in (PACKAGE, *PACKAGE.rglob("*")) if f.is_dir()):
        place = InGivenFolder.get_suitable_cache_subpath(str(folder / "any.py"))
        source = Path(given, place) if given else folder / "__pycache__"
        kept = [f for f in source.glob("*.nb[ic]") if f.is_file()]
        if kept:
            (target / place).mkdir(parents=True)
        for file in kept:
            shutil.copyfile(file, target / place / file.name)


def warm_up() -> None:
    """Load what numba needs to run cached loops, so that forks of this process have it."""
    cpu_target.typing_context.refresh()
    cpu_target.target_context.refresh()
