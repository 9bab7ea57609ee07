"""Results that several metrics, or several reconstructions, need of the same volumes."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")


def once(function: Callable[..., T]) -> Callable[..., T]:
    """Keep what a function of arrays returns for as long as its arrays exist, if they cannot change.

    Of arrays that may be written to, or that are views of others, it is computed at each call. An array that is kept is
    read-only, since all callers share it.

    Args:
        function: of arrays alone; it returns an array or a number.
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
    """Return a value that nobody can change: an array is made read-only."""
    if isinstance(value, np.ndarray):
        value.flags.writeable = False
    return value
