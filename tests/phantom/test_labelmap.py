"""Any image of labels is a phantom."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from qsmbench.errors import QsmbenchError
from qsmbench.phantom.description.tissues import table
from qsmbench.phantom.load import load
from qsmbench.scan.geometry import GridChoice, scan_geometry

TABLE = "index\tname\ttissue\n0\toutside\tair\n1\twhite\twhite_matter\n2\tnucleus\tputamen\n"


@pytest.fixture
def labels() -> np.ndarray:
    """(12, 10, 8), a box of white matter with a nucleus in it."""
    values = np.zeros((12, 10, 8), np.uint8)
    values[2:10, 2:8, 1:7] = 1
    values[4:7, 3:6, 3:5] = 2
    return values


@pytest.fixture
def folder(tmp_path: Path, labels: np.ndarray) -> Path:
    """An image on an oblique affine, its table, and the description."""
    affine = np.array([[0, -2, 0, 10], [1.5, 0, 0, -4], [0, 0, 1, 3], [0, 0, 0, 1.0]])
    nib.save(nib.Nifti1Image(labels, affine), tmp_path / "labels.nii.gz")
    (tmp_path / "labels.tsv").write_text(TABLE)
    (tmp_path / "own.yaml").write_text("kind: labelmap\nimage: labels.nii.gz\ntable: labels.tsv\nambient_chi: 9.4\n")
    return tmp_path


def test_own_grid_gives_the_labels_back(folder, labels):
    phantom = load(str(folder / "own.yaml"))
    result = phantom.render(phantom.grid(), 3.0)
    assert np.array_equal(result.labels, labels)
    assert np.array_equal(result.mask, labels > 0)
    assert result.regions == [(1, "white", "wm"), (2, "nucleus", "dgm")]
    for index, name in ((0, "air"), (1, "white_matter"), (2, "putamen")):
        assert result.chi[labels == index] == pytest.approx(table()[name].values(3.0)[:2] @ (1, -1))


def test_other_grids_keep_the_shares(folder):
    phantom = load(str(folder / "own.yaml"))
    grid = phantom.grid()
    own = phantom.render(grid, 3.0)
    fine = phantom.render(grid.refine((2, 2, 2)), 3.0)
    assert np.allclose(fine.chi.reshape(12, 2, 10, 2, 8, 2).mean((1, 3, 5)), own.chi, atol=1e-5)
    coarse = load(str(folder / "own.yaml"), {"voxel_size": [3, 4, 2]})
    other = coarse.render(coarse.grid(), 3.0)
    assert other.grid.shape == (6, 5, 4)
    assert other.chi.mean() == pytest.approx(own.chi.mean(), rel=1e-4)
    assert other.chi[0, 0, 0] == pytest.approx(9.4)


def test_explicit_values(folder, labels):
    (folder / "labels.tsv").write_text(
        "index\tname\tchi\tpd\tt1\tr2star\tfat_fraction\n1\ta\t0.5\t1\t2\t3\t0\n2\tb\t-1\t0.5\t1\t4\t0.2\n"
    )
    phantom = load(str(folder / "own.yaml"))
    result = phantom.render(phantom.grid(), 3.0)
    assert result.chi[labels == 2] == pytest.approx(-1)
    assert result.r2star[labels == 2] == pytest.approx(4)
    assert result.chi[labels == 0] == pytest.approx(9.4)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (TABLE.replace("2\tnucleus\tputamen\n", ""), "label 2 is in the image but not in the table, which lists 0, 1"),
        (TABLE.replace("putamen", "granite"), "tissue 'granite' is unknown; choose from .*white_matter"),
        (TABLE.replace("putamen", ""), "label 2: chi is None; give a tissue"),
        ("number\tname\n1\ta\n", "must have the columns index, name"),
        (TABLE + "-1\tmore\tputamen\n", "index is '-1'; it must be a whole number from 0 to 255"),
        (TABLE + "256\tmore\tputamen\n", "index is '256'; it must be a whole number from 0 to 255"),
        (TABLE + "1.5\tmore\tputamen\n", "index is '1.5'; it must be a whole number from 0 to 255"),
        (TABLE + "\tmore\tputamen\n", "index is ''; it must be a whole number from 0 to 255"),
    ],
)
def test_wrong_tables(folder, rows, message):
    (folder / "labels.tsv").write_text(rows)
    with pytest.raises(QsmbenchError, match=f"labels.tsv: .*{message}"):
        phantom = load(str(folder / "own.yaml"))
        phantom.render(phantom.grid(), 3.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [(300, "labels run from 300 to 302; they must be 0…255"), (0.5, "3 axes and integer values")],
)
def test_wrong_images(folder, labels, change, message):
    nib.save(nib.Nifti1Image(labels.astype(np.float32) + change, np.eye(4)), folder / "labels.nii.gz")
    with pytest.raises(QsmbenchError, match=f"labels.nii.gz: .*{message}"):
        load(str(folder / "own.yaml")).grid()


@pytest.mark.parametrize("label", [-1, 256])
def test_mask_of_a_label_that_cannot_be(folder, label):
    with pytest.raises(QsmbenchError, match=r"own.yaml: .*mask"):
        load(str(folder / "own.yaml"), {"mask": [1, label]})


def test_source_beside_the_last_label(folder, labels):
    """Label 256 would be 0."""
    nib.save(nib.Nifti1Image(np.where(labels == 2, 255, labels).astype(np.uint8), np.eye(4)), folder / "labels.nii.gz")
    (folder / "labels.tsv").write_text(TABLE.replace("2\tnucleus", "255\tnucleus"))
    dot = {"source": "iron", "chi": 1, "region": "nucleus", "name": "dot"}
    phantom = load(str(folder / "own.yaml"), {"sources": [dot]})
    assert phantom.regions[-1] == (2, "dot", "lesion")
    assert np.array_equal(phantom.render(phantom.grid(), 3.0).labels, labels)


GRIDS = [(1.5, (0, 0, 0)), (0.8, (0, 0, 0)), (1.7, (0, 0, 25)), (1.0, (10, 20, 30))]


@pytest.mark.parametrize(("voxel_size", "rotate"), GRIDS)
def test_shares_on_any_grid(folder, voxel_size, rotate):
    """Each label's volume, and its water, are the image's; relaxation is that of the protons."""
    table = "index\tname\tchi\tpd\tt1\tr2star\tfat_fraction\n0\to\t0\t0\t1\t1\t0\n"
    values = np.full((13, 11, 12), 1, np.uint8)
    values[6, 5, 3:9] = 2
    nib.save(nib.Nifti1Image(values, np.eye(4)), folder / "labels.nii.gz")
    (folder / "labels.tsv").write_text(f"{table}1\ta\t0\t0.5\t1\t10\t0\n2\tb\t1\t1\t3\t50\t0\n")
    phantom = load(str(folder / "own.yaml"), {"ambient_chi": 0})
    choice = GridChoice(voxel_size=voxel_size, rotate=rotate, field_of_view=(24, 24, 24))
    grid = scan_geometry(phantom.grid(), (1, 1, 1), choice).grid
    found = phantom.render(grid, 3.0)
    volume, tolerance = grid.voxel_volume, 0.005 if any(rotate) else 1e-4
    assert found.chi_para.sum(dtype=float) * volume == pytest.approx(6, rel=tolerance)
    share = found.chi_para.astype(float)  # of label 2
    inside = found.pd - share  # half the share of label 1
    assert 2 * inside.sum() * volume == pytest.approx(values.size - 6, rel=tolerance)
    wet = found.pd > 1e-3
    r2star = (10 * inside + 50 * share)[wet] / found.pd[wet]
    np.testing.assert_allclose(found.r2star[wet], r2star, rtol=1e-3)
    shares = np.array([1 - share - 2 * inside, 2 * inside, share])
    sure = np.ptp(np.sort(shares, 0)[1:], 0) > 1e-3
    assert np.array_equal(found.labels[sure], shares.argmax(0)[sure])
    sure = np.abs(shares[0] - 0.5) > 1e-3
    assert np.array_equal(found.mask[sure], shares[0][sure] < 0.5)


def test_whole_numbers_of_parts_give_the_labels_themselves(folder, labels):
    """Turned and anisotropic images too, whose affines are stored in single precision."""
    phantom = load(str(folder / "own.yaml"))
    turned = scan_geometry(phantom.grid(), (1, 1, 1), GridChoice(rotate=(10, 20, 30), center=(97, -83, 41))).grid
    nib.save(nib.Nifti1Image(labels, turned.affine.astype(np.float32)), folder / "labels.nii.gz")
    phantom = load(str(folder / "own.yaml"))
    own = phantom.render(turned, 3.0)
    fine = phantom.render(turned.refine((3, 1, 2)), 3.0)
    assert np.array_equal(own.labels, labels)
    for name in ("chi_para", "chi_dia", "water_pd", "r2star", "labels", "mask"):
        assert np.array_equal(getattr(fine, name), getattr(own, name).repeat(3, 0).repeat(2, 2))
    assert len(np.unique(own.chi)) == 3


def test_missing_image(folder):
    (folder / "labels.nii.gz").unlink()
    phantom = load(str(folder / "own.yaml"))
    with pytest.raises(QsmbenchError, match=r"labels.nii.gz: no such file"):
        phantom.grid()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.tsv", b"\xef\xbb\xbf" + TABLE.encode()),
        ("labels.tsv", TABLE.encode("utf-16")),
        ("labels.csv", TABLE.replace("\t", ";").encode()),
        ("labels.csv", TABLE.replace("\t", ",").encode("utf-8-sig")),
        ("labels.txt", TABLE.replace("\t", ";").replace("index", " Index ").replace("\n", "\r\n").encode()),
    ],
)
def test_tables_as_spreadsheets_save_them(folder, labels, name, text):
    """With a byte order mark, with semicolons or commas, whatever the file is called."""
    (folder / name).write_bytes(text)
    (folder / "own.yaml").write_text(f"kind: labelmap\nimage: labels.nii.gz\ntable: {name}\n", encoding="utf-8-sig")
    phantom = load(str(folder / "own.yaml"))
    assert np.array_equal(phantom.render(phantom.grid(), 3.0).labels, labels)


def test_numbers_with_a_decimal_comma(folder):
    header = "index;name;chi;pd;t1;r2star;fat_fraction\n"
    (folder / "labels.csv").write_text(f"{header}0;air;0;0;1;10;0\n1;water;-0,05;0,8;1,2;20;0\n2;fat;0,6;1;0,4;30;0\n")
    (folder / "own.yaml").write_text("kind: labelmap\nimage: labels.nii.gz\ntable: labels.csv\n")
    phantom = load(str(folder / "own.yaml"))
    properties = phantom.render(phantom.grid(), 3.0)
    inside = properties.labels == 1
    np.testing.assert_allclose(properties.chi[inside], -0.05)
    np.testing.assert_allclose(properties.pd[inside], 0.8)
