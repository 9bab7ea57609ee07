"""Digests of files, remembered as long as the file is the same by all that the file system tells of it.

A file is read again if its size, times or inode differ: a new content with an old modification time is seen, since
nobody can set the time of the last change of the inode.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from qsmbench.dependencies import meaning
from qsmbench.run.step import digest

MISSING = "missing"
"""Digest of a file that is not there."""

_SETTLED = 2.0  # s: a file that was changed less than this ago may change again without a change of its times


class Contents:
    """Digests of files, kept in a file between runs.

    Args:
        memory: the file that they are kept in; a damaged one is ignored.
    """

    def __init__(self, memory: Path) -> None:
        self.memory = memory
        self._known: dict[str, list] = {}
        self._used: dict[str, list] = {}
        try:
            content = json.loads(memory.read_text())
            self._known = content if isinstance(content, dict) else {}
        except (OSError, ValueError):
            pass

    def digest(self, file: Path) -> str:
        """Return the digest of a file's content, or MISSING."""
        return self._of(file, "")

    def meaning(self, file: Path) -> str:
        """Return the digest of what a file means (see `dependencies.meaning`), or MISSING."""
        return self._of(file, "meaning ")

    def _of(self, file: Path, how: str) -> str:
        try:
            stat = file.stat()
        except OSError:
            return MISSING
        key = how + str(file.absolute())
        state = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_dev]
        known = self._known.get(key)
        if not (isinstance(known, list) and known[:-1] == state):
            try:
                known = [*state, meaning(file) if how else digest(file)]
            except OSError:  # a folder, or what may not be read
                return MISSING
        if time.time() - max(stat.st_mtime, stat.st_ctime) > _SETTLED:
            self._used[key] = known
        return str(known[-1])

    def save(self) -> None:
        """Write the digests that were used since the start, and no others."""
        partial = self.memory.with_name(self.memory.name + ".part")
        partial.write_text(json.dumps(self._used))
        partial.replace(self.memory)
