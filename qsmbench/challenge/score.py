"""Submissions scored against the truth: one file of rows for each submission and scan, kept until it changes."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from qsmbench.analysis.suspicion import suspicions
from qsmbench.challenge.check import REFUSED, Inputs, Map, field_suspicions, read_map, refusal
from qsmbench.challenge.entries import (
    NAME,
    Refused,
    Submission,
    about,
    digest,
    kind_of,
    missing,
    stage,
    submissions,
    told,
)
from qsmbench.challenge.make import Private, read_private
from qsmbench.challenge.pack import GIVEN
from qsmbench.challenge.perform import chain_of, perform
from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.folders import PARAMS_FILE, make_folder, read_json, write_json
from qsmbench.dependencies import code_of
from qsmbench.errors import QsmbenchError
from qsmbench.method import Container
from qsmbench.metrics import Reference
from qsmbench.run.chains import Limits
from qsmbench.run.specs import ScoreSpec
from qsmbench.sandbox import check_available
from qsmbench.study.scoring import Scan
from qsmbench.view.picture import draw

SCORES, RECORD_FILE = "scores", "submission.json"


@dataclass(frozen=True)
class Record:
    """What is known of a submission.

    Attributes:
        name: of its folder.
        team: who sent it.
        received: when, as text; empty if it is not known.
        digest: SHA-256 of its files; empty if it could not be copied.
        kind: maps, folder or python; empty if it is none.
        title: its name on the board.
        description: of its author.
        chain: of a method.
        reason: why it was not scored at all; empty if it was.
    """

    name: str
    team: str
    received: str
    digest: str = ""
    kind: str = ""
    title: str = ""
    description: str = ""
    chain: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Outcome:
    """The scores of a submission on a scan.

    Attributes:
        rows: of `metrics.Reference.rows`.
        reason: why there are none; empty if there are.
        notes: what was converted, and what the map looks like.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    reason: str = ""
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Staged:
    """A submission and its copy."""

    record: Record
    folder: Path


class _Target:
    """A scan with its truth."""

    def __init__(self, private: Private, name: str, work: Path) -> None:
        self.name, self.config, self.pictures = name, private.config, private.folder / SCORES
        self.inputs, self.truth = work / name, private.truth(name)
        self.inputs.mkdir(parents=True)
        for file in (PARAMS_FILE, *(ARTIFACTS[n].file for n in GIVEN)):
            shutil.copyfile(private.scan(name) / file, self.inputs / file)

    @cached_property
    def scan(self) -> Scan:
        """The reference volumes."""
        folders: dict[str, Any] = {
            "result": "",
            "support": "",
            "field": None,
            "scan": str(self.inputs),
            "truth": str(self.truth),
        }
        return Scan(ScoreSpec(dataset=self.name, chain="", artifacts=["chi"], **folders))

    @cached_property
    def mask(self) -> np.ndarray:
        """Mask that participants have, (nx, ny, nz) bool."""
        return self.scan._mask(self.inputs)

    @cached_property
    def _inputs(self) -> Inputs:
        return Inputs(self.inputs)

    @cached_property
    def _reference(self) -> Reference:
        return Reference(**self.scan.reference("chi"))

    def draw(self, given: Map, file: Path) -> None:
        """Draw a map alone: beside its truth, or as an error, it would tell the truth."""
        picture = draw(given.chi, None, self.mask, self.scan.params.grid, "ppm", "", support=given.support)
        picture.save(file, quality=80)

    def outcome(self, given: Map) -> Outcome:
        """Score a map."""
        truth, params = self.scan.truth("chi"), self.scan.params
        assert truth is not None
        study = self.scan.study_mask
        # the field first: a reconstruction loses contrast, but not data consistency, so that its slope tells the unit
        seen = [s for s in field_suspicions(given, self._inputs) if s.kind in REFUSED]
        seen += suspicions(given.chi, truth, study, artifact="chi", b0=params.b0, te=params.te)
        if reason := refusal(seen[:1] if seen and seen[0].kind in REFUSED else seen):
            return Outcome(reason=reason, notes=given.notes)
        names = list(dict.fromkeys([self.config.metric, *self.config.further]))
        support = given.support & study
        rows = self._reference.rows(given.chi, support, metrics=names, supports=("study",))
        values = [{**r, "value": None if r["value"] != r["value"] else r["value"]} for r in rows if not r["region"]]
        return Outcome(values, notes=[*given.notes, *(s.text for s in seen)])


def score(
    private: Path,
    folder: Path,
    *,
    container: Container = "bubblewrap",
    force: bool = False,
    note: Callable[[str], object],
) -> list[Record]:
    """Score all submissions in a folder on all scans; the outcomes are kept in the private folder.

    Nothing that is wrong with one submission stops another. What has not changed since it was scored is not run again.

    Args:
        private: private folder of the challenge.
        folder: with a folder for each submission, and perhaps `received.csv`.
        container: where submitted methods run; not none.
        force: score all of them again.
        note: receives a line about each submission and scan.

    Raises:
        QsmbenchError: a folder is not what it should be, or methods cannot be isolated here.
    """
    if container == "none":
        raise QsmbenchError("container is none; submitted methods run isolated: choose bubblewrap, docker, podman …")
    challenge, found = read_private(private), submissions(folder)
    if folder.resolve().is_relative_to(private.resolve()):
        raise QsmbenchError(f"{folder}: lies in the private folder; put submissions elsewhere")
    limits = Limits(challenge.config.time_limit, challenge.config.memory_limit, container)
    hidden = [private.resolve(), folder.resolve()]
    with tempfile.TemporaryDirectory(prefix="qsmbench-challenge-") as temporary:
        work = Path(temporary)
        staged = [_staged(s, work / "staged" / str(i), limits) for i, s in enumerate(found)]
        for s in staged:
            _begin(private, s.record)
        for name in challenge.entries:
            target = _Target(challenge, name, work / "inputs")
            for i, s in enumerate(staged):
                if s.record.reason:
                    continue
                if not force and kept(private, s.record, name) is not None:
                    note(f"{name}, {s.record.name}: kept")
                    continue
                outcome = _outcome(target, s, work / "run" / f"{name}-{i}", limits, hidden)
                write_json(_file(private, s.record.name, name), {**asdict(outcome), **_made_of(s.record)})
                note(f"{name}, {s.record.name}: {outcome.reason or 'scored'}")
    for s in staged:
        if s.record.reason:
            note(f"{s.record.name}: {s.record.reason}")
    return [s.record for s in staged]


def _staged(submission: Submission, to: Path, limits: Limits) -> _Staged:
    """Copy a submission and look at it; what is wrong with it is in its record."""
    time = submission.received
    record = Record(submission.name, submission.team, time.isoformat() if time else "")
    copy = to / "copy"
    values: dict[str, Any] = {}
    try:
        stage(submission.path, copy)
        values["digest"] = digest(copy)
        values["kind"] = kind_of(copy)
        said = about(copy)
        values |= {"title": told(ValueError(said.name)), "description": told(ValueError(said.description))}
        if values["kind"] != "maps":
            if limits.container == "bubblewrap":
                check_available()
            values["chain"] = chain_of(copy, values["kind"], said, limits)
    except Refused as e:
        values["reason"] = told(e, to, copy)
    return _Staged(Record(**{**asdict(record), **values}), copy)


def _begin(private: Path, record: Record) -> None:
    make_folder(private / SCORES / _safe(record.name))
    write_json(private / SCORES / _safe(record.name) / RECORD_FILE, asdict(record))


def _outcome(target: _Target, staged: _Staged, work: Path, limits: Limits, hidden: Sequence[Path]) -> Outcome:
    """Score a submission on a scan, whatever it holds."""
    record = staged.record
    try:
        if record.kind == "maps":
            if not (staged.folder / target.name).is_dir():
                raise Refused(missing(staged.folder, [target.name]))
            given = read_map(staged.folder / target.name, target.scan.params, target.mask)
        else:
            params, mask = target.scan.params, target.mask
            scan = (target.inputs, params, mask, work)
            given = perform(staged.folder, record.kind, record.chain, *scan, limits=limits, hidden=hidden)
        outcome = target.outcome(given)
        if not outcome.reason:
            target.draw(given, picture_of(target.pictures.parent, record.name, target.name))
        return outcome
    except Refused as e:
        return Outcome(reason=told(e, staged.folder, work).removeprefix(f"{target.name}/"))
    except (Exception, RecursionError) as e:  # a stranger's file may make a library raise anything
        return Outcome(reason=told(ValueError(f"{type(e).__name__}: {e}"), staged.folder, work))
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _made_of(record: Record) -> dict[str, str]:
    """Return what an outcome depends on, beside the scan."""
    return {"digest": record.digest, "chain": record.chain, "code": code_of([Path(__file__)]).digest}


def kept(private: Path, record: Record, scan: str) -> Outcome | None:
    """Return the outcome of a submission on a scan; None if it has not been scored as it is now."""
    file = _file(private, record.name, scan)
    if not file.is_file():
        return None
    content = read_json(file)
    same = all(content.pop(key, None) == value for key, value in _made_of(record).items())
    return Outcome(**content) if same else None


def records(private: Path) -> list[Record]:
    """Return the records of all submissions that were looked at, in the order of their names."""
    files = sorted((private / SCORES).glob(f"*/{RECORD_FILE}"))
    return [Record(**read_json(f)) for f in files]


def outcome_of(private: Path, record: Record, scan: str) -> Outcome:
    """Return the outcome of a submission on a scan, whatever code it was scored with."""
    file = _file(private, record.name, scan)
    if record.reason or not file.is_file():
        return Outcome(reason=record.reason or "not scored")
    content = read_json(file)
    if content.get("digest") != record.digest:
        return Outcome(reason="not scored since it changed")
    return Outcome(content["rows"], content["reason"], content["notes"])


def picture_of(private: Path, name: str, scan: str) -> Path:
    """Return the file of the picture of a submission's map."""
    return _file(private, name, scan).with_suffix(".webp")


def _file(private: Path, name: str, scan: str) -> Path:
    return private / SCORES / _safe(name) / f"{scan}.json"


def _safe(name: str) -> str:
    """Return a name as one of a folder, whatever a stranger made of it."""

    return name if NAME.fullmatch(name) else f"name-{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:16]}"
