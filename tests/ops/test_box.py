"""The bounding box of a mask."""

import numpy as np
import pytest

from qsmbench.errors import NotApplicable
from qsmbench.ops.arrays.box import bounding_box


def test_the_box_is_the_smallest_that_holds_the_mask():
    mask = np.zeros((9, 8, 7), bool)
    mask[2, 3, 6] = mask[5, 1, 4] = True
    assert bounding_box(mask) == (slice(2, 6), slice(1, 4), slice(4, 7))


def test_a_margin_ends_at_the_array():
    mask = np.zeros((9, 8, 7), bool)
    mask[2:6, 1:4, 4:7] = True
    assert bounding_box(mask, margin=2) == (slice(0, 8), slice(0, 6), slice(2, 7))


def test_an_empty_mask_has_none():
    with pytest.raises(NotApplicable, match="the mask is empty"):
        bounding_box(np.zeros((3, 3, 3), bool))
