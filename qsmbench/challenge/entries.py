"""Submissions: folders of strangers. Each is copied file by file before anything in it is read; links are refused."""

from __future__ import annotations

import csv
import hashlib
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

from pydantic import Field

from qsmbench.data.score_table import CONTROLS, FED
from qsmbench.errors import QsmbenchError, shown
from qsmbench.external.contract import MANIFEST
from qsmbench.typed_yaml import Model, load_yaml

RECEIVED_FILE, ABOUT_FILE, PYTHON_FILE = "received.csv", "submission.yaml", "mine.py"

MINE = "mine"
"""What the submitted method is called in its chain."""

MOST_FILES, MOST_BYTES = 2000, 4 * 2**30
"""What a submission may hold; assumed: a network and twenty maps fit."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


class Refused(Exception):
    """A submission, or one of its maps, that is not scored; the message is the reason, in one line."""


class About(Model):
    """The keys of a `submission.yaml`, all of which may be left out."""

    name: Annotated[str, Field(max_length=100)] = Field("", description="name on the board; by default the folder's")
    description: Annotated[str, Field(max_length=1000)] = Field("", description="what was done, with a reference")
    chain: Annotated[str, Field(max_length=300)] = Field(
        "", description="for a method: built-in methods and mine, joined by dots, such as romeo.fit.vsharp.mine"
    )


@dataclass(frozen=True)
class Submission:
    """A submission as it was received.

    Attributes:
        name: of its folder.
        path: of its folder, or of a single Python file.
        team: who sent it.
        received: when; None if `received.csv` does not say.
    """

    name: str
    path: Path
    team: str
    received: datetime | None


def submissions(folder: Path) -> list[Submission]:
    """List the submissions in a folder, in the order of their names.

    Raises:
        QsmbenchError: there are none, or `received.csv` is invalid.
    """
    if not folder.is_dir():
        raise QsmbenchError(f"{folder}: no such folder; name the one that holds a folder for each submission")
    known = _received(folder / RECEIVED_FILE)
    found = sorted(f for f in folder.iterdir() if f.name != RECEIVED_FILE and not f.name.startswith("."))
    if not found:
        raise QsmbenchError(f"{folder}: holds no submissions; put each into a folder of its own")
    unknown = sorted(set(known) - {name_of(f) for f in found})
    if unknown:
        raise QsmbenchError(f"{folder / RECEIVED_FILE}: there is no submission {unknown[0]!r} in {folder}")
    names = [name_of(f) for f in found]
    twice = [n for i, n in enumerate(names) if n in names[:i]]
    if twice:
        raise QsmbenchError(f"{folder}: two submissions are called {twice[0]}")
    return [Submission(n, f, *known.get(n, (n, None))) for n, f in zip(names, found, strict=True)]


def name_of(path: Path) -> str:
    """Return the name of a submission: of its folder, or of its file without `.py`."""
    return path.stem if path.suffix == ".py" else path.name


def _received(file: Path) -> dict[str, tuple[str, datetime]]:
    """Read which team sent each submission, and when."""
    if not file.is_file():
        return {}
    with file.open(newline="", encoding="utf-8-sig") as opened:
        rows = list(csv.DictReader(opened))
    found: dict[str, tuple[str, datetime]] = {}
    for row in rows:
        name, team, text = (str(row.get(key) or "").strip() for key in ("submission", "team", "received"))
        where = f"{file}: {name or 'a row'}"
        if not name or not text:
            raise QsmbenchError(f"{where}: needs the columns submission and received, and may have team")
        if name in found:
            raise QsmbenchError(f"{where}: is there twice")
        try:
            time = datetime.fromisoformat(text)
        except ValueError:
            time = None
        if time is None or time.tzinfo is None:
            raise QsmbenchError(f"{where}: received is {shown(text)}; write a time with its zone, 2027-02-28T18:30Z")
        found[name] = (team or name, time)
    return found


def stage(source: Path, to: Path) -> None:
    """Copy a submission, file by file, without following a link.

    Raises:
        Refused: it holds something else than files and folders, a name that cannot be shown, or too much.
    """
    name = name_of(source)
    if not NAME.fullmatch(name):
        raise Refused(f"is called {shown(name)}; a name has letters, digits, _ and - only")
    if name in (*CONTROLS, *FED):
        raise Refused(f"is called {name}, which is the name of a control")
    left = [MOST_FILES, MOST_BYTES]
    try:
        if source.is_symlink():
            raise Refused("is a link")
        if source.is_dir():
            _copy_folder(source, to, "", left)
        else:
            to.mkdir(parents=True)
            _copy_file(source, to / PYTHON_FILE if source.suffix == ".py" else to / source.name, source.name, left)
    except OSError as e:
        raise Refused(f"cannot be read ({e.strerror or type(e).__name__})") from e


def _copy_folder(source: Path, to: Path, within: str, left: list[int]) -> None:
    if within.count("/") > 10:
        raise Refused(f"{within[:60]}…: is nested too deeply")
    to.mkdir(parents=True)
    for entry in sorted(os.scandir(source), key=lambda e: e.name):
        place = f"{within}{entry.name}"
        if not place.isprintable():
            raise Refused(f"{shown(place)}: has a name that cannot be shown")
        if entry.is_symlink():
            raise Refused(f"{place}: is a link")
        if entry.name == "__pycache__":
            continue
        if entry.is_dir(follow_symlinks=False):
            _copy_folder(Path(entry.path), to / entry.name, f"{place}/", left)
        else:
            _copy_file(Path(entry.path), to / entry.name, place, left)


def _copy_file(source: Path, to: Path, place: str, left: list[int]) -> None:
    opened = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)  # a pipe would keep us waiting
    with os.fdopen(opened, "rb") as content, to.open("wb") as copy:
        status = os.fstat(opened)
        if not stat.S_ISREG(status.st_mode):
            raise Refused(f"{place}: is not a plain file")
        if status.st_nlink > 1:
            raise Refused(f"{place}: is a hard link, the same file as another elsewhere")
        left[0] -= 1
        while part := content.read(2**20):
            left[1] -= len(part)
            if min(left) < 0:
                raise Refused(f"holds more than {MOST_FILES} files or {MOST_BYTES / 2**30:g} GiB")
            copy.write(part)
    to.chmod(0o755 if status.st_mode & 0o100 else 0o644)


def digest(staged: Path) -> str:
    """Return SHA-256 of the names and contents of all files of a copied submission."""
    found = hashlib.sha256()
    for file in sorted(f for f in staged.rglob("*") if f.is_file()):
        with file.open("rb") as opened:
            own = hashlib.file_digest(opened, "sha256").hexdigest()
        found.update(f"{file.relative_to(staged).as_posix()}\0{own}\n".encode())
    return found.hexdigest()


def kind_of(staged: Path) -> str:
    """Return what a copied submission is: `maps`, `folder` (a method of any language) or `python`.

    Raises:
        Refused: it is none of them, or several.
    """
    signs = {
        "folder": (staged / MANIFEST).is_file(),
        "python": (staged / PYTHON_FILE).is_file(),
        "maps": any(f.is_dir() for f in staged.glob("sub-*")),
    }
    found = [kind for kind, is_there in signs.items() if is_there]
    if len(found) == 1:
        return found[0]
    if not found:
        there = ", ".join(sorted(f.name for f in staged.iterdir())[:5]) or "nothing"
        raise Refused(f"holds {there}; it must hold folders sub-… with maps, or a file {MANIFEST} or {PYTHON_FILE}")
    raise Refused(f"is both {' and '.join(found)}; send one submission for each")


def about(staged: Path) -> About:
    """Read a submission's `submission.yaml`, if it has one.

    Raises:
        Refused: it is invalid.
    """
    if not (staged / ABOUT_FILE).is_file():
        return About()
    try:
        return load_yaml(staged / ABOUT_FILE, About)
    except QsmbenchError as e:
        raise Refused(told(e, staged)) from e


def told(error: Exception, *hidden: Path) -> str:
    """Return an error in one line, without the paths of folders that are nobody's business."""
    text = str(error)
    for folder in hidden:
        for name in {str(folder), str(folder.resolve())}:
            text = text.replace(f"{name}{os.sep}", "").replace(name, "")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:500]


def missing(staged: Path, scans: Mapping[str, object] | list[str]) -> str:
    """Return what is wrong with the names of the folders of maps; empty if nothing is."""
    there = {f.name for f in staged.glob("sub-*") if f.is_dir()}
    gone, extra = [n for n in scans if n not in there], sorted(there - set(scans))
    parts = [f"no folder {', '.join(gone)}"] if gone else []
    parts += [f"unknown folder {', '.join(extra)}"] if extra else []
    return "; ".join(parts)
