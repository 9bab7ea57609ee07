"""Damaged submissions: each is a row with its reason, and the others are scored."""

import gzip
import os
import re
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
from challenge.conftest import SCANS, edit
from scipy import ndimage

from qsmbench.challenge.check import Inputs, Map, field_suspicions, read_map, refusal
from qsmbench.challenge.entries import Refused
from qsmbench.challenge.verify import verify
from qsmbench.grid import Grid
from qsmbench.run.chains import Limits
from qsmbench.scan.field import field_of
from qsmbench.units import hz_per_ppm, rad_per_ppm


def with_complex(folder):
    edit(folder, lambda v, a: ((v + 0j).astype(np.complex64), a))


def two_volumes(folder):
    edit(folder, lambda v, a: (np.stack([v, v], -1), a))


def moved(affine):
    found = affine.copy()
    found[0, 3] += 10
    return found


def bomb(folder):
    with gzip.open(folder / "sub-01" / "chimap.nii.gz", "wb", 1) as packed:
        for _ in range(64):
            packed.write(bytes(2**20))


def truncated(folder):
    file = folder / "sub-01" / "chimap.nii.gz"
    file.write_bytes(file.read_bytes()[:-5000])


def text(folder):
    (folder / "sub-01" / "chimap.nii.gz").write_text("chi\n")


def some_nan(folder):
    edit(folder, lambda v, a: (np.where(v > 0.02, np.nan, v).astype(np.float32), a))


def huge_header(folder):
    """A header that promises 2 TB."""
    file = folder / "sub-01" / "chimap.nii.gz"
    content = bytearray(gzip.decompress(file.read_bytes()))
    content[42:50] = np.array([32767, 32767, 500, 1], "<i2").tobytes()
    file.write_bytes(gzip.compress(bytes(content)))


def missing_map(folder):
    (folder / "sub-01" / "chimap.nii.gz").rename(folder / "sub-01" / "qsm.nii.gz")


def missing_scan(folder):
    (folder / "sub-01").rename(folder / "sub-1")


def pipe(folder):
    (folder / "sub-01" / "chimap.nii.gz").unlink()
    os.mkfifo(folder / "sub-01" / "chimap.nii.gz")


def many_files(folder):
    for i in range(2001):
        (folder / "sub-01" / str(i)).touch()


def two_kinds(folder):
    (folder / "mine.py").write_text("")


def alias_bomb(folder):
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9)]
    (folder / "submission.yaml").write_text("\n".join(lines))


def unknown_key(folder):
    (folder / "submission.yaml").write_text("author: me")


MALFORMED = {
    missing_map: "has no chimap.nii.gz; it holds qsm.nii.gz",
    missing_scan: "no folder sub-01",
    text: "cannot be unpacked, truncated or damaged",
    truncated: "cannot be unpacked, truncated or damaged",
    bomb: "which no map of this scan takes",
    huge_header: r"its header says \(32767, 32767, 500\) voxels of float32, more than the file holds",
    with_complex: "must be real numbers",
    two_volumes: r"shape \(34, 38, 30, 2\) differs",
    some_nan: "are NaN or infinite",
    pipe: "is not a plain file",
    many_files: "more than 2000 files",
    two_kinds: "is both",
    alias_bomb: "100000 values",
    unknown_key: "unknown key 'author'",
}

CHANGES = {
    "cropped": (lambda v, a: (v[1:], a), r"shape \(33, 38, 30\) differs"),
    "elsewhere": (lambda v, a: (v, moved(a)), "moves a corner by 10 mm"),
    "constant": (lambda v, a: (np.full_like(v, 0.1), a), "is 0.1 in all of its voxels"),
    "empty": (lambda v, a: (0 * v, a), "no voxel other than 0"),
    "ppb": (lambda v, a: (1000 * v, a), "looks like ppb"),
    "hz": (lambda v, a: ((v * hz_per_ppm(3)).astype(np.float32), a), "looks like Hz"),
    "radians": (lambda v, a: ((v * rad_per_ppm(3, 0.02)).astype(np.float32), a), "looks like radians"),
    "sign": (lambda v, a: (-v, a), "opposite sign"),
    "axis": (lambda v, a: (v[:, ::-1].copy(), a), "flipped along its second axis"),
}
"""Maps that are well-formed files."""


@pytest.fixture(scope="module")
def scored(made, tmp_path_factory):
    """All of them, and an honest one, scored with one command."""
    folder = tmp_path_factory.mktemp("received")
    for damage in MALFORMED:
        damage(made.submit(folder, damage.__name__))
    for name, (change, _) in CHANGES.items():
        edit(made.submit(folder, name), change)
    made.submit(folder, "honest")
    made.submit(folder, "name with spaces")
    (folder / "nothing").mkdir()
    (folder / "a-text.txt").write_text("hello")
    return made.score(folder)


@pytest.mark.parametrize("damage", MALFORMED, ids=lambda d: d.__name__)
def test_damage_is_a_row_with_its_reason(scored, damage):
    reason = scored[damage.__name__]["sub-01"]
    assert re.search(MALFORMED[damage], reason), reason
    assert "\n" not in reason and "/tmp" not in reason and len(reason) < 400


@pytest.mark.parametrize("name", CHANGES)
def test_a_wrong_map_is_told_what_it_looks_like(scored, name):
    assert all(re.search(CHANGES[name][1], scored[name][scan]) for scan in SCANS), scored[name]


@pytest.mark.parametrize("damage", [text, truncated, missing_map, huge_header], ids=lambda d: d.__name__)
def test_other_scans_of_a_damaged_submission_are_scored(scored, damage):
    assert scored[damage.__name__]["sub-02"] == ""


def test_others_are_scored_and_other_things_refused(scored):
    assert scored["honest"] == dict.fromkeys(SCANS, "")
    assert "letters, digits" in scored["name with spaces"]["sub-01"]
    assert "holds nothing" in scored["nothing"]["sub-01"]
    assert "letters, digits" in scored["a-text.txt"]["sub-01"]


@pytest.fixture(scope="module")
def inputs(made):
    return Inputs(made.inputs / "sub-01")


def looked_at(made, folder):
    return {name: reason for name, reason, _ in verify(folder, made.inputs, Limits(60))}


@pytest.mark.parametrize("name", CHANGES)
def test_its_author_is_told_without_the_truth(made, inputs, tmp_path, name):
    folder = made.submit(tmp_path, name)
    edit(folder, CHANGES[name][0])
    try:
        reason = refusal(field_suspicions(read_map(folder / "sub-01", inputs.params, inputs.mask), inputs))
    except Refused as e:
        reason = str(e)
    assert re.search(CHANGES[name][1], reason), reason


def test_verify_accepts_an_honest_submission(made, tmp_path):
    assert looked_at(made, made.submit(tmp_path, "honest")) == dict.fromkeys(SCANS, "")


@pytest.mark.parametrize("damage", [missing_scan, pipe, two_kinds], ids=lambda d: d.__name__)
def test_verify_refuses_what_is_no_submission(made, tmp_path, damage):
    damage(folder := made.submit(tmp_path, "damaged"))
    assert list(looked_at(made, folder)) == [""] and looked_at(made, folder)[""]


def test_a_map_may_lie_in_another_order_and_have_a_mask(made, tmp_path):
    """Stored as LAS instead of RAS, it is the same map; NaN counts only within its own mask."""
    folder = made.submit(tmp_path, "turned")
    edit(folder, lambda v, a: (v[::-1].copy(), a @ np.array([[-1, 0, 0, len(v) - 1], *np.eye(4)[1:]])))
    made.submit(tmp_path, "plain")
    masked = made.submit(tmp_path, "masked")
    for scan in SCANS:
        file = masked / scan / "chimap.nii.gz"
        image = nib.load(file)
        values = np.asarray(image.dataobj)
        nib.save(nib.Nifti1Image((values != 0).astype(np.uint8), image.affine), masked / scan / "mask.nii.gz")
        nib.save(nib.Nifti1Image(np.where(values == 0, np.nan, values).astype(np.float32), image.affine), file)
    assert made.score(tmp_path) == dict.fromkeys(["masked", "plain", "turned"], dict.fromkeys(SCANS, ""))
    assert made.values("turned") == made.values("plain") == made.values("masked")


def test_a_flip_is_told_though_the_mask_cuts_off_most_of_the_map():
    """Of an object that does not lie in the middle of the volume."""
    grid = Grid((20, 22, 40), (2.0, 2.0, 2.0))
    x, y, z = np.broadcast_arrays(*grid.axes())
    mask = x**2 + y**2 + (z + 12) ** 2 < 16**2
    noise = np.random.default_rng(0).standard_normal(grid.shape)
    chi = np.where(mask, ndimage.gaussian_filter(noise, 2), 0)
    params = SimpleNamespace(grid=grid, te=np.array([0.01]), b0=3.0)
    inputs = SimpleNamespace(params=params, field=(field_of(np.where(mask, chi - chi[mask].mean(), 0), grid), mask))
    for whole, kinds in ((chi, []), (np.flip(chi, 2), ["axis"])):
        given = Map(np.where(mask, whole, 0), whole, mask, [])
        assert [s.kind for s in field_suspicions(given, inputs)] == kinds
