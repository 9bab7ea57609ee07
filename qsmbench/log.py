"""What a process prints: kept within bounds, and searched for the line that says why it failed."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

MAX_LOG = 2**20
"""Bytes of what a step prints that are kept, half from its beginning and half from its end."""

_TRACEBACK = "Traceback (most recent call last):"

_ERROR = re.compile(
    r"(?:[\w./-]+:(?: line \d+:| ?\d+:)* )?(?:fatal |internal )?error(?:: | in | using )"  # Octave, R, MATLAB
    r"|[\w./-]+: line \d+: .+"  # a shell
    r"|[\w.]*(?:Error|Exception): "
    r"|terminate called|segmentation fault|out of memory|killed$|aborted",
    re.IGNORECASE,
)


class Log:
    """A log that keeps its beginning and its end.

    Args:
        write: receives what is kept, the beginning at once, the end from `close`.
        limit: bytes that are kept in all.
    """

    def __init__(self, write: Callable[[bytes], object], limit: int = MAX_LOG) -> None:
        self._write, self._half = write, limit // 2
        self._head, self._tail, self._total = bytearray(), bytearray(), 0

    def feed(self, said: bytes) -> None:
        """Take more of what is said."""
        self._total += len(said)
        room = self._half - len(self._head)
        if room > 0:
            self._head += said[:room]
            self._write(said[:room])
            said = said[room:]
        self._tail += said[-self._half :]
        if len(self._tail) > 2 * self._half:
            del self._tail[: -self._half]

    def close(self) -> None:
        """Write the end."""
        self._write(self._end())

    def text(self) -> str:
        """Return what is kept."""
        return (self._head + self._end()).decode(errors="replace")

    def _end(self) -> bytes:
        end = bytes(self._tail[-self._half :])
        left_out = self._total - len(self._head) - len(end)
        return f"\n… {left_out} bytes are left out …\n".encode() + end if left_out else end

    def read(self, pipe: int) -> None:
        """Take all that comes through a pipe, until nobody holds its other end."""
        while said := os.read(pipe, 2**16):
            self.feed(said)


def first_error(text: str) -> str:
    """Return the line of a log that says why a program failed: its first error, else its last line.

    Of an exception of Python, that is the line below the traceback.
    """
    lines = [line.rstrip()[:1000] for line in text.splitlines() if line.strip()]
    for i, line in enumerate(lines):
        if line == _TRACEBACK:
            return next((below for below in lines[i + 1 :] if not below[0].isspace()), line)
        if _ERROR.match(line.strip()):
            names_no_reason = re.match(r"error using \S+( \(line \d+\))?$", line, re.IGNORECASE)  # MATLAB
            return ": ".join([line.strip(), *(lines[i + 1 : i + 2] if names_no_reason else [])])
    return lines[-1].strip() if lines else ""
