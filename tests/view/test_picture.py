"""The picture: right on the left, voxels in proportion, one scale, no surprises."""

import time

import numpy as np
import pytest
from PIL import Image

from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid
from qsmbench.metrics import not_scored
from qsmbench.view.picture import can_draw, draw
from qsmbench.view.planes import default_centre
from qsmbench.view.volumes import save

BACKGROUND = 14  # grey level of the sheet


def head(signs=(1, 1, 1), order=(0, 1, 2), voxel=(1.0, 1.0, 1.0), shape=(40, 48, 36)):
    """A ball whose right half is bright, on a grid whose axes run in `order` with `signs` (+: towards R, A, S)."""
    affine = np.zeros((4, 4))
    for axis, (direction, sign) in enumerate(zip(order, signs, strict=True)):
        affine[direction, axis] = sign * voxel[axis]
    affine[3, 3] = 1
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    grid = Grid.from_affine(shape, affine)
    index = np.indices(shape).reshape(3, -1)
    right, front, up = (affine[:3, :3] @ index + affine[:3, 3:]).reshape(3, *shape)
    return grid, right, front, up


def rendered(estimate, mask, grid, **more):
    return np.asarray(draw(estimate, None, mask, grid, "ppm", "title", **more).convert("L"), float)


def columns(picture):
    """The three planes of a picture: the runs of columns that are not background half-way down."""
    body = picture[68:-40, 40:-106]
    middle = body[body.shape[0] // 2 - 5 : body.shape[0] // 2 + 5]
    drawn = (np.abs(middle - BACKGROUND) > 3).any(axis=0)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], drawn, [0]])))
    return [body[:, a:b] for a, b in edges.reshape(-1, 2) if b - a > 60]


AFFINES = [
    ((1, 1, 1), (0, 1, 2)),
    ((-1, 1, 1), (0, 1, 2)),
    ((1, -1, 1), (0, 1, 2)),
    ((1, 1, -1), (0, 1, 2)),
    ((-1, -1, -1), (0, 1, 2)),
    ((-1, 1, -1), (2, 0, 1)),
    ((1, -1, 1), (1, 2, 0)),
]


@pytest.mark.parametrize(("signs", "order"), AFFINES)
def test_right_is_on_the_left_front_on_top_and_head_up(signs, order):
    grid, right, front, up = head(signs, order)
    mask = right**2 + front**2 + up**2 < 15**2
    for side, of in ((right, "left"), (front, "top"), (up, "top of the others")):
        bright = np.where(side > 0, 0.3, 0.0).astype(np.float32)
        planes = columns(rendered(bright, mask, grid))
        assert len(planes) == 3, of
        axial, coronal, sagittal = planes

        def left(p):
            half = p.shape[1] // 2
            return p[:, :half].mean() > 1.5 * p[:, half:].mean()

        def top(p):
            half = p.shape[0] // 2
            return p[:half].mean() > 1.5 * p[half:].mean()

        assert (left(axial), left(coronal)) == ((True, True) if side is right else (False, False))
        assert left(sagittal) == (side is front)
        assert (top(axial), top(coronal), top(sagittal)) == (side is front, side is up, side is up)


@pytest.mark.parametrize(("signs", "order"), AFFINES)
def test_the_planes_lie_right_of_the_midline(signs, order):
    grid, right, front, up = head(signs, order)
    mask = right**2 + front**2 + up**2 < 15**2
    centre = default_centre(mask, grid)
    assert mask[centre]
    assert 2 < right[centre] < 6
    assert abs(front[centre]) <= 1 and abs(up[centre]) <= 1


def test_voxels_keep_their_proportion():
    """A ball is round on voxels of 1 × 2 × 3 mm."""
    grid, right, front, up = head(voxel=(1.0, 2.0, 3.0), shape=(60, 30, 20))
    ball = right**2 + front**2 + up**2 < 24**2
    for plane in columns(rendered(np.zeros(grid.shape), ball, grid)):
        lit = plane[30:] > 40
        height, width = np.ptp(np.flatnonzero(lit.any(axis=1))), np.ptp(np.flatnonzero(lit.any(axis=0)))
        assert height / width == pytest.approx(1, abs=0.12)


def test_the_scale_does_not_depend_on_the_map():
    """A value is the same grey whatever else the map holds; χ is drawn relative to the mean of the mask."""
    grid, right, front, up = head()
    mask = right**2 + front**2 + up**2 < 15**2
    grey = []
    for strength in (0.02, 0.08):
        chi = np.where(right > 0, strength, -strength) + 5.0
        axial = columns(rendered(chi, mask, grid))[0]
        middle = axial[axial.shape[0] // 2]
        grey.append(middle[len(middle) // 4] / 255 * 0.3 - 0.1)
    assert grey == pytest.approx([0.02, 0.08], abs=0.004)


def test_what_was_not_reconstructed_is_dark():
    grid, right, front, up = head()
    mask = right**2 + front**2 + up**2 < 15**2
    whole = rendered(0.0 * right, mask, grid)
    part = rendered(0.0 * right, mask, grid, support=mask & (up < 5))
    assert (part > 60).sum() < 0.95 * (whole > 60).sum()


def test_three_rows_with_truth_and_quick(tmp_path):
    grid, right, front, up = head(shape=(150, 150, 150))
    mask = right**2 + front**2 + up**2 < 70**2
    truth = np.where(right > 0, 0.05, 0.0).astype(np.float32)
    path = tmp_path / "deeper" / "picture.webp"
    draw(truth, truth, mask, grid, "ppm", "warm up")
    start = time.perf_counter()
    save(draw(0.8 * truth, truth, mask, grid, "ppm", "romeo.vsharp.tkd · head_brain-3t_seed-0"), path)
    assert time.perf_counter() - start < 2  # a tenth of it on an idle machine
    with Image.open(path) as picture:
        assert picture.format == "WEBP"
        assert picture.height > 900


def test_every_artifact_that_is_scored_can_be_drawn():
    assert [name for name in ARTIFACTS if not_scored(name) is None and not can_draw(name)] == []
    assert not can_draw("labels") and not can_draw("nothing")


def test_of_echoes_the_first_is_drawn():
    grid, right, front, up = head()
    mask = right**2 + front**2 + up**2 < 15**2
    echoes = np.stack([right / 10, -right, up], axis=-1)
    found = rendered(echoes, mask, grid, artifact="unwrapped")
    np.testing.assert_array_equal(found, rendered(right / 10, mask, grid, artifact="unwrapped"))


def test_a_mask_is_drawn_where_it_misses_voxels_and_where_it_has_too_many():
    """White is what the mask holds, black what it lacks; of the error, one side is warm and the other cold."""
    grid, right, front, up = head()
    true = right**2 + front**2 + up**2 < 15**2
    moved = (right - 3) ** 2 + front**2 + up**2 < 15**2
    picture = draw(moved, true, true, grid, "", "moved to the right", artifact="mask", support=moved & true)
    picture = np.asarray(picture, int)
    bottom = picture[picture.shape[0] * 2 // 3 : -40, 40:-106]
    red, blue = bottom[..., 0] - bottom[..., 2] > 60, bottom[..., 2] - bottom[..., 0] > 60
    assert red.sum() > 500 and blue.sum() > 500
    columns_of = [np.flatnonzero(side[:, : side.shape[1] // 3].any(axis=0)).mean() for side in (red, blue)]
    assert columns_of[0] < columns_of[1]  # too many voxels on the patient's right, which is left of the picture


@pytest.mark.parametrize("artifact", ["local_field", "r2star", "fat_fraction"])
def test_other_artifacts_have_their_scale(artifact):
    grid, right, front, up = head()
    rendered(right, right**2 + front**2 + up**2 < 15**2, grid, artifact=artifact)


def test_a_constant_or_unreconstructed_map_is_drawn():
    grid, *_ = head()
    everywhere = np.ones(grid.shape, bool)
    rendered(np.zeros(grid.shape), everywhere, grid)
    rendered(np.zeros(grid.shape), everywhere, grid, support=~everywhere)


def test_a_long_title_is_cut():
    grid, right, _, _ = head()
    draw(right, None, right < 9, grid, "ppm", "x" * 500)


def test_what_cannot_be_drawn_is_refused():
    grid, right, _, _ = head()
    with pytest.raises(QsmbenchError, match="cannot draw a picture of an empty mask"):
        rendered(right, right > 999, grid)
    with pytest.raises(QsmbenchError, match="no colour scale for 'magnitude'; choose from phase, mask"):
        rendered(right, right < 9, grid, artifact="magnitude")
