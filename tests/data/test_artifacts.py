"""Volumes and parameters survive the disk, and what is wrong with them is said in one line."""

import gzip
import json
import logging

import nibabel as nib
import numpy as np
import pytest

from qsmbench.data import folders, volumes
from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid


def edit(path, **changes):
    """Change keys of a JSON file; None removes one."""
    content = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))


def test_round_trip(small, scan_folder):
    params = folders.read_params(scan_folder / "scan")
    assert params.grid.shape == small["params"].grid.shape
    assert params.grid.b0_dir == small["params"].grid.b0_dir
    np.testing.assert_allclose(params.grid.affine, small["params"].grid.affine, atol=1e-6)
    assert params.te.tolist() == small["params"].te.tolist()
    for name, volume in small["scan"].items():
        assert np.array_equal(folders.read(scan_folder / "scan", name, params.grid), volume)
    regions = folders.read_regions(scan_folder / "truth" / "dseg.tsv")
    assert regions == small["regions"]


def test_nothing_is_scaled_on_disk(scan_folder):
    image = nib.load(scan_folder / "scan" / "phase.nii.gz")
    assert (image.dataobj.slope, image.dataobj.inter) == (1.0, 0.0)
    assert image.get_data_dtype() == np.float32


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"TE": None}, "TE is missing"),
        ({"B0_dir": None}, "B0_dir is missing"),
        ({"B0": None}, "B0 is missing"),
        ({"TE": [0.014, 0.009, 0.004]}, "echo times must be positive, in seconds, and increasing"),
        ({"TE": [4, 9, 14]}, "look like milliseconds"),
        ({"TE": []}, "list of echo times"),
        ({"TE": "soon"}, "params.json: "),
        ({"B0_dir": [0, 0, 2]}, "must be a unit vector"),
        ({"B0_dir": [0, 1]}, "must be a unit vector"),
        ({"B0": 3000}, "field strength in tesla"),
        ({"voxel_size": [1, 1, 1]}, "voxel_size is .* but .* has"),
    ],
)
def test_illegal_parameters(scan_folder, changes, message):
    edit(scan_folder / "scan" / "params.json", **changes)
    with pytest.raises(QsmbenchError, match=message) as caught:
        folders.read_params(scan_folder / "scan")
    assert "params.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_params_that_are_no_json(scan_folder):
    (scan_folder / "scan" / "params.json").write_text("{TE: ")
    with pytest.raises(QsmbenchError, match=r"params\.json: is not JSON"):
        folders.read_params(scan_folder / "scan")


def test_not_finite(small, scan_folder):
    phase = small["scan"]["phase"].copy()
    phase[3, 4, 5, 1] = np.nan
    folders.write(scan_folder / "scan", {"phase": phase}, small["params"].grid)
    with pytest.raises(QsmbenchError, match=r"phase\.nii\.gz: 1 of \d+ voxels are NaN or infinite"):
        folders.read(scan_folder / "scan", "phase")


def test_empty_mask(small, scan_folder):
    folders.write(scan_folder / "scan", {"mask": np.zeros(small["params"].grid.shape, bool)}, small["params"].grid)
    with pytest.raises(QsmbenchError, match=r"mask\.nii\.gz: the mask is empty"):
        folders.read(scan_folder / "scan", "mask")


def test_truncated(scan_folder):
    path = scan_folder / "scan" / "magnitude.nii.gz"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(QsmbenchError, match=r"magnitude\.nii\.gz: cannot be read as NIfTI"):
        folders.read(scan_folder / "scan", "magnitude")


def test_truncated_before_compression(scan_folder):
    path = scan_folder / "scan" / "magnitude.nii.gz"
    whole = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(whole[: len(whole) // 2]))
    with pytest.raises(QsmbenchError, match=r"magnitude\.nii\.gz: cannot be read as NIfTI"):
        folders.read(scan_folder / "scan", "magnitude")


def test_another_shape(small, scan_folder):
    grid = small["params"].grid
    folders.write(scan_folder / "scan", {"mask": small["scan"]["mask"][1:]}, grid)
    with pytest.raises(QsmbenchError, match=r"mask\.nii\.gz: shape \(23, 21, 19\) differs from the scan's"):
        folders.read(scan_folder / "scan", "mask", grid)


def test_another_affine(small, scan_folder):
    grid = small["params"].grid
    affine = grid.affine.copy()
    affine[:3, 3] += 1.0
    volumes.save_volume(scan_folder / "scan" / "mask.nii.gz", small["scan"]["mask"], affine)
    with pytest.raises(QsmbenchError, match=r"mask\.nii\.gz: its affine .* from the scan's grid"):
        folders.read(scan_folder / "scan", "mask", grid)


@pytest.mark.parametrize(
    ("scale", "offset", "note"),
    [(2048 / np.pi, 2048, "0…4095"), (4096 / np.pi, 0, "−4096…4095"), (1000, 0, "milliradians")],
)
def test_scanner_units_are_recognised(small, scan_folder, caplog, scale, offset, note):
    """Whole numbers, as scanners store them; the phase uses the whole circle, as it does in any real scan."""
    phase = np.linspace(-np.pi, np.pi * 0.999, small["scan"]["phase"].size).reshape(small["scan"]["phase"].shape)
    stored = np.round(phase * scale + offset).astype(np.int16)
    volumes.save_volume(scan_folder / "scan" / "phase.nii.gz", stored, small["params"].grid.affine)
    with caplog.at_level(logging.WARNING, "qsmbench"):
        read = folders.read(scan_folder / "scan", "phase")
    np.testing.assert_allclose(read, phase, atol=2 * np.pi / 4096)
    assert note in caplog.text


def test_phase_in_degrees_is_refused(small, scan_folder):
    degrees = np.rad2deg(small["scan"]["phase"])
    folders.write(scan_folder / "scan", {"phase": degrees * 180 / np.abs(degrees).max()}, small["params"].grid)
    with pytest.raises(QsmbenchError, match="it must be in radians"):
        folders.read(scan_folder / "scan", "phase")


def test_params_state_the_unit_of_phase(small, scan_folder):
    """As the keys of a measured scan do; among them unwrapped phase."""
    phase, params = small["scan"]["phase"], scan_folder / "scan" / "params.json"
    for keys, values in (
        ({"phase_unit": "degrees"}, np.rad2deg(phase)),
        ({"phase_scale": 2.0}, phase / 2),
        ({"phase_unit": "rad"}, np.where(phase > 0, phase + 2 * np.pi, phase) * small["scan"]["mask"][..., None]),
    ):
        folders.write_params(scan_folder / "scan", small["params"])
        edit(params, **keys)
        folders.write(scan_folder / "scan", {"phase": values}, small["params"].grid)
        inside = small["scan"]["mask"]
        read = folders.read_of(scan_folder / "scan", "phase", small["params"])
        np.testing.assert_allclose(read[inside], phase[inside], atol=1e-5)
    edit(params, phase_unit="turns")
    with pytest.raises(QsmbenchError, match="phase_unit is 'turns'; choose from rad"):
        folders.read_of(scan_folder / "scan", "phase", small["params"])
    edit(params, phase_unit=3)
    with pytest.raises(QsmbenchError, match=r"params\.json: phase_unit is 3 and phase_scale None"):
        folders.read_of(scan_folder / "scan", "phase", small["params"])


def test_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(QsmbenchError, match="cannot be written to"):
        folders.make_folder(tmp_path / "file" / "below")


def test_refined_grid_covers_the_same_box():
    grid = Grid((4, 5, 6), (1, 2, 3), affine=np.array([[0, 2, 0, 5], [1, 0, 0, 6], [0, 0, -3, 7], [0, 0, 0, 1.0]]))
    fine = grid.refine((2, 1, 3))
    corner = np.array([-0.5, -0.5, -0.5, 1])
    np.testing.assert_allclose(fine.affine @ corner, grid.affine @ corner)
    np.testing.assert_allclose(fine.affine @ [7.5, 4.5, 17.5, 1], grid.affine @ [3.5, 4.5, 5.5, 1])
    assert fine.voxel_size == (0.5, 2.0, 1.0)


def test_b0_from_the_affine():
    """Axes swapped and flipped: B0 along the scanner's z is −z of the second array axis here."""
    affine = np.array([[2.0, 0, 0, 0], [0, 0, 1, 0], [0, -3, 0, 0], [0, 0, 0, 1]])
    assert Grid.from_affine((4, 4, 4), affine).b0_dir == (0.0, -1.0, 0.0)
    tilt = np.deg2rad(30)
    rotation = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    oblique = np.eye(4)
    oblique[:3, :3] = rotation @ np.diag([1, 2, 3])
    np.testing.assert_allclose(Grid.from_affine((4, 4, 4), oblique).b0_dir, rotation.T @ [0, 0, 1])


@pytest.mark.parametrize("label", [300, -1, 1.5])
def test_labels_are_whole_numbers_that_their_type_holds(scan_folder, label):
    """300 would become 44, and -1 255; 1.5 lies between two labels, as after interpolation."""
    file = scan_folder / "truth" / "dseg.nii.gz"
    image = nib.load(file)
    labels = image.get_fdata(dtype=np.float32)
    labels[3, 4, 5] = label
    nib.save(nib.Nifti1Image(labels, image.affine), file)
    with pytest.raises(
        QsmbenchError, match=rf"dseg.nii.gz: holds {label}; its values must be whole numbers from 0 to 255"
    ):
        folders.read(scan_folder / "truth", "labels")
    labels[3, 4, 5] = 2 - 1e-6
    nib.save(nib.Nifti1Image(labels, image.affine), file)
    assert folders.read(scan_folder / "truth", "labels")[3, 4, 5] == 2
