"""Masks as people write them: read with a note, or refused; never in silence."""

import numpy as np
import pytest
from measured_scan import affine, bids, save, scan
from scipy import ndimage

from qsmbench.data.measured import Stated, read_measured
from qsmbench.data.read_mask import to_mask
from qsmbench.errors import QsmbenchError

BALL = scan(noise=False).mask
SOFT = ndimage.gaussian_filter(BALL.astype(float), 1.5)


@pytest.mark.parametrize(
    ("values", "expected", "note"),
    [
        (BALL, BALL, None),
        (BALL.astype(np.uint8), BALL, None),
        (BALL.astype(np.float32), BALL, None),
        (255 * BALL.astype(np.uint8), BALL, None),
        (3.7 * BALL, BALL, None),
        (np.ones_like(BALL), np.ones_like(BALL), "is 1 everywhere; all of the volume is inside"),
        (BALL * (1 + 1e-5 * np.random.default_rng(0).random(BALL.shape)), BALL, None),
        (SOFT, SOFT >= 0.5, "shares 0…1"),
        (SOFT.astype(np.float32) * 1.04 - 0.02, SOFT * 1.04 - 0.02 >= 0.5, "shares 0…1"),
        (np.where(BALL, 1, -1).astype(np.int16), BALL, "goes down to -1; its .* voxels above 0"),
        (np.where(BALL, 1.0, -1.0), BALL, "goes down to -1; its .* voxels above 0"),
        (
            np.where(BALL, 2, 0) + np.roll(BALL, 5, 0),
            BALL | np.roll(BALL, 5, 0),
            "holds 4 values; all but 0 are inside",
        ),
        (np.where(BALL, 1.0, np.nan), BALL, "voxels are NaN or infinite; they are outside the mask"),
        (BALL[..., None], BALL, None),
        (BALL[..., None, None], BALL, None),
        (np.repeat(BALL[..., None], 3, 3), BALL, "3 equal masks; one is taken"),
        (
            np.stack([BALL, np.roll(BALL, 1, 0)], 3),
            BALL & np.roll(BALL, 1, 0),
            r"2 masks; the \d+ of \d+ voxels that are in all",
        ),
    ],
)
def test_read(values, expected, note):
    mask, notes = to_mask(values, "m.nii.gz")
    assert mask.dtype == bool and mask.shape == BALL.shape
    assert np.array_equal(mask, expected)
    if note is None:
        assert notes == []
    else:
        assert len(notes) == 1
        assert notes[0].startswith("m.nii.gz: ")
        assert __import__("re").search(note, notes[0])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros_like(BALL), "the mask is empty"),
        (SOFT * 0.4, "the mask is empty"),
        (np.where(BALL, 2, 1), "is 0 nowhere, but runs from 1 to 2"),
        (np.round(100 * SOFT).astype(np.uint8), "a mask holds two values"),
        (np.round(255 * SOFT).astype(np.uint8), "a mask holds two values"),
        (1000 * SOFT * BALL, "holds .* values from 0 to .*; a mask holds two values"),
        (ndimage.distance_transform_edt(BALL) - ndimage.distance_transform_edt(~BALL), "a mask holds two values"),
        (BALL[0], "has 2 axes"),
    ],
)
def test_refused(values, message):
    with pytest.raises(QsmbenchError, match=message) as refused:
        to_mask(values, "m.nii.gz")
    assert "\n" not in str(refused.value)


@pytest.fixture
def dataset(tmp_path):
    s = scan()
    return s, bids(tmp_path / "ds", s)


def with_mask(dataset, path):
    return read_measured(dataset[1], Stated(mask=path))


def test_a_mask_in_another_order_of_axes_is_reordered(dataset, tmp_path):
    """Stored from left to right in place of right to left, and with axes swapped: the same voxels."""
    s, _ = dataset
    at = s.affine
    flipped = at @ np.diag([-1, 1, 1, 1])
    flipped[:3, 3] = at[:3, 3] + at[:3, 0] * (BALL.shape[0] - 1)
    lopsided = s.mask.copy()
    lopsided[:12] = False
    file = save(tmp_path / "las.nii.gz", lopsided[::-1].astype(np.uint8), flipped)
    volumes, _, notes = with_mask(dataset, file)
    assert np.array_equal(volumes["mask"], lopsided)
    assert any("stored as LAS, reordered to RAS" in n for n in notes)
    swapped = at[:, [1, 0, 2, 3]]
    file = save(tmp_path / "swapped.nii.gz", lopsided.swapaxes(0, 1).astype(np.uint8), swapped)
    assert np.array_equal(with_mask(dataset, file)[0]["mask"], lopsided)


def test_a_mask_on_another_grid_is_refused(dataset, tmp_path):
    file = save(tmp_path / "m.nii.gz", BALL.astype(np.uint8), affine((2.0, 2.0, 2.2)))
    with pytest.raises(QsmbenchError, match="from the scan's grid"):
        with_mask(dataset, file)


def test_a_mask_with_the_scanners_form_alone_fits(tmp_path):
    """Tools such as BET may keep one of the two forms."""
    s = scan()
    root = bids(tmp_path / "ds", s, sform=2, qform=1, q=affine(tilt=35))
    file = save(tmp_path / "m.nii.gz", BALL.astype(np.uint8), affine(tilt=35))
    assert np.array_equal(read_measured(root, Stated(mask=file))[0]["mask"], BALL)


def test_the_masks_of_folders_and_of_arrays_are_read_alike(scan_folder, small, caplog):
    import qsmbench as qb
    from qsmbench.data import folders, volumes

    grid, mask = small["params"].grid, small["scan"]["mask"]
    soft = ndimage.gaussian_filter(mask.astype(np.float32), 1)
    volumes.save_volume(scan_folder / "scan" / "mask.nii.gz", soft, grid.affine)
    assert np.array_equal(folders.read(scan_folder / "scan", "mask", grid), soft >= 0.5)
    assert "shares 0…1" in caplog.text
    arrays = {"te": small["params"].te, "b0": 3.0, "voxel_size": grid.voxel_size, "b0_dir": grid.b0_dir}
    made = qb.Scan(small["scan"]["phase"], small["scan"]["magnitude"], mask=soft, **arrays)
    assert np.array_equal(made.mask, soft >= 0.5)
    assert "shares 0…1" in made.notes[0]
    with pytest.raises(QsmbenchError, match="mask: holds"):
        qb.Scan(small["scan"]["phase"], small["scan"]["magnitude"], mask=100 * soft, **arrays)
