"""A submission looked at by its author: all that can be told without the truth."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from qsmbench.challenge.check import Inputs, Map, field_suspicions, read_map, refusal
from qsmbench.challenge.entries import Refused, about, kind_of, missing, stage
from qsmbench.challenge.pack import INPUTS_FILE, SUMS_FILE
from qsmbench.challenge.perform import chain_of, perform
from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.folders import read_json
from qsmbench.data.measured import Stated
from qsmbench.errors import QsmbenchError
from qsmbench.run.chains import Limits
from qsmbench.study.jobs.measure import convert


def verify(submission: Path, pack: Path, limits: Limits, *, run: bool = True) -> Iterator[tuple[str, str, list[str]]]:
    """Look at a submission as it will be looked at when it is received, but for the truth.

    A map is refused if its field says that it is in another unit, or has another sign or other axes: the field that it
    would cause is compared with the one that the phase shows.

    Args:
        submission: its folder, or a single Python file.
        pack: the inputs of the challenge.
        limits: of each step of a method.
        run: run a method on every scan.

    Yields:
        for each scan: its name, why the submission is refused there (empty if it is not), and notes. The name is empty
        for what is wrong with all of it.

    Raises:
        QsmbenchError: the inputs are not those of a challenge, or are damaged.
    """
    scans = scans_of(pack)
    with tempfile.TemporaryDirectory(prefix="qsmbench-challenge-") as temporary:
        work = Path(temporary)
        copy, chain = work / "copy", ""
        try:
            stage(submission.absolute(), copy)
            kind, said = kind_of(copy), about(copy)
            if kind == "maps" and (wrong := missing(copy, scans)):
                raise Refused(wrong)
            chain = chain_of(copy, kind, said, limits) if kind != "maps" else ""
        except Refused as e:
            yield "", str(e), []
            return
        if chain:
            yield "", "", [f"it runs as {chain}"]
        for name in scans if run or kind == "maps" else ():
            inputs = Inputs(inputs_of(pack, name, work / "inputs" / name))
            try:
                if kind == "maps":
                    given = read_map(copy / name, inputs.params, inputs.mask)
                else:
                    scan = (inputs.folder, inputs.params, inputs.mask, work / "run" / name)
                    given = perform(copy, kind, chain, *scan, limits=limits, hidden=[])
                yield name, *_told(given, inputs)
            except Refused as e:
                yield name, str(e).removeprefix(f"{name}/"), []


def _told(given: Map, inputs: Inputs) -> tuple[str, list[str]]:
    seen = field_suspicions(given, inputs)
    return refusal(seen), [*given.notes, *(s.text for s in seen)]


def scans_of(pack: Path) -> list[str]:
    """Return the names of the scans in the inputs of a challenge, whose files must be whole.

    Raises:
        QsmbenchError: it is something else, or a file differs from its checksum.
    """
    if not (pack / INPUTS_FILE).is_file():
        raise QsmbenchError(f"{pack}: has no {INPUTS_FILE}; name the folder with the inputs of a challenge")
    for line in (pack / SUMS_FILE).read_text().splitlines() if (pack / SUMS_FILE).is_file() else ():
        wanted, _, name = line.partition("  ")
        file = pack / name
        if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != wanted:
            raise QsmbenchError(f"{file}: is missing or differs from {SUMS_FILE}; get the inputs again")
    scans = read_json(pack / INPUTS_FILE).get("scans")
    if not isinstance(scans, list) or not all(isinstance(n, str) and n.startswith("sub-") for n in scans):
        raise QsmbenchError(f"{pack / INPUTS_FILE}: lists no scans")
    return scans


def inputs_of(pack: Path, name: str, to: Path) -> Path:
    """Return the folder of a scan's artifacts: in the pack, or converted from BIDS."""
    if read_json(pack / INPUTS_FILE).get("format") != "bids":
        return pack / name
    bids = ARTIFACTS["mask"].bids
    assert bids is not None
    kind, _, end = bids.name.partition("/")
    mask = pack / "derivatives" / "mask" / name / kind / f"{name}_{end}.nii.gz"
    convert(pack, to, Stated(subject=name.removeprefix("sub-"), mask=mask))
    return to
