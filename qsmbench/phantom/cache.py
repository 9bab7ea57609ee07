"""Cache of results between processes."""

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
"""Maximum size of the cache [bytes], enforced at the start of a process."""


def memory() -> Memory:
    """Return the cache; it stores nothing if its folder is not writable.

    joblib writes each result to a temporary file and moves it into place, so processes may share the folder. The least
    recently used results are deleted if the cache exceeds `MOST_BYTES`.
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


def keep(compute: Callable[[], T], *key: str | int | Path, secret: bool = False) -> T:
    """Return the result of `compute`, from the cache if it was computed before.

    Args:
        compute: a function without arguments. The code of its module and everything imported is part of the key.
        key: everything else that the result depends on: text, numbers, and files, which are compared by content.
        secret: whether nothing of it may be left behind; it is computed each time.
    """
    if secret:
        return compute()
    code = code_of([Path(compute.__code__.co_filename)]).digest
    parts = tuple(_content(part) if isinstance(part, Path) else part for part in key)
    name = f"{compute.__module__}.{compute.__qualname__}"
    return memory().cache(_compute, ignore=["compute"])(compute, (name, code, *parts))


def _compute(compute: Callable[[], T], key: tuple[str | int, ...]) -> T:
    return compute()


@cache
def _content(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
