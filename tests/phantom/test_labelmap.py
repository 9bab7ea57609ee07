"""Any image of labels is a phantom."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from qsmbench.errors import QsmbenchError
from qsmbench.phantom.description.tissues import table
from qsmbench.phantom.load import load

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
    ],
)
def test_wrong_tables(folder, rows, message):
    (folder / "labels.tsv").write_text(rows)
    with pytest.raises(QsmbenchError, match=f"labels.tsv: .*{message}"):
        phantom = load(str(folder / "own.yaml"))
        phantom.render(phantom.grid(), 3.0)


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
