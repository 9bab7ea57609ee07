"""Masks as a user would make them."""

import numpy as np
import pytest
from analytic import sphere_fraction

from qsmbench.data.masks import brain
from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid
from qsmbench.scan.acquired_mask import AcquiredMask, acquired

GRID = Grid((60, 60, 40), (2, 2, 3))


def ball(radius):
    return sphere_fraction(GRID, radius, n=4) >= 0.5


@pytest.fixture
def head():
    """A bright ball of 42 mm, a dark shell up to 48 mm, a scalp up to 54 mm, a bridge of 8 mm between; and noise."""
    x, y, z = GRID.axes()
    bridge = (np.abs(x) < 4) & (np.abs(y) < 4) & (z > 0)
    tissue = ball(42) | (ball(54) & ~ball(48)) | (ball(54) & bridge)
    magnitude = np.where(tissue[..., None], [1.0, 0.7], 0.0)
    noise = np.random.default_rng(0).normal(0, 0.03, (2, *magnitude.shape))
    return np.hypot(magnitude + noise[0], noise[1]).astype(np.float32)


def test_true_mask_is_the_true_one(head):
    assert acquired(AcquiredMask(), ball(42), head, GRID) is not None
    assert np.array_equal(acquired(AcquiredMask(), ball(42), head, GRID), ball(42))


def test_brain_without_scalp(head):
    """But for the root of the bridge it is the ball."""
    found = brain(head, GRID)
    assert not (ball(42) & ~found).sum() > 0.01 * ball(42).sum()
    assert (found & ~ball(42)).sum() < 0.01 * ball(42).sum()


def test_brain_ends_where_displaced_fat_lies_on_the_skull(head):
    """On one side, bright fat fills the gap up to the brain but for a faint line."""
    x, _, _ = GRID.axes()
    side = (x > 10) & ball(54) & ~ball(42)
    head[side] = np.array([1.6, 1.2]) * np.where(ball(44)[side], 0.45, 1)[:, None]
    found = brain(head, GRID)
    assert (found & side).sum() < 0.1 * side.sum()
    assert (ball(42) & ~found).sum() < 0.02 * ball(42).sum()


def test_holes_in_the_middle_are_filled(head):
    head[ball(6)] = 0.02
    assert brain(head, GRID)[ball(6)].all()


def test_erosion_takes_the_depth_that_is_asked_for(head):
    for depth in (4.0, 10.0):
        left = acquired(AcquiredMask(erode=depth), ball(42), head, GRID)
        assert left.sum() / ball(42 - depth).sum() == pytest.approx(1, abs=0.1)
        assert not (left & ~ball(42)).any()


def test_what_is_dark_in_the_last_echo_is_left_out(head):
    dark = ball(10)
    head[dark, 1] = 0.1
    left = acquired(AcquiredMask(holes=True), ball(42), head, GRID)
    assert not left[dark].any()
    assert left[ball(42) & ~ball(12)].mean() > 0.999


def test_words():
    choose = AcquiredMask.model_validate
    assert choose(True) == choose("true") == AcquiredMask()
    assert choose("magnitude").of == "magnitude"
    assert choose("eroded").erode == 2
    assert choose("holes").holes


def test_nothing_left(head):
    with pytest.raises(QsmbenchError, match="leaves no voxel"):
        acquired(AcquiredMask(erode=100), ball(42), head, GRID)
    with pytest.raises(QsmbenchError, match="leaves no voxel"):
        acquired(AcquiredMask(of="magnitude"), ball(42), np.zeros_like(head), GRID)
