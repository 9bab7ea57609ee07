"""Compiled loops of the phantom, kept on disk until any of the code changes that they rest on.

By itself numba compiles a kept loop anew only when the loop's own file changes. A loop that calls one of another file,
or that takes a constant from there, would go on with the old one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numba
from numba.core import caching

from qsmbench.dependencies import code_of


class _ByCode:
    """A place for kept loops of the phantom, with a stamp of all their code."""

    _py_file: str

    def get_source_stamp(self) -> str:
        return code_of([Path(self._py_file)]).digest

    @classmethod
    def from_function(cls, py_func: Callable, py_file: str) -> Any:
        inside = Path(py_file).is_relative_to(Path(__file__).parent)
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

kernel = partial(numba.njit, cache=True, nogil=True)
"""Decorator of a compiled loop; it takes the options of `numba.njit`."""
