"""The files of a study that the page offers: the tables and the configuration."""

from __future__ import annotations

import base64
import io
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from qsmbench.analysis.results import ORIGINS_FILE, Study

FOLDER = "data"
"""Folder next to the page."""


@dataclass(frozen=True)
class Download:
    """A file: its name, what it contains, its address, and its size in bytes."""

    name: str
    meaning: str
    address: str
    size: int

    @property
    def size_text(self) -> str:
        """The size with its unit."""
        return f"{self.size / 1e6:.1f} MB" if self.size > 1e5 else f"{max(self.size / 1e3, 0.1):.1f} kB"


def downloads(study: Study, out: Path) -> list[Download]:
    """Write the files into a subfolder of the report."""
    (out / FOLDER).mkdir(exist_ok=True)
    found = []
    for name, meaning, text in _files(study):
        path = out / FOLDER / name
        if isinstance(text, Path):
            shutil.copyfile(text, path)
        else:
            path.write_bytes(text)
        found.append(Download(name, meaning, f"{FOLDER}/{quote(name)}", path.stat().st_size))
    return found


def embedded_downloads(study: Study) -> list[Download]:
    """Return the files as data URIs, without the table as text, which is the largest."""
    found = []
    for name, meaning, text in _files(study):
        if not name.endswith(".csv") or name == "datasets.csv":
            raw = text.read_bytes() if isinstance(text, Path) else text
            uri = f"data:application/octet-stream;base64,{base64.b64encode(raw).decode()}"
            found.append(Download(name, meaning, uri, len(raw)))
    return found


def _files(study: Study) -> Iterator[tuple[str, str, Path | bytes]]:
    """Yield name, meaning and content of each file; a study in memory, or a board, has only some of them on disk."""
    table = study.folder / "scores.parquet"
    if table.is_file():
        yield "scores.parquet", "every score, tidy", table
    text = study.folder / "scores.csv"
    yield "scores.csv", "every score, tidy, as text", text if text.is_file() else _csv(study)
    if (study.folder / "datasets.csv").is_file():
        yield "datasets.csv", "the scans and their factors", study.folder / "datasets.csv"
    if study.config:
        yield "config.yaml", "the configuration, which repeats the study", study.config.encode()
    for name, meaning in (("versions.json", "versions of the software"), (ORIGINS_FILE, "origins of the settings")):
        if (study.folder / name).is_file():
            yield name, meaning, study.folder / name


def _csv(study: Study) -> bytes:
    text = io.StringIO()
    study.scores.to_csv(text, index=False)
    return text.getvalue().encode()
