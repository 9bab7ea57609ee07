"""Check the settings given by a user before anything runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qsmbench.errors import QsmbenchError, shown, suggest
from qsmbench.method import Method

_OURS = Path(__file__).parents[1] / "methods"


def check_settings(name: str, method: Method, settings: Mapping[str, Any]) -> None:
    """Reject unknown settings of a method, and invalid values.

    If the default of a setting is a number, it takes numbers; if it is true or false, it takes these; if it is None, it
    takes anything. Numbers of built-in methods must not be negative, and counts must be whole; third-party methods
    check their own numbers.

    Args:
        name: of the method, as given by the user.
        method: the method.
        settings: by name.

    Raises:
        QsmbenchError: for the first invalid setting.
    """
    ours = method.source.is_relative_to(_OURS)
    for key, value in settings.items():
        if key not in method.settings:
            raise QsmbenchError(f"method {name}: unknown setting {key!r}; {suggest(key, method.settings)}")
        wrong = _wrong(value, method.settings[key], ours=ours)
        if wrong:
            raise QsmbenchError(f"method {name}: {key} is {shown(value)}; it must be {wrong}")


def _wrong(value: Any, default: Any, *, ours: bool) -> str:
    """Return the requirement that a value violates; empty if it is valid."""
    if isinstance(default, bool):
        return "" if isinstance(value, bool) else f"true or false (by default {str(default).lower()})"
    if isinstance(default, tuple):
        fits = isinstance(value, list | tuple) and all(map(_is_number, value))
        return "" if fits else f"a list of numbers (by default {list(default)})"
    if not isinstance(default, int | float):
        return ""
    if not _is_number(value):
        return f"a number (by default {default!r})"
    if ours and value < 0:
        return f"0 or more (by default {default!r})"
    if ours and isinstance(default, int) and not isinstance(value, int):
        return f"a whole number (by default {default!r})"
    return ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf
