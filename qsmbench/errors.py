"""The errors that qsmbench shows to its users, one line each, and the exit codes of its commands."""

from collections.abc import Iterable
from difflib import get_close_matches
from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ended; the same for all commands. If several apply, the order of precedence is 2, 4, 1, 3."""

    OK = 0
    WORSE = 1
    """A verdict: a method broke a check, or a result is worse than it has to be."""
    USAGE = 2
    """The description, an option or a file of the user's cannot be used; nothing was computed."""
    SLOWER = 3
    """A result is as good as before, but takes more time or memory than it may."""
    FAILED = 4
    """Something failed or is missing: chains or datasets of a study, a step, a method that cannot be loaded."""


def shown(value: object, longest: int = 100) -> str:
    """Return a value as a message of one line bears it, whatever it is."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # an integer of thousands of digits
        text = type(value).__name__
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def suggest(name: object, choices: Iterable[str]) -> str:
    """Return the choices in place of an unknown name, and the one that was probably meant."""
    known = list(choices)
    close = get_close_matches(str(name), known, n=1)
    meant = f" (did you mean {close[0]}?)" if close else ""
    return f"choose from {', '.join(known)}{meant}" if known else "there are none"


class QsmbenchError(ValueError):
    """Something the user gave cannot be used.

    The message is one line: the file or key, the offending value, and the choices. The command line prints it and
    exits with `exit_code`.
    """

    exit_code = ExitCode.USAGE


class FailedError(QsmbenchError):
    """What the user gave can be used, but the work on it failed or is incomplete."""

    exit_code = ExitCode.FAILED


class NotApplicable(Exception):
    """Raised by a method or a metric that cannot run on this input; the message is the reason.

    It is no failure: the reason stands in the scores and in the report.
    """
