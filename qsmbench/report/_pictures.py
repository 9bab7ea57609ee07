"""The pictures of a study: files beside the report, or embedded in a page to mail."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from urllib.parse import quote

from qsmbench.analysis.results import Study
from qsmbench.run.specs import read_record
from qsmbench.view.page import data_uri

FOLDER = "pictures"
"""Folder next to the page."""


@dataclass(frozen=True)
class Picture:
    """A picture of a chain's result, and its address: a data URI, or a path relative to the page."""

    dataset: str
    chain: str
    uri: str


@dataclass(frozen=True)
class PictureFile:
    """A picture of a chain's result, as a file of the study."""

    dataset: str
    chain: str
    path: Path

    def embedded(self) -> Picture:
        """Return the picture with its content embedded."""
        return Picture(self.dataset, self.chain, data_uri(self.path.read_bytes(), "webp"))

    def copied(self, report: Path) -> Picture:
        """Copy the picture into the folder of the report."""
        name = f"{quote(self.dataset, safe='')},{quote(self.chain, safe='')}.webp"
        shutil.copyfile(self.path, report / FOLDER / name)
        return Picture(self.dataset, self.chain, f"{FOLDER}/{quote(name)}")


def picture_files(study: Study) -> list[PictureFile]:
    """Return the pictures of a study, those of the first seeds first."""
    chains: dict[str, list[str]] = {}
    for dataset, chain in study.scores[["dataset", "chain"]].drop_duplicates().itertuples(index=False):
        chains.setdefault(dataset, []).append(chain)
    places = ((d, c, study.picture(d, c)) for d in _first_seeds_first(study) for c in chains[d])
    return [PictureFile(d, c, path) for d, c, path in places if path is not None]


def embedded(files: Sequence[PictureFile]) -> list[Picture]:
    """Return the pictures with their content embedded."""
    return [f.embedded() for f in files]


def copied(files: Sequence[PictureFile], report: Path) -> list[Picture]:
    """Copy the pictures into a subfolder of the report."""
    if files:
        (report / FOLDER).mkdir(exist_ok=True)
    return [f.copied(report) for f in files]


def fitting(files: Sequence[PictureFile], budget: int) -> list[PictureFile]:
    """Return the first files whose data URIs together are no larger than the budget [bytes]."""
    kept, left = [], budget
    for f in files:
        left -= 4 * f.path.stat().st_size // 3 + 400
        if left < 0:
            break
        kept.append(f)
    return kept


def not_drawn(study: Study) -> dict[str, str]:
    """Return the chains whose result is not drawn on some dataset, with the reason."""
    found: dict[str, str] = {}
    for dataset in study.scores["dataset"].unique():
        record = read_record(study.folder / dataset / "pictures.json")
        for part in ("not_drawn", "failed_chains"):
            found |= (record.details if record else {}).get(part, {})
    return found


def _first_seeds_first(study: Study) -> Iterator[str]:
    """Yield the datasets: the first replicate of every group, then the second, and so on."""
    for replicates in zip_longest(*(study.datasets(g) for g in study.groups)):
        yield from (d for d in replicates if d is not None)
