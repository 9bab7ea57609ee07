"""What participants get tells nothing of the nonce, the seeds or the truth."""

import base64
import gzip
import hashlib
import json
import shutil
import struct
import zlib

import nibabel as nib
import numpy as np
import pytest
from challenge.conftest import SCANS

from qsmbench.challenge.make import read_private
from qsmbench.challenge.pack import EPOCH, pack
from qsmbench.challenge.secret import read_nonce
from qsmbench.errors import QsmbenchError


def secrets_of(private):
    """Return everything that must not be found, by what it is: bytes of some length."""
    secret = read_nonce(private / "nonce")
    found = {}

    def forms(name, value):
        raw = value.to_bytes(32, "big")
        found.update({f"{name} raw": raw, f"{name} reversed": raw[::-1], f"{name} hex": raw.hex().encode()})
        found[f"{name} decimal"] = str(value).encode()
        found[f"{name} base64"] = base64.b64encode(raw)[:40]

    forms("nonce", int.from_bytes(secret.nonce, "big"))
    for scan in SCANS:
        own = secret.of("scan", scan)
        forms(f"secret of {scan}", int.from_bytes(own.nonce, "big"))
        for purpose in ("noise", "subject", "case"):
            forms(f"{purpose} of {scan}", own.seed(purpose))
        chi = np.asarray(nib.load(private / "scans" / scan / "truth" / "chimap.nii.gz").dataobj, np.float32)
        field = np.asarray(nib.load(private / "scans" / scan / "truth" / "localfield.nii.gz").dataobj, np.float32)
        for name, values in (("chi", chi), ("field", field)):
            inside = np.flatnonzero(values.ravel("F"))[values[values != 0].size // 2]
            found[f"{name} of {scan}"] = values.ravel("F")[inside : inside + 4].tobytes()
        public = ("mask.nii.gz", "params.json")  # which participants have
        for file in (f for f in (private / "scans" / scan / "truth").iterdir() if f.name not in public):
            found[f"digest of {scan} {file.name}"] = hashlib.sha256(file.read_bytes()).hexdigest().encode()
    for word in ("labels.nii", "brain.yaml", "putamen", "labelmap", str(private.parent)):
        found[word] = word.encode()
    return found


def leaks(folder, secrets):
    """Search all bytes of all files, and what compressed ones hold, and their names."""
    found = []
    for file in folder.rglob("*"):
        content = file.read_bytes() if file.is_file() else b""
        if file.suffix == ".gz":
            content += gzip.decompress(content)
        content += str(file.relative_to(folder)).encode()
        found += [f"{file.name}: {name}" for name, value in secrets.items() if value in content]
    return found


@pytest.mark.parametrize("bids", [False, True])
def test_a_pack_holds_nothing_secret(made, tmp_path, bids):
    pack(read_private(made.private), tmp_path / "pack", bids=bids)
    assert len(secrets_of(made.private)) > 60
    assert leaks(tmp_path / "pack", secrets_of(made.private)) == []


def test_bids_ignores_what_it_has_no_name_for(made, tmp_path):
    """A validator refuses all else at the root of a dataset."""
    pack(read_private(made.private), tmp_path / "pack", bids=True)
    ignored = (tmp_path / "pack" / ".bidsignore").read_text().splitlines()
    named = {"README", "dataset_description.json", ".bidsignore"}
    assert {f.name for f in (tmp_path / "pack").iterdir() if f.is_file()} == named | set(ignored)


def test_a_leak_would_be_found(made, tmp_path):
    secrets = secrets_of(made.private)
    shutil.copytree(made.inputs, tmp_path / "pack")
    (tmp_path / "pack" / "notes.json").write_text(json.dumps({"seed": read_nonce(made.private / "nonce").nonce.hex()}))
    shutil.copy(made.private / "scans" / "sub-02" / "truth" / "chimap.nii.gz", tmp_path / "pack" / "sub-02")
    assert leaks(tmp_path / "pack", secrets) == ["notes.json: nonce hex", "chimap.nii.gz: chi of sub-02"]


@pytest.mark.parametrize("bids", [False, True])
def test_headers_and_times_tell_nothing(made, tmp_path, bids):
    pack(read_private(made.private), tmp_path / "pack", bids=bids)
    files = [f for f in (tmp_path / "pack").rglob("*") if f.is_file()]
    assert {f.stat().st_mtime for f in files} == {EPOCH}
    volumes = [f for f in files if f.name.endswith(".nii.gz")]
    assert len(volumes) == (51 if bids else 9)
    for file in volumes:
        head = file.read_bytes()[:10]
        assert struct.unpack("<I", head[4:8]) == (0,) and not head[3]  # gzip: neither time, name nor comment
        header = nib.load(file).header
        texts = [header[k].tobytes().strip(b"\0") for k in ("descrip", "aux_file", "db_name", "intent_name")]
        assert texts == [b""] * 4 and not header.extensions


def test_scans_are_whole_and_in_no_order_of_the_configuration(made, tmp_path):
    names = [f.name for f in made.inputs.iterdir()]
    assert sorted(names) == sorted([*SCANS, "README", "SHA256SUMS", "commitment.json", "inputs.json"])
    for line in (made.inputs / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((made.inputs / name).read_bytes()).hexdigest() == digest
    for scan in SCANS:
        assert sorted(f.name for f in (made.inputs / scan).iterdir()) == [
            "magnitude.nii.gz", "mask.nii.gz", "params.json", "phase.nii.gz",
        ]  # fmt: skip


def test_a_pack_is_not_written_beside_the_truth(made, tmp_path):
    with pytest.raises(QsmbenchError, match="lies in the private folder"):
        pack(read_private(made.private), made.private / "pack")
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "old").touch()
    with pytest.raises(QsmbenchError, match="is not empty"):
        pack(read_private(made.private), tmp_path / "pack")


def test_noise_of_a_scan_does_not_follow_from_another(made):
    """Corners hold noise alone; the scans share none of it."""
    corners = []
    for scan in SCANS:
        phase = np.asarray(nib.load(made.inputs / scan / "phase.nii.gz").dataobj)
        corners.append(phase[:3, :3, :3].ravel())
    assert abs(np.corrcoef(corners) - np.eye(3)).max() < 0.35
    assert len({zlib.crc32(c.tobytes()) for c in corners}) == 3
