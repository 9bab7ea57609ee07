"""Maps that another program wrote, as `qsmbench score` and `qb.score` take them."""

import logging

import nibabel as nib
import numpy as np
import pytest
from analytic import sphere_fraction

import qsmbench as qb
from qsmbench.data import folders, volumes
from qsmbench.errors import QsmbenchError
from qsmbench.study.reconstruct import scores


@pytest.fixture
def truth(small, scan_folder):
    """A truth with a second ball, so that no axis is symmetric; and its parameters."""
    grid = small["params"].grid
    chi = small["truth"]["chi"] + np.roll(0.2 * sphere_fraction(grid, 2.5, n=4), (2, 5, -3), (0, 1, 2))
    chi += 0.01  # 0 says that a voxel was not reconstructed
    mask = small["scan"]["mask"]
    folders.write(scan_folder / "truth", {"chi": chi.astype(np.float32), "mask": mask}, grid)
    folders.write_params(scan_folder / "truth", small["params"])
    return scan_folder / "truth", chi, mask, grid


def nrmse(out, truth, artifact="chi"):
    table = scores(out, truth)
    table = table[(table["region"] == "") & (table["artifact"] == artifact)].set_index("metric")
    return float(table.loc["nrmse", "value"])


def submit(folder, values, affine, name="chimap"):
    folder.mkdir(exist_ok=True)
    volumes.save_volume(folder / f"{name}.nii.gz", values, affine)
    return folder


def test_nan_outside_the_mask(truth, tmp_path, caplog):
    place, chi, mask, grid = truth
    out = submit(tmp_path / "out", np.where(mask, chi, np.nan), grid.affine)
    assert nrmse(out, place) == pytest.approx(0, abs=1e-3)
    assert "voxels are NaN or infinite: taken as not reconstructed" in caplog.text
    volumes.save_volume(out / "mask.nii.gz", mask, grid.affine)
    assert nrmse(out, place) == pytest.approx(0, abs=1e-3)
    chi = np.where(mask, chi, np.nan)
    chi[12, 10, 9] = np.nan
    submit(out, chi, grid.affine)
    with pytest.raises(QsmbenchError, match=r"chimap\.nii\.gz: 1 of \d+ voxels are NaN or infinite in the mask"):
        scores(out, place)
    (out / "mask.nii.gz").unlink()
    assert 0 < nrmse(out, place) < 20  # one voxel was not reconstructed


def test_nan_of_an_array(truth):
    place, chi, mask, _ = truth
    scan = qb.load_scan(place.parent / "scan", truth=place)
    table = qb.score(np.where(mask, chi, np.nan), scan.truth).set_index("metric")
    assert table.loc["nrmse", "value"].item() == pytest.approx(0, abs=1e-3)
    table = qb.score(np.where(mask, chi, np.nan), scan.truth, mask=mask).set_index("metric")
    assert table.loc["nrmse", "value"].item() == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("to", ["LAS", "LPS", "PIR", "SAL"])
def test_another_order_of_axes_is_reordered(truth, tmp_path, to, caplog):
    place, chi, mask, grid = truth
    image = nib.Nifti1Image(np.where(mask, chi, 0).astype(np.float32), grid.affine)
    turn = nib.orientations.ornt_transform(nib.io_orientation(grid.affine), nib.orientations.axcodes2ornt(to))
    turned = image.as_reoriented(turn)
    out = submit(tmp_path / "out", np.asarray(turned.dataobj), turned.affine)
    assert nrmse(out, place) == pytest.approx(0, abs=1e-3)
    assert f"stored as {to}, reordered to RAS like the scan" in caplog.text
    assert "looks" not in caplog.text


def test_integers_and_axes_of_one(truth, tmp_path):
    place, chi, mask, grid = truth
    out = tmp_path / "out"
    out.mkdir()
    image = nib.Nifti1Image(np.round(np.where(mask, chi, 0) * 10000).astype(np.int16)[..., None], grid.affine)
    image.header.set_slope_inter(1e-4, 0)
    nib.save(image, out / "chimap.nii.gz")
    assert nrmse(out, place) < 0.1


def test_a_soft_mask_beside_the_map(truth, tmp_path, caplog):
    place, chi, mask, grid = truth
    out = submit(tmp_path / "out", chi, grid.affine)
    submit(out, 0.9 * mask.astype(np.float32) + 0.01 * (chi > 0.05), grid.affine, "mask")
    assert nrmse(out, place) == pytest.approx(0, abs=1e-3)
    assert "the mask holds shares 0…1" in caplog.text


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        (lambda chi: 1000 * chi, "chi looks like ppb (slope 1000"),
        (lambda chi: -chi, "chi looks like the opposite sign"),
        (lambda chi: chi[:, ::-1], "chi looks flipped along its second axis"),
    ],
)
def test_what_it_looks_like_is_said_beside_the_number(truth, tmp_path, caplog, change, hint):
    place, chi, mask, grid = truth
    values = change(np.where(mask, chi, 0))
    with caplog.at_level(logging.WARNING, "qsmbench"):
        assert nrmse(submit(tmp_path / "out", values, grid.affine), place) > 20
    assert f"out: {hint}" in caplog.text
    caplog.clear()
    qb.score(values, qb.load_scan(place.parent / "scan", truth=place))
    assert f"estimate: {hint}" in caplog.text


def test_chi_minus_with_its_sign(truth, tmp_path, caplog):
    place, chi, mask, grid = truth
    folders.write(place, {"chi_dia": np.abs(chi).astype(np.float32)}, grid)
    out = submit(tmp_path / "out", -np.abs(chi) * mask, grid.affine, "chi-dia")
    assert nrmse(out, place, "chi_dia") == pytest.approx(200, abs=1)
    assert "chi_dia is negative in 100 % of its voxels; a positive magnitude is expected" in caplog.text
