"""Results that are kept from one process to the next."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeVar

from joblib import Memory

from qsmbench.dependencies import code_of
from qsmbench.paths import cache_dir

T = TypeVar("T")

MOST_BYTES = 2**30
"""The store is cut down to this size at the start of a process."""


def memory() -> Memory:
    """Return the store of results; one that keeps nothing where the folder cannot be written.

    joblib writes each result beside its place and moves it there, so processes may share the folder. The results that
    were not used for longest are deleted when there are more than `MOST_BYTES`.
    """
    return _store(cache_dir())


@cache
def _store(place: Path) -> Memory:
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            store = Memory(place, verbose=0)
        store.reduce_size(bytes_limit=MOST_BYTES)
    except OSError:
        return Memory(None, verbose=0)
    return store


def keep(compute: Callable[[], T], *key: str | int | Path) -> T:
    """Return the result of `compute`, from the store if it was computed before.

    Args:
        compute: a function without arguments. The code of its module, and all that this imports, is part of the key.
        key: all else that the result depends on: text, numbers, and files, whose contents count.
    """
    code = code_of([Path(compute.__code__.co_filename)]).digest
    parts = tuple(_content(part) if isinstance(part, Path) else part for part in key)
    name = f"{compute.__module__}.{compute.__qualname__}"
    return memory().cache(_compute, ignore=["compute"])(compute, (name, code, *parts))


def _compute(compute: Callable[[], T], key: tuple[str | int, ...]) -> T:
    return compute()


@cache
def _content(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
