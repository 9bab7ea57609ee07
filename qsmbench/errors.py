"""The errors that qsmbench shows to its users, one line each, and the exit codes of its commands."""

from collections.abc import Iterable
from difflib import get_close_matches
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit code of a command; the same for all commands. If several apply, the order of precedence is 2, 4, 1, 3."""

    OK = 0
    WORSE = 1
    """A method failed a check, or a result is worse than required."""
    USAGE = 2
    """The user's description, option or file is invalid; nothing was computed."""
    SLOWER = 3
    """A result is as good as before, but takes more time or memory than allowed."""
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
    """Return the choices for an unknown name, and the one that was probably meant, as text."""
    known = list(choices)
    close = get_close_matches(str(name), known, n=1)
    meant = f" (did you mean {close[0]}?)" if close else ""
    return f"choose from {', '.join(known)}{meant}" if known else "there are none"


class QsmbenchError(ValueError):
    """The user's input is invalid.

    The message is one line: the file or key, the offending value, and the choices. The command line prints it and
    exits with `exit_code`.
    """

    exit_code = ExitCode.USAGE


class FailedError(QsmbenchError):
    """The user's input is valid, but the computation failed or is incomplete."""

    exit_code = ExitCode.FAILED


class NotApplicable(Exception):
    """Raised by a method or a metric that cannot run on this input; the message is the reason.

    It is not a failure: the reason is shown in the scores and in the report.
    """
