"""What participants get: the scans without their truth, and nothing that reveals it."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

from qsmbench.challenge.make import Private
from qsmbench.challenge.secret import COMMITMENT_FILE
from qsmbench.data.bids import write_maps, write_megre
from qsmbench.data.folders import Params, make_folder, read_of, read_params, write, write_json, write_params
from qsmbench.errors import QsmbenchError
from qsmbench.scan.protocol import load_protocol
from qsmbench.study.simulate import sequence

INPUTS_FILE, SUMS_FILE = "inputs.json", "SHA256SUMS"

GIVEN = ("phase", "magnitude", "mask")
"""The artifacts of a scan that participants get."""

EPOCH = 946684800
"""Time of all files of a pack, 2000-01-01 UTC: when they were made says nothing."""

MASK_TEXT = """The voxels to reconstruct: one mask for each scan of this dataset, on the voxels of its phase
and magnitude. Susceptibility is scored within it, in ppm.
"""

README = """{challenge}
{description}

{scans} scans, each of a subject of its own: phase, magnitude and a mask. Compute the magnetic susceptibility within the
mask, in ppm relative to water or to any constant, and put it into a folder of its own as

    NAME/sub-01/chimap.nii.gz, NAME/sub-02/chimap.nii.gz, …

on the voxels of the scan. Where it is 0, it counts as not reconstructed, unless a mask.nii.gz beside it says otherwise.
Or put a method there: a file NAME/mine.py, or a folder with an algorithm.yml. See docs/challenge.md of qsmbench.

Check it before it is sent:  qsmbench challenge verify NAME --inputs .
Check that these files are whole:  sha256sum -c {sums}

{commitment} is SHA-256 of the secret that everything here was drawn from and of the truth. Both are published later.
"""


def pack(private: Private, out: Path, *, bids: bool = False) -> list[str]:
    """Write the inputs of a challenge as artifact folders or as a BIDS dataset; return the names of the scans.

    Volumes are read and written again, so that no header, time or name is taken over.

    Raises:
        QsmbenchError: `out` contains something, or lies in the private folder.
    """
    if out.exists() and any(out.iterdir()):
        raise QsmbenchError(f"{out}: is not empty; name a new folder")
    if out.resolve().is_relative_to(private.folder.resolve()):
        raise QsmbenchError(f"{out}: lies in the private folder; name a folder elsewhere")
    make_folder(out)
    for name in private.entries:
        _write_scan(private, name, out, bids=bids)
    config = private.config
    write_json(
        out / INPUTS_FILE,
        {
            "challenge": config.challenge,
            "scans": list(private.entries),
            "format": "bids" if bids else "artifacts",
            "deadline": config.deadline and config.deadline.isoformat(),
        },
    )
    shutil.copyfile(private.folder / COMMITMENT_FILE, out / COMMITMENT_FILE)
    texts = {"challenge": config.challenge, "description": config.description, "scans": len(private.entries)}
    text = README.format(**texts, sums=SUMS_FILE, commitment=COMMITMENT_FILE)
    (out / "README").write_text(text, encoding="utf-8")
    if bids:
        (out / ".bidsignore").write_text("".join(f"{name}\n" for name in (INPUTS_FILE, COMMITMENT_FILE, SUMS_FILE)))
    _seal(out)
    return list(private.entries)


def _write_scan(private: Private, name: str, out: Path, *, bids: bool) -> None:
    folder = private.scan(name)
    params = read_params(folder)
    volumes = {n: read_of(folder, n, params) for n in GIVEN}
    if not bids:
        write(out / name, volumes, params.grid)
        write_params(out / name, params)
        return
    _write_bids(private, name, out, volumes, params)


def _write_bids(private: Private, name: str, out: Path, volumes: dict[str, Any], params: Params) -> None:
    entry, subject = private.entry(name), name.removeprefix("sub-")
    protocol = load_protocol(entry.protocol, entry.set_protocol)
    title = private.config.challenge
    write_megre(out, volumes["phase"], volumes["magnitude"], params, subject=subject, name=title, **sequence(protocol))
    masks, first = {"mask": volumes["mask"]}, volumes["magnitude"][..., 0]
    root = out / "derivatives" / "mask"
    about = {"name": "mask", "text": MASK_TEXT}
    write_maps(root, masks, first, params, subject=subject, skull_stripped=False, **about)


def _seal(out: Path) -> None:
    """Write the checksums of all files, and give all of them the same time."""
    files = sorted(f for f in out.rglob("*") if f.is_file())
    lines = [f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.relative_to(out).as_posix()}\n" for f in files]
    (out / SUMS_FILE).write_text("".join(lines))
    for path in [*out.rglob("*"), out]:
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (EPOCH, EPOCH))
