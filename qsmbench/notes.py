"""What a method wants known about its run, beside its products: such as the setting that it chose."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_notes: ContextVar[dict[str, Any] | None] = ContextVar("notes", default=None)


def note(key: str, value: Any) -> None:
    """Add a fact to the record of the run; without effect outside of one."""
    notes = _notes.get()
    if notes is not None:
        notes[key] = value


@contextmanager
def collected() -> Iterator[dict[str, Any]]:
    """The facts that are noted within."""
    notes: dict[str, Any] = {}
    token = _notes.set(notes)
    try:
        yield notes
    finally:
        _notes.reset(token)
