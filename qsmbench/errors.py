"""The errors that qsmbench shows to its users: one line each, no traceback."""

from collections.abc import Iterable
from difflib import get_close_matches


def offer(name: object, legal: Iterable[str], lead: str = "there are") -> str:
    """All that there is in place of a name that is unknown, and what could have been meant by it."""
    known = list(legal)
    close = get_close_matches(str(name), known, n=1)
    meant = f" (did you mean {close[0]}?)" if close else ""
    return f"{lead} {', '.join(known) or 'none'}{meant}"


class QsmbenchError(ValueError):
    """Something the user gave cannot be used.

    The message is one line: the file or key, the offending value, and what is legal.
    The command line prints it and exits with code 2.
    """


class NotApplicable(Exception):
    """Raised by a method or a metric that cannot run on this input; the message is the reason.

    It is no failure: the reason stands in the scores and in the report.
    """
