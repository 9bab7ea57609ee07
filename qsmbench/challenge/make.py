"""A new challenge: its nonce, scans, truth and commitment, in a private folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from qsmbench import __version__
from qsmbench.challenge.config import Challenge, Entry, load_challenge
from qsmbench.challenge.draw import secret_scan
from qsmbench.challenge.secret import (
    COMMITMENT_FILE,
    NONCE_FILE,
    Secret,
    commitment,
    digests,
    new_secret,
    read_nonce,
    write_nonce,
)
from qsmbench.data.folders import make_folder, read_json, write_json
from qsmbench.dependencies import code_of
from qsmbench.errors import QsmbenchError
from qsmbench.scan.memory import check_memory
from qsmbench.scan.protocol import protocol_file
from qsmbench.seeds import generator
from qsmbench.study.jobs.simulate import save
from qsmbench.study.simulate import Described, scan_mask, scans

CONFIG_FILE, CODE_FILE, SCANS = "challenge.yaml", "code.json", "scans"


@dataclass(frozen=True)
class Private:
    """The private folder of a challenge.

    Attributes:
        folder: of the organiser; nobody else may read it.
        config: its YAML.
        entries: the entry of the YAML that each scan belongs to, by the scan's public name.
    """

    folder: Path
    config: Challenge
    entries: dict[str, int]

    def scan(self, name: str) -> Path:
        """Return the folder of a scan."""
        return self.folder / SCANS / name / "scan"

    def truth(self, name: str) -> Path:
        """Return the folder of a scan's truth."""
        return self.folder / SCANS / name / "truth"

    def entry(self, name: str) -> Entry:
        """Return the entry that a scan belongs to."""
        return self.config.scenarios[self.entries[name]]

    def condition(self, name: str) -> str:
        """Return what scans of one entry have in common, as the public may know it: not what the phantom has."""
        return f"set {self.entries[name] + 1}"


def read_private(folder: Path) -> Private:
    """Read the private folder of a challenge.

    Raises:
        QsmbenchError: it is not one, is not complete, or others may read its nonce.
    """
    secret = read_nonce(folder / NONCE_FILE)
    if not (folder / COMMITMENT_FILE).is_file():
        raise QsmbenchError(f"{folder}: has a nonce but no {COMMITMENT_FILE}; begin again in another folder")
    config = load_challenge(folder / CONFIG_FILE)
    return Private(folder, config, planned(config, secret))


def new(config: Path, out: Path, *, nonce: Path | None = None, note: Callable[[str], object]) -> str:
    """Make a challenge in a private folder; return its commitment.

    Args:
        config: YAML of the challenge.
        out: folder to write; it must be empty or not exist.
        nonce: file with a nonce, to make a challenge again; by default a new one is drawn.
        note: receives a line about each scan, and about a deadline that has passed.

    Raises:
        QsmbenchError: the YAML is invalid, or `out` contains something.
    """
    challenge = load_challenge(config)
    secret = new_secret() if nonce is None else read_nonce(nonce, private=False)
    text = config.read_text("utf-8-sig")
    entries = planned(challenge, secret)
    whats = {name: described(challenge, secret, name, entry) for name, entry in entries.items()}
    for what in whats.values():
        check_memory(what.phantom, what.protocol)
    if out.exists() and any(out.iterdir()):
        raise QsmbenchError(f"{out}: is not empty; a challenge needs a folder of its own")
    if nonce is None and challenge.deadline is not None and challenge.is_over(datetime.now(UTC)):
        note(f"the deadline {challenge.deadline.isoformat()} has passed: every submission will be late")
    make_folder(out)
    out.chmod(0o700)
    write_nonce(out, secret)
    (out / CONFIG_FILE).write_text(text, encoding="utf-8")
    for i, (name, what) in enumerate(whats.items(), 1):
        simulate_into(what, out / SCANS / name)
        note(f"{name}: simulated, {i} of {len(whats)}")
    write_json(out / CODE_FILE, code_version(challenge, whats))
    found = commitment(secret, text, read_json(out / CODE_FILE), digests(out / SCANS))
    write_json(out / COMMITMENT_FILE, {"challenge": challenge.challenge, "qsmbench": __version__, "sha256": found})
    return found


def planned(challenge: Challenge, secret: Secret) -> dict[str, int]:
    """Return the number of the entry that each scan belongs to, by public name: in an order that the nonce draws."""
    entries = [i for i, entry in enumerate(challenge.scenarios) for _ in range(entry.subjects)]
    order = generator(secret.seed("order")).permutation(len(entries))
    return {f"sub-{n:02d}": entries[i] for n, i in enumerate(order, 1)}


def described(challenge: Challenge, secret: Secret, name: str, entry: int) -> Described:
    """Return the phantom, the protocol and the noise of a scan."""
    return secret_scan(challenge.scenarios[entry], secret.of("scan", name), challenge.redraw)


def simulate_into(what: Described, folder: Path) -> None:
    """Simulate a scan; write it and its truth below a folder."""
    for simulation in scans(what):
        mask = scan_mask(simulation, what.protocol)
        save(simulation, what.phantom, folder / "scan", folder / "truth", mask=mask)


def code_version(challenge: Challenge, whats: dict[str, Described]) -> dict[str, Any]:
    """Return the version of qsmbench, and a digest of the code and the descriptions that scans are made from."""
    described_in = {f for what in whats.values() for f in what.phantom.files}
    described_in |= {protocol_file(entry.protocol) for entry in challenge.scenarios}
    code = code_of([Path(__file__).with_name("draw.py")], sorted(described_in))
    return {"qsmbench": __version__, "digest": code.digest, "versions": code.versions}
