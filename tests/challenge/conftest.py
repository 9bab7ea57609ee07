"""A small challenge, made once: three scans of a brain-like image of labels, its inputs, and an honest submission."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from qsmbench.challenge.make import new, read_private
from qsmbench.challenge.pack import pack
from qsmbench.challenge.score import outcome_of, score
from qsmbench.run.chains import Limits
from qsmbench.study.reconstruct import reconstruct

TABLE = """index\tname\ttissue
1\tcortex\tcortex
2\twhite_matter\twhite_matter
3\tputamen\tputamen
4\tcaudate\tcaudate
5\tpallidum\tglobus_pallidus_internus
6\tdentate\tdentate
"""

CHALLENGE = """challenge: spring
description: Three small brains
scenarios:
  - {{phantom: {phantom}, protocol: brain-3t, subjects: 2}}
  - {{phantom: {phantom}, protocol: brain-3t, set_protocol: {{snr: 60}}}}
further: [correlation]
time_limit: 60
{more}"""

SCANS = ["sub-01", "sub-02", "sub-03"]


def brain(folder: Path) -> Path:
    """Write a phantom of labels, not symmetric along any axis; return its YAML."""
    x, y, z = np.indices((34, 38, 30))
    labels = np.zeros(x.shape, np.uint8)

    def ball(at, radii):
        return sum(((a - c) / r) ** 2 for a, c, r in zip((x, y, z), at, radii, strict=True)) < 1

    for index, at, radii in (
        (1, (16.5, 18.5, 14.5), (14, 16, 12)),
        (2, (16.5, 18.5, 14.5), (11, 13, 9)),
        (3, (11, 22, 16), (2.5, 4, 3)),
        (3, (21, 15, 12), (3, 3, 2.5)),
        (4, (20, 25, 17), (2, 4, 2)),
        (5, (14, 14, 18), (2.5, 2.5, 2.5)),
        (6, (20, 9, 10), (2, 2, 3)),
    ):
        labels[ball(at, radii)] = index
    nib.save(nib.Nifti1Image(labels, np.diag([3.0, 3.0, 3.0, 1.0])), folder / "labels.nii.gz")
    (folder / "labels.tsv").write_text(TABLE)
    path = folder / "brain.yaml"
    path.write_text("# a small brain\nkind: labelmap\nimage: labels.nii.gz\ntable: labels.tsv\nsupersampling: 1\n")
    return path


def configuration(folder: Path, more: str = "") -> Path:
    """Write a phantom and a challenge of it; return the challenge's YAML."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "challenge.yaml"
    path.write_text(CHALLENGE.format(phantom=brain(folder), more=more))
    return path


class Event:
    """A challenge that takes place.

    Attributes:
        private: folder of the organiser.
        inputs: what participants have.
        maps: an honest submission of maps.
    """

    def __init__(self, private: Path, inputs: Path, maps: Path) -> None:
        self.private, self.inputs, self.maps = private, inputs, maps

    @property
    def read(self):
        """The private folder as it is read."""
        return read_private(self.private)

    def submit(self, folder: Path, name: str) -> Path:
        """Copy the honest maps as a submission; return its folder."""
        return Path(shutil.copytree(self.maps, folder / name))

    def score(self, folder: Path, **more):
        """Score submissions; returns by submission the reason that stands for all of it, and those of each scan."""
        records = score(self.private, folder, note=lambda _: None, **more)
        found = {}
        for r in records:
            outcomes = {scan: outcome_of(self.private, r, scan) for scan in SCANS}
            found[r.name] = {scan: o.reason for scan, o in outcomes.items()}
        return found

    def values(self, name: str, scan: str = "sub-01"):
        """Return the scores of a submission on a scan, by metric."""
        from qsmbench.challenge.score import records

        record = next(r for r in records(self.private) if r.name == name)
        return {row["metric"]: row["value"] for row in outcome_of(self.private, record, scan).rows}


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """The challenge as it was made; not to be changed."""
    top = tmp_path_factory.mktemp("challenge")
    (top / "nonce").write_text(hashlib.sha256(b"tests").hexdigest())  # the same subjects in every session
    new(configuration(top / "config"), top / "private", nonce=top / "nonce", note=lambda _: None)
    pack(read_private(top / "private"), top / "inputs")
    for name in SCANS:
        out = top / "reconstructed" / name
        reconstruct("romeo.fit.vsharp.tkd", top / "inputs" / name, out, limits=Limits(100), note=lambda _: None)
        (top / "honest" / name).mkdir(parents=True)
        shutil.copy(out / "chimap.nii.gz", top / "honest" / name)
    return Event(top / "private", top / "inputs", top / "honest")


NO_SCORES = shutil.ignore_patterns("scores")
"""What other tests may have left in the challenge as it was made."""


@pytest.fixture
def event(made, tmp_path):
    """A challenge that a test may change."""
    private = Path(shutil.copytree(made.private, tmp_path / "private", ignore=NO_SCORES))
    private.chmod(0o700)
    return Event(private, made.inputs, made.maps)


def edit(folder: Path, change, scan: str | None = None) -> None:
    """Change the maps of a submission; `change` takes values and affine, and returns both."""
    for file in folder.glob(f"{scan or 'sub-*'}/chimap.nii.gz"):
        image = nib.load(file)
        values, affine = change(np.asarray(image.dataobj), image.affine)
        nib.save(nib.Nifti1Image(values, affine), file)
