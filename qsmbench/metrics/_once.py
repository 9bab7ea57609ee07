"""Cache of results that several metrics or reconstructions compute from the same volumes."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")


def once(function: Callable[..., T]) -> Callable[..., T]:
    """Cache the result of a function of arrays for as long as these exist, if they are read-only.

    For writable arrays and for views of others it is computed at each call. Cached arrays are read-only, since all
    callers share them.

    Args:
        function: takes only arrays; returns an array or a number.
    """
    kept: dict[tuple[int, ...], T] = {}

    @wraps(function)
    def called(*arrays: np.ndarray) -> T:
        if any(a.flags.writeable or a.base is not None for a in arrays):
            return function(*arrays)
        key = tuple(map(id, arrays))
        if key not in kept:
            kept[key] = frozen(function(*arrays))
            for a in arrays:
                weakref.finalize(a, kept.pop, key, None).atexit = False
        return kept[key]

    return called


def frozen(value: Any) -> Any:
    """Return the value; make an array read-only."""
    if isinstance(value, np.ndarray):
        value.flags.writeable = False
    return value
