"""Apparent volumes of balls whose contrast is known."""

import numpy as np
import pytest

from qsmbench.analysis.blooming import apparent, blooming, growth, total_chi
from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid

GRID = Grid((41, 41, 21), (1.0, 1.0, 2.0))
MASK = np.ones(GRID.shape, bool)
R = np.sqrt(sum(a**2 for a in GRID.axes()))
BALL = R <= 4


@pytest.mark.parametrize("sign", [1, -1])
def test_a_uniform_ball_appears_as_large_as_it_is(sign):
    seen = apparent(10 + sign * 3.0 * BALL, BALL, MASK, GRID)
    assert seen.volume == BALL.sum() * 2 and seen.contrast == pytest.approx(3 * sign) and seen.noise == 0
    assert blooming(seen, BALL.sum() * 2.0) == 1


def test_half_maximum_of_a_gaussian():
    """exp(−r²/2s²) is above ½ within s·√(2 ln 2)."""
    image = np.exp(-(R**2) / (2 * 3.0**2))
    expected = np.count_nonzero(3 * np.sqrt(2 * np.log(2)) >= R) * 2
    assert apparent(image, R <= 2, MASK, GRID, reach=9.0).volume == pytest.approx(expected, rel=0.02)


def test_a_second_source_of_the_same_contrast_does_not_count():
    other = np.zeros(GRID.shape, bool)
    other[20:22, 28:30, 10] = True
    assert apparent(1.0 * (BALL | other), BALL, MASK, GRID, reach=8.0).volume == BALL.sum() * 2


def test_growth_of_volumes_that_double_in_20_ms():
    te = np.array([0.01, 0.02, 0.03, 0.04])
    assert growth(7 * 2 ** (te / 0.02), te) == pytest.approx(2)
    assert growth([5, 5, 5], [0.02, 0.03, 0.04]) == pytest.approx(1)
    with pytest.raises(QsmbenchError, match="two or more"):
        growth([1.0], [0.02])


def test_total_chi_does_not_mind_the_zero_of_the_map():
    chi = 0.5 * BALL
    for zero in (0.0, 0.3):
        assert total_chi(chi + zero, BALL, MASK, GRID) == pytest.approx(0.5 * BALL.sum() * 2)


def test_a_source_outside_the_mask_is_said():
    with pytest.raises(QsmbenchError, match="in the mask"):
        apparent(1.0 * BALL, BALL, ~MASK, GRID)
