"""Results that are kept from one process to the next."""

from __future__ import annotations

import hashlib
import os
import tempfile
from functools import cache
from pathlib import Path

from joblib import Memory

from qsmbench.dependencies import sources

MOST_BYTES = 2**30
"""The store is cut down to this size at the start of a process."""


def folder() -> Path:
    """Where results are kept: the environment variable QSMBENCH_CACHE, by default `qsmbench` in the user's caches."""
    stated = os.environ.get("QSMBENCH_CACHE")
    return Path(stated) if stated else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "qsmbench"


def memory() -> Memory:
    """The store of results; one that keeps nothing where the folder cannot be written.

    joblib writes each result beside its place and moves it there, so processes may share the folder. The results that
    were not used for longest are deleted when there are more than `MOST_BYTES`.
    """
    return _store(folder())


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


@cache
def digest(*files: Path) -> str:
    """A digest of the contents of `files`; of a Python file, also of all in the package that it imports."""
    found = hashlib.sha256()
    modules = sources(*(f for f in files if f.suffix == ".py"))
    for file in [*(f for f in files if f.suffix != ".py"), *modules]:
        found.update(file.read_bytes())
    return found.hexdigest()
