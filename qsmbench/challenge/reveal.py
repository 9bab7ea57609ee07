"""The truth of a challenge, once it is over, and whether it is the one that was promised before."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from qsmbench.challenge.config import load_challenge
from qsmbench.challenge.make import (
    CODE_FILE,
    CONFIG_FILE,
    SCANS,
    Private,
    code_version,
    described,
    planned,
    simulate_into,
)
from qsmbench.challenge.secret import COMMITMENT_FILE, NONCE_FILE, commitment, digests, read_nonce
from qsmbench.data.folders import make_folder, read_json
from qsmbench.errors import FailedError, QsmbenchError


def reveal(private: Private, out: Path, now: datetime, *, early: bool = False) -> None:
    """Copy the nonce, the YAML, the scans and their truth to a folder that may be published.

    Args:
        private: the challenge.
        out: folder to write.
        now: time with its zone.
        early: whether it may be done before the deadline.

    Raises:
        QsmbenchError: the deadline has not passed, or `out` contains something.
    """
    deadline = private.config.deadline
    if deadline is not None and not private.config.is_over(now) and not early:
        raise QsmbenchError(
            f"the deadline is {deadline.isoformat()}, and what is revealed cannot be taken back; --early reveals it now"
        )
    if out.exists() and any(out.iterdir()):
        raise QsmbenchError(f"{out}: is not empty; name a new folder")
    make_folder(out)
    for name in (NONCE_FILE, CONFIG_FILE, CODE_FILE, COMMITMENT_FILE):
        shutil.copyfile(private.folder / name, out / name)
    shutil.copytree(private.folder / SCANS, out / SCANS)
    verify_commitment(out, private.folder / COMMITMENT_FILE)


def verify_commitment(
    revealed: Path, promised: Path, *, simulate: bool = False, note: Callable[[str], object] = lambda _: None
) -> str:
    """Check that a revealed folder is what a commitment promised; return the commitment.

    Args:
        revealed: folder with the nonce, the YAML, the scans and their truth.
        promised: `commitment.json` as it was published with the inputs.
        simulate: also simulate every scan again from the nonce: so nothing in it was chosen.
        note: receives a line about each scan.

    Raises:
        QsmbenchError: a file is missing or damaged.
        FailedError: it is something else than what was promised.
    """
    secret = read_nonce(revealed / NONCE_FILE, private=False)
    config, wanted = revealed / CONFIG_FILE, read_json(promised).get("sha256")
    challenge = load_challenge(config)
    content, code = digests(revealed / SCANS), read_json(revealed / CODE_FILE)
    found = commitment(secret, config.read_text("utf-8-sig"), code, content)
    if found != wanted:
        raise FailedError(
            f"{revealed}: is not what was promised: SHA-256 of its nonce, YAML, code version, scans and truth is "
            f"{found}, but {promised} has {wanted}"
        )
    if simulate:
        entries = planned(challenge, secret)
        whats = {name: described(challenge, secret, name, entry) for name, entry in entries.items()}
        for part in ("digest", "versions"):
            if code_version(challenge, whats)[part] != code.get(part):
                note(f"the {part} of the code differs from that of the challenge: numbers may differ by rounding")
        with tempfile.TemporaryDirectory(prefix="qsmbench-") as work:
            for name, what in whats.items():
                simulate_into(what, Path(work) / name)
                again = {f"{name}/{path}": d for path, d in digests(Path(work) / name).items()}
                wrong = sorted(p for p in again if again[p] != content.get(p))
                if wrong:
                    raise FailedError(f"{revealed / SCANS / wrong[0]}: is not what the nonce gives")
                shutil.rmtree(Path(work) / name)
                note(f"{name}: is what the nonce gives")
    return found
