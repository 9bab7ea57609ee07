"""Digests of files, cached as long as the file's metadata do not change.

A file is read again if its size, times or inode differ. New content with an old modification time is also detected,
since the inode's change time cannot be set.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from qsmbench.dependencies import meaning
from qsmbench.run.step import digest

MISSING = "missing"
"""Digest of a missing file."""

_SETTLED = 2.0  # s: a file that was changed less than this ago may change again without a change of its times


class Contents:
    """Digests of files, cached in a file between runs.

    Args:
        memory: path of the cache file; a damaged one is ignored.
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
        """Return the digest of a file's code without comments and layout (see `dependencies.meaning`), or MISSING."""
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
        """Write only the digests that were used since the start."""
        partial = self.memory.with_name(self.memory.name + ".part")
        partial.write_text(json.dumps(self._used))
        partial.replace(self.memory)
