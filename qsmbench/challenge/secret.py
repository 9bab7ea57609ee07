"""The secret of a challenge: its nonce, and the commitment that is published before the truth."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from isal import igzip

from qsmbench.errors import QsmbenchError
from qsmbench.seeds import derive

NONCE_FILE = "nonce"
"""File with the nonce as 64 hexadecimal digits, which only its owner may read."""

COMMITMENT_FILE = "commitment.json"

BYTES = 32


@dataclass(frozen=True)
class Secret:
    """A nonce of 256 random bits, from which all seeds of a challenge derive."""

    nonce: bytes

    def seed(self, *purpose: str) -> int:
        """Return the seed of something; see `seeds.derive`."""
        return derive(self.nonce, "qsmbench challenge", *purpose)

    def of(self, *purpose: str) -> Secret:
        """Return the secret of a part, such as a scan."""
        return Secret((self.seed(*purpose) % 2 ** (8 * BYTES)).to_bytes(BYTES, "big"))

    def __repr__(self) -> str:
        return "Secret(…)"  # in no log or traceback


def new_secret() -> Secret:
    """Draw a nonce from the random numbers of the system."""
    return Secret(secrets.token_bytes(BYTES))


def write_nonce(folder: Path, secret: Secret) -> None:
    """Write the nonce into a folder, in a file that nobody else may read and that is never overwritten.

    Raises:
        QsmbenchError: there is one already.
    """
    path = folder / NONCE_FILE
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError as e:
        raise QsmbenchError(f"{path}: exists already; a challenge keeps its nonce, name another folder") from e
    with os.fdopen(file, "w") as opened:
        opened.write(secret.nonce.hex() + "\n")


def read_nonce(path: Path, *, private: bool = True) -> Secret:
    """Read a nonce.

    Args:
        path: of its file.
        private: refuse a file that others may read, or write.

    Raises:
        QsmbenchError: no such file, not a nonce, or others may read it.
    """
    if not path.is_file():
        raise QsmbenchError(f"{path}: no such file; name the private folder of a challenge")
    mode = stat.S_IMODE(path.stat().st_mode)
    if private and mode & 0o077:
        raise QsmbenchError(f"{path}: has mode {mode:o}, so that others may read the nonce; run chmod 600 {path}")
    text = path.read_text(errors="replace").strip()
    if not re.fullmatch(rf"[0-9a-f]{{{2 * BYTES}}}", text):
        raise QsmbenchError(f"{path}: is not a nonce, {2 * BYTES} hexadecimal digits")
    return Secret(bytes.fromhex(text))


def commitment(secret: Secret, config: str, code: Mapping[str, Any], content: Mapping[str, str]) -> str:
    """Return SHA-256 of what a challenge is made from and what it holds, 64 hexadecimal digits.

    Args:
        secret: the nonce.
        config: text of the challenge's YAML.
        code: version of qsmbench, and a digest of the code that simulates.
        content: digest of each file of the scans and their truth, by path; see `digests`.
    """
    whole = {
        "nonce": secret.nonce.hex(),
        "config": hashlib.sha256(config.encode()).hexdigest(),
        "code": dict(code),
        "content": dict(content),
    }
    return hashlib.sha256(json.dumps(whole, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def digests(folder: Path) -> dict[str, str]:
    """Return SHA-256 of all files below a folder, by relative path; of a compressed file, of its content.

    So it does not depend on the library that compressed it.
    """
    files = sorted(f for f in folder.rglob("*") if f.is_file())
    return {f.relative_to(folder).as_posix(): _digest(f) for f in files}


def _digest(file: Path) -> str:
    found = hashlib.sha256()
    opened: Any = igzip.open(file) if file.suffix == ".gz" else file.open("rb")
    with opened as content:
        for part in iter(partial(content.read, 2**20), b""):
            found.update(part)
    return found.hexdigest()
