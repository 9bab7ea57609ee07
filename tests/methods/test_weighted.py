"""Weighted images: masks by hand, filters on images of known spectrum, slices by closed form, projections by loops."""

import numpy as np
import pytest

from qsmbench.errors import NotApplicable, QsmbenchError
from qsmbench.grid import Grid
from qsmbench.methods.contrast.clear_swi import clear_swi
from qsmbench.methods.contrast.minip import minip
from qsmbench.methods.contrast.smwi import smwi
from qsmbench.methods.contrast.swi import swi
from qsmbench.methods.contrast.t2star_weighted import t2star_weighted
from qsmbench.methods.contrast.tswi import tswi
from qsmbench.ops.masks.weighting import chi_weight, phase_weight, sigmoid_weight
from qsmbench.ops.phase.high_pass import homodyne, without_trend

TE = np.array([0.010, 0.020, 0.040])
GRID = Grid((64, 60, 9), (1.0, 1.0, 2.0))


def tissue(grid=GRID):
    x, y, z = grid.axes()
    return (x / 26) ** 2 + (y / 25) ** 2 + 0 * z < 1


def echoes(volume):
    return np.repeat(volume[..., None], len(TE), -1).astype(np.float32)


def vein(grid=GRID, radius=2.0):
    """The inside of a cylinder along the third axis."""
    x, y, z = grid.axes()
    return np.hypot(x, y) + 0 * z < radius


def test_phase_weights_by_hand():
    phase = np.array([-np.pi, -np.pi / 2, 0, np.pi / 4, np.pi / 2, np.pi, 4], np.float32)
    np.testing.assert_allclose(phase_weight(phase), [1, 1, 1, 0.75, 0.5, 0, 0], atol=1e-6)
    np.testing.assert_allclose(phase_weight(phase, negative=True), [0, 0.5, 1, 1, 1, 1, 1], atol=1e-6)


def test_chi_weights_by_hand():
    chi = np.array([-0.2, 0, 0.09, 0.45, 1])
    np.testing.assert_allclose(chi_weight(chi, 0, 0.45), [1, 1, 0.8, 0, 0])
    np.testing.assert_allclose(chi_weight(chi, 0.09, 0.49), [1, 1, 1, 0.1, 0], atol=1e-6)


def test_sigmoid_weights_by_hand():
    """At φ = m the hyperbolic tangent is that of 0."""
    np.testing.assert_allclose(sigmoid_weight(np.array([2.0, 0, 100]), 2.0), [0.5, 0.8807971, 0], atol=1e-6)


@pytest.mark.parametrize(("method", "settings", "weight"), [(tswi, {}, 0.8**2), (smwi, {}, 0.91**4)])
def test_weighting_with_chi_by_hand(method, settings, weight):
    """χ of 0.09 ppm: (1 − 0.09/0.45)² and (1 − 0.09)⁴ times magnitude."""
    mask = tissue()
    chi = np.where(vein(), 0.09, -0.05).astype(np.float32)
    b0 = {"b0": 3.0, "te": TE} if method is tswi else {}
    image = method(magnitude=echoes(np.full(GRID.shape, 7.0)), chi=chi, mask=mask, **b0, **settings)
    np.testing.assert_allclose(image[vein()], 7 * weight, rtol=1e-5)
    np.testing.assert_allclose(image[mask & ~vein()], 7, rtol=1e-6)
    assert not image[~mask].any()


def test_tswi_takes_the_echo_of_the_field_strength():
    magnitude = np.ones((*GRID.shape, 3), np.float32) * [1, 2, 3]
    chi, mask = np.zeros(GRID.shape, np.float32), tissue()
    for b0, time, value in ((7.0, None, 1), (3.0, None, 2), (1.5, None, 3), (3.0, 0.04, 3)):
        assert tswi(magnitude, chi, mask, TE, b0, echo_time=time)[mask].mean() == pytest.approx(value)


def test_homodyne_removes_low_frequencies_and_keeps_high_ones():
    """Far from the edge, a wave below the cut-off has no phase left, a small one above it all of its amplitude."""
    grid = Grid((256, 8, 4), (1.0, 1.0, 1.0), (0.0, 0.0, 1.0))
    x = grid.axes()[0] + np.zeros(grid.shape)
    mask, middle = np.ones(grid.shape, bool), (slice(100, 156), slice(3, 5))
    ones = np.ones(grid.shape, np.float32)
    ramp = (2 * np.pi * x / 32).astype(np.float32)  # wraps eight times; cut-off at a period of 8 mm
    assert np.abs(homodyne(ones, ramp, mask, grid, 4.0)[middle]).max() < 0.02
    fine = (0.1 * np.cos(2 * np.pi * x / 4)).astype(np.float32)
    np.testing.assert_allclose(homodyne(ones, ramp + fine, mask, grid, 4.0)[middle], fine[middle], atol=0.01)


def test_the_trend_of_an_unwrapped_phase_is_its_mean_within_mask_and_slice():
    """Against a direct sum at one voxel near the edge; a constant has nothing left, whatever the mask."""
    mask, rng = tissue(), np.random.default_rng(0)
    assert np.abs(without_trend(np.full(GRID.shape, 3.0, np.float32), mask, GRID, 4.0)).max() < 1e-5
    phase = rng.standard_normal(GRID.shape).astype(np.float32)
    i, j, k = 8, 30, 4
    assert mask[i, j, k] and not mask[i - 3, j, k]
    x, y = np.ogrid[: GRID.shape[0], : GRID.shape[1]]
    weight = np.exp(-((x - i) ** 2 + (y - j) ** 2) / (2 * 2.0**2)) * mask[..., k]
    mean = (weight * phase[..., k]).sum() / weight.sum()
    assert without_trend(phase, mask, GRID, 2.0)[i, j, k] == pytest.approx(phase[i, j, k] - mean, abs=1e-3)


@pytest.mark.parametrize("choice", ["homodyne", "unwrapped"])
def test_swi_darkens_what_has_positive_phase(choice):
    """A line of phase ±1 rad on a smooth, wrapped background: the filters leave most of it, so about (1 − 1/π)⁴."""
    x, y, z = GRID.axes()
    smooth = 0.02 * x + 0.03 * y + 0 * z + 2
    mask, line = tissue(), vein(radius=1.0)
    magnitude = echoes(np.full(GRID.shape, 5.0))
    for sign, dark in ((1, True), (-1, False)):
        phase = np.angle(np.exp(1j * (smooth + sign * line)))
        image = swi(magnitude, echoes(phase), mask, TE, 3.0, GRID, filter=choice, sigma=6.0)
        inside, around = image[line].mean(), np.median(image[mask & ~vein(radius=6)])
        assert around == pytest.approx(5, rel=0.05)
        assert inside == pytest.approx(5 * (1 - 1 / np.pi) ** 4, rel=0.25) if dark else inside > 4.9
    other = swi(magnitude, echoes(phase), mask, TE, 3.0, GRID, filter=choice, sigma=6.0, negative=True)
    assert other[line].mean() < 2


def test_swi_refuses_an_unknown_filter_in_one_line():
    one = echoes(np.ones(GRID.shape))
    with pytest.raises(QsmbenchError, match="filter is 'hanning'; choose from homodyne, unwrapped"):
        swi(one, one, tissue(), TE, 3.0, GRID, filter="hanning")


def test_clear_swi_by_hand():
    """Two values of phase in lines much thinner than the filter; the median of the positive values is the line's."""
    mask = np.ones(GRID.shape, bool)
    line = np.zeros(GRID.shape, bool)
    line[::16, ::15] = True
    unwrapped = (line[..., None] * TE * 50).astype(np.float32)  # 50 rad/s
    image = clear_swi(echoes(np.full(GRID.shape, 3.0)), unwrapped, mask, TE, GRID, sigma=60.0, softplus=False)
    share = line.mean()  # the mean that the filter takes off, nearly
    high = sigmoid_weight(np.array(50 * (1 - share)), 2.5 * 50 * (1 - share))
    inner = (slice(20, 44), slice(20, 40))
    assert image[inner][line[inner]].mean() == pytest.approx(float(high), rel=0.02)
    assert image[inner][~line[inner]].mean() == pytest.approx((1 + np.tanh(1)) / 2, rel=0.02)


def test_clear_swi_without_positive_phase_says_so():
    one = echoes(np.ones(GRID.shape))
    with pytest.raises(NotApplicable, match="no positive phase"):
        clear_swi(one, 0 * one, tissue(), TE, GRID)


@pytest.mark.parametrize(("thickness", "half"), [(2.0, 0), (6.0, 1), (8.0, 2), (10.0, 2)])
def test_projection_by_a_loop(thickness, half):
    rng, mask = np.random.default_rng(1), tissue() & (np.random.default_rng(2).random(GRID.shape) > 0.3)
    image = rng.random(GRID.shape).astype(np.float32)
    found = minip(image, mask, GRID, thickness=thickness)
    for i, j, k in [(30, 30, 0), (32, 20, 4), (20, 31, 8), (28, 33, 6)]:
        if not mask[i, j, k]:
            assert found[i, j, k] == 0
            continue
        layers = range(max(k - half, 0), min(k + half + 1, GRID.shape[2]))
        assert found[i, j, k] == min(image[i, j, m] for m in layers if mask[i, j, m])


def test_a_projection_lies_across_the_axis_nearest_to_b0():
    grid = Grid(GRID.shape, GRID.voxel_size, (0.9805807, 0.1961161, 0.0))
    image = np.ones(grid.shape, np.float32)
    image[30, 30, 4] = 0
    found = minip(image, np.ones(grid.shape, bool), grid, thickness=5.0)
    assert (found[28:33, 30, 4] == 0).all() and np.count_nonzero(found == 0) == 5


@pytest.mark.parametrize("gradient", [0.0, 0.3, 0.9, 2 * np.pi / 5])
def test_dephasing_across_a_thick_slice_is_that_of_a_sum_of_phasors(gradient):
    """Five layers of 1 mm, a phase step of g between them: |sin(5g/2) / (5 sin(g/2))|."""
    grid = Grid((6, 6, 17), (1.0, 1.0, 1.0))
    phase = np.angle(np.exp(1j * gradient * grid.axes()[2])) + np.zeros(grid.shape)
    image = t2star_weighted(echoes(np.ones(grid.shape)), echoes(phase), np.ones(grid.shape, bool), TE, grid)
    expected = abs(np.sin(2.5 * gradient) / (5 * np.sin(gradient / 2))) if gradient else 1.0
    np.testing.assert_allclose(image[:, :, 6:11], expected, atol=1e-5)


def test_what_lies_in_a_gap_is_lost_and_slices_are_centred():
    """17 layers of 1 mm: the middle slice has layers 6 … 10, layers 5 and 11 are gaps."""
    grid = Grid((5, 5, 17), (1.0, 1.0, 1.0))
    magnitude, zero = np.ones(grid.shape), echoes(np.zeros(grid.shape))
    magnitude[2, 2, 5] = 0
    mask = np.ones(grid.shape, bool)
    np.testing.assert_allclose(t2star_weighted(echoes(magnitude), zero, mask, TE, grid), 1, atol=1e-6)
    magnitude[2, 2, 8] = 0
    image = t2star_weighted(echoes(magnitude), zero, mask, TE, grid)
    np.testing.assert_allclose(image[2, 2, 6:11], 0.8, atol=1e-6)
    assert image[2, 2].min() == pytest.approx(0.8) and np.count_nonzero(image < 0.9) in (6, 7)  # 5 layers, half gaps


def test_slices_that_are_no_multiple_of_the_voxels_have_their_thickness():
    """A slice of 3 mm about the middle of voxels of 2 mm: a whole one and a quarter of each neighbour."""
    grid = Grid((3, 3, 9), (1.0, 1.0, 2.0))
    magnitude = np.ones(grid.shape)
    magnitude[1, 1, 3] = 5
    zero = echoes(np.zeros(grid.shape))
    image = t2star_weighted(echoes(magnitude), zero, np.ones(grid.shape, bool), TE, grid, thickness=3.0, gap=0.0)
    assert image[1, 1, 4] == pytest.approx((2 * 1 + 0.5 * 5 + 0.5 * 1) / 3, rel=1e-5)


def test_the_mask_s_edge_does_not_darken_a_slice():
    grid = Grid((5, 5, 17), (1.0, 1.0, 1.0))
    mask = np.ones(grid.shape, bool)
    mask[2, 2, 9:] = False
    one, zero = echoes(np.ones(grid.shape)), echoes(np.zeros(grid.shape))
    assert t2star_weighted(one, zero, mask, TE, grid)[2, 2, 8] == pytest.approx(1)
