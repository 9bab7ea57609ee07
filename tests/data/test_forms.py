"""Where B0 points and how large voxels are, by the forms of the header."""

import json

import nibabel as nib
import numpy as np
import pytest
from measured_scan import affine, bids, edit, files, save, scan

from qsmbench.data.measured import Stated, read_measured
from qsmbench.errors import QsmbenchError

TILTED = (0.0, np.sin(np.radians(35)), np.cos(np.radians(35)))
"""z of a scanner in voxel axes that are tilted by 35° about the first one: Rᵀẑ."""


def grid_and_notes(root, **stated):
    _, params, notes = read_measured(root, Stated(**stated))
    return params.grid, " ".join(notes)


@pytest.mark.parametrize(
    ("sform", "qform", "tilted", "note"),
    [
        (2, 1, "q", "the scanner's z, by its qform, not its sform (aligned to another scan)"),
        (4, 1, "q", "the scanner's z, by its qform, not its sform (MNI)"),
        (1, 2, "s", "the scanner's z, by its sform, not its qform (aligned to another scan)"),
        (0, 1, "q", "the scanner's z, by its qform"),
        (1, 0, "s", "the scanner's z, by its sform"),
        (2, 0, "s", "no form of the header is the scanner's; B0 taken along z of its sform (aligned to another scan)"),
        (0, 2, "q", "no form of the header is the scanner's; B0 taken along z of its qform (aligned to another scan)"),
    ],
)
def test_b0_by_the_scanners_form(tmp_path, sform, qform, tilted, note):
    at, turned = affine(), affine(tilt=35)
    s = scan(at=turned)
    s.affine = turned if tilted == "s" else at
    grid, notes = grid_and_notes(bids(tmp_path, s, sform=sform, qform=qform, q=at if tilted == "s" else turned))
    np.testing.assert_allclose(grid.b0_dir, TILTED, atol=1e-4)
    assert note in notes
    np.testing.assert_allclose(grid.voxel_size, 2, rtol=1e-5)
    if sform:  # the maps lie where the scan does: as every tool shows it
        np.testing.assert_allclose(grid.affine, s.affine, atol=1e-4)


@pytest.mark.parametrize(("sform", "qform"), [(1, 1), (2, 2), (4, 2)])
def test_forms_that_contradict_each_other_ask_for_b0_dir(tmp_path, sform, qform):
    root = bids(tmp_path, scan(), sform=sform, qform=qform, q=affine(tilt=35))
    with pytest.raises(QsmbenchError, match=r"B0 points to sform .* and qform .*; state b0_dir"):
        grid_and_notes(root)
    grid, _ = grid_and_notes(root, b0_dir=TILTED)
    np.testing.assert_allclose(grid.b0_dir, TILTED)


def test_no_form_is_coded(tmp_path):
    grid, notes = grid_and_notes(bids(tmp_path, scan(), sform=0, qform=0))
    assert grid.b0_dir == (0, 0, 1)
    assert "no form is coded in the header; B0 taken along z of its affine" in notes


def test_forms_that_turn_by_rounding_agree(tmp_path):
    grid, _ = grid_and_notes(bids(tmp_path, scan(), q=affine(tilt=0.3)))
    np.testing.assert_allclose(grid.b0_dir, (0, 0, 1), atol=1e-4)


def test_the_sidecar_and_the_scanners_form_must_agree(tmp_path):
    root = bids(tmp_path, scan(), units="rad")
    for part in ("mag", "phase"):
        for f in files(root, part):
            edit(f.with_name(f.name.replace(".nii.gz", ".json")), B0_dir=list(TILTED))
    with pytest.raises(QsmbenchError, match=r"B0_dir of the sidecar is \(0, 0.574, 0.819\), but its sform \(scanner\)"):
        grid_and_notes(root)
    assert grid_and_notes(root, b0_dir=(0, 0, 1))[0].b0_dir == (0, 0, 1)


@pytest.mark.parametrize(("unit", "factor"), [("micron", 1000.0), ("meter", 0.001), ("mm", 1.0), ("unknown", 1.0)])
def test_lengths_are_converted(tmp_path, unit, factor):
    s = scan()
    s.affine = s.affine.copy()
    s.affine[:3] *= factor
    grid, notes = grid_and_notes(bids(tmp_path, s, unit=unit))
    np.testing.assert_allclose(grid.voxel_size, 2, rtol=1e-5)
    np.testing.assert_allclose(grid.affine, affine(), rtol=1e-5, atol=1e-4)
    assert (f"lengths are in {unit}, converted to mm" in notes) == (factor != 1)


@pytest.mark.parametrize(("unit", "factor"), [("mm", 1000.0), ("micron", 1.0), ("meter", 1.0)])
def test_a_wrong_unit_of_length_is_refused(tmp_path, unit, factor):
    s = scan()
    s.affine = s.affine.copy()
    s.affine[:3] *= factor
    with pytest.raises(QsmbenchError, match="correct its unit of length"):
        grid_and_notes(bids(tmp_path, s, unit=unit))


def test_a_mask_in_other_lengths_fits(tmp_path):
    s = scan()
    root = bids(tmp_path / "ds", s)
    at = s.affine.copy()
    at[:3] *= 1000
    mask = save(tmp_path / "mask.nii.gz", s.mask.astype(np.uint8), at, unit="micron")
    assert np.array_equal(read_measured(root, Stated(mask=mask))[0]["mask"], s.mask)


SHEARED = affine()
SHEARED[0, 1] = 0.4


def test_shear_and_a_stretched_template(tmp_path):
    """The scanner's form is used where there is one; else the header is to be corrected."""
    s = scan()
    s.affine = SHEARED
    grid, notes = grid_and_notes(bids(tmp_path / "a", s, sform=4, qform=1, q=affine(tilt=35)))
    np.testing.assert_allclose(grid.affine, affine(tilt=35), atol=1e-4)
    np.testing.assert_allclose(grid.voxel_size, 2, rtol=1e-4)
    assert "its first form is sheared by 11" in notes
    with pytest.raises(QsmbenchError, match=r"its form is sheared by 11\.\d°"):
        grid_and_notes(bids(tmp_path / "b", s, sform=1, qform=0, q=affine()))


def test_pixdim_that_contradicts_the_form(tmp_path):
    s = scan()
    root = bids(tmp_path, s, sform=1, qform=0, q=affine((1, 1, 1)))
    with pytest.raises(QsmbenchError, match="has voxels of 2 × 2 × 2 mm, but pixdim says 1 × 1 × 1 mm"):
        grid_and_notes(root)


def test_all_files_of_a_scan_point_the_same_way(tmp_path):
    root = bids(tmp_path, scan(), sform=2, qform=1)
    f = files(root, "mag")[1]
    save(f, np.asarray(nib.load(f).dataobj), affine(), sform=2, qform=1, q=affine(tilt=35))
    with pytest.raises(QsmbenchError, match=r"echo-2_part-mag.*: B0 points to .* in .*echo-1_part-phase"):
        grid_and_notes(root)


def test_what_is_written_keeps_b0(tmp_path):
    """A scan folder made from a tilted scan says the same when it is read."""
    from qsmbench.data import folders
    from qsmbench.study.jobs.measure import convert

    s = scan(at=affine(tilt=35))
    s.affine = affine()
    convert(bids(tmp_path / "ds", s, sform=2, qform=1, q=affine(tilt=35)), tmp_path / "scan", Stated())
    np.testing.assert_allclose(folders.read_params(tmp_path / "scan").grid.b0_dir, TILTED, atol=1e-4)
    assert len(json.loads((tmp_path / "scan" / "notes.json").read_text())["notes"]) == 2
