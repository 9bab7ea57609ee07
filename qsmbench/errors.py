"""The errors that qsmbench shows to its users: one line each, no traceback."""


class QsmbenchError(ValueError):
    """Something the user gave cannot be used.

    The message is one line: the file or key, the offending value, and what is legal.
    The command line prints it and exits with code 2.
    """


class NotApplicable(Exception):
    """Raised by a method or a metric that cannot run on this input; the message is the reason.

    It is no failure: the reason stands in the scores and in the report.
    """
