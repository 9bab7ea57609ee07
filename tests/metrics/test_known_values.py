"""Hand-made cases with known numbers."""

import numpy as np
import pytest

from qsmbench.errors import NotApplicable
from qsmbench.grid import Grid
from qsmbench.metrics import find
from qsmbench.metrics.data_consistency import dipole_field
from qsmbench.metrics.hfen import laplacian_of_gaussian
from qsmbench.metrics.xsim import C1, C2, similarity, window

LINE = np.ones((4, 1, 1), bool)


def line(*values):
    return np.array(values, np.float32).reshape(-1, 1, 1)


def test_nrmse():
    # errors 1, −1, 0, 0 over a truth of norm √20 (−3, −1, 1, 3)
    value = find("nrmse")(line(-2, -2, 1, 3), line(-3, -1, 1, 3), LINE)
    assert value == pytest.approx(100 * np.sqrt(2 / 20))


def test_nrmse_is_blind_to_what_lies_outside_the_mask():
    mask = line(1, 1, 1, 0) > 0
    outside = find("nrmse")(line(1, 3, 2, np.nan), line(1, 2, 3, 7), mask)
    assert outside == find("nrmse")(line(1, 3, 2), line(1, 2, 3), mask[:3])


def test_own_nrmse_is_that_of_the_reconstructed_voxels_and_their_mean():
    """Errors 0, −1, 1 about a truth of −2, 0, 2 in three of four voxels, with another mean: √2 / √8."""
    support = line(0, 1, 1, 1) > 0
    value = find("own_nrmse")(line(0, 8, 9, 13), line(9, -1, 1, 3), support, LINE)
    assert value == pytest.approx(50)
    with pytest.raises(NotApplicable, match="no voxel was reconstructed"):
        find("own_nrmse")(line(1, 1, 1, 1), line(1, 2, 3, 4), ~LINE, LINE)


def test_errors_by_depth():
    """In a cube of 31 voxels of 1 mm, the rim of 12 mm leaves 7³ voxels; each part has its own error and norm."""
    grid = Grid((31, 31, 31), (1.0, 1.0, 1.0))
    mask = np.ones(grid.shape, bool)
    deep = np.zeros_like(mask)
    deep[12:19, 12:19, 12:19] = True
    truth = np.where(np.indices(grid.shape)[0] % 2, 1.0, -1.0)
    truth -= truth.mean()
    sign = np.where(np.indices(grid.shape)[1] % 2, 1.0, -1.0)  # orthogonal to the truth; its mean is that of one plane
    estimate = truth + np.where(deep, 0.25, 0.5) * sign
    by = {"study_mask": mask, "grid": grid}
    assert find("rim_nrmse")(estimate, truth, mask, **by) == pytest.approx(50, rel=2e-3)
    assert find("deep_nrmse")(estimate, truth, mask, **by) == pytest.approx(25, rel=1e-2)
    with pytest.raises(NotApplicable, match="no such voxel"):
        find("deep_nrmse")(estimate, truth, mask & ~deep, **by)


def test_detrending_forgives_scale_and_the_slope_tells_it():
    truth = line(-3, -1, 1, 3)
    assert find("detrended_nrmse")(truth / 4 + 7, truth, LINE) == pytest.approx(0, abs=1e-4)
    assert find("detrended_slope")(truth / 4 + 7, truth, LINE) == pytest.approx(4)


def test_detrended_nrmse_is_what_correlation_leaves():
    # orthogonal error (1, −3, 3, −1)·k does not change the slope numerator: 1 − r² of the norm is left
    truth, noise = line(-3, -1, 1, 3), line(1, -3, 3, -1)
    r = find("correlation")(truth + noise, truth, LINE)
    assert r == pytest.approx(1 / np.sqrt(2))
    assert find("detrended_nrmse")(truth + noise, truth, LINE) == pytest.approx(100 * np.sqrt(1 - r**2))
    assert find("detrended_slope")(truth + noise, truth, LINE) == pytest.approx(0.5)
    assert find("nrmse")(truth + noise, truth, LINE) == pytest.approx(100)


def test_correlation_of_the_negative():
    assert find("correlation")(line(3, 1, -1, -3), line(-3, -1, 1, 3), LINE) == pytest.approx(-1)


def test_hfen_scales_with_the_error(head):
    assert find("hfen")(3 * head.truth, head.truth, head.mask) == pytest.approx(200, rel=1e-5)


def test_hfen_weighs_fine_errors_more_than_smooth_ones(head):
    """Two errors of equal NRMSE, fading towards the border: ripples of 8 and of 24 voxels."""
    x, y, z = head.grid.axes()
    taper = np.exp(-(x**2 + y**2 + z**2) / (2 * 5**2))
    ripples = [taper * np.sin(2 * np.pi * x / period) for period in (8, 24)]
    errors = [(0.02 * r / r[head.mask].std()).astype(np.float32) for r in ripples]
    plain = [find("nrmse")(head.truth + e, head.truth, head.mask) for e in errors]
    fine, smooth = (find("hfen")(head.truth + e, head.truth, head.mask) for e in errors)
    assert plain[0] == pytest.approx(plain[1], rel=1e-3)
    assert fine > 2 * smooth


def test_the_laplacian_of_gaussian_is_the_direct_15_cubed_kernel():
    r = np.arange(-7, 8.0)
    x, y, z = np.meshgrid(r, r, r, indexing="ij")
    squared, width = x**2 + y**2 + z**2, 1.5
    gaussian = np.exp(-squared / (2 * width**2))
    kernel = gaussian / gaussian.sum() * (squared / width**4 - 3 / width**2)
    kernel -= kernel.mean()
    impulse = np.zeros((21, 19, 23))
    impulse[10, 9, 11] = 1
    response = laplacian_of_gaussian(impulse)
    np.testing.assert_allclose(response[3:18, 2:17, 4:19], kernel, atol=1e-15)
    assert abs(response.sum()) < 1e-12
    assert np.abs(response[:3]).max() < 1e-15


def test_the_laplacian_of_gaussian_of_a_paraboloid_is_its_curvature():
    """Laplacian of (x² + y² + z²)/2 is 3; the kernel cut at 15 voxels returns it to a thousandth."""
    r = np.arange(-12, 13.0)
    x, y, z = np.meshgrid(r, r, r, indexing="ij")
    assert laplacian_of_gaussian((x**2 + y**2 + z**2) / 2)[12, 12, 12] == pytest.approx(3, rel=2e-3)


def test_xsim_of_constant_maps_is_its_luminance_term():
    x, t = np.full((9, 9, 9), 0.03), np.full((9, 9, 9), 0.05)
    expected = (2 * 0.03 * 0.05 + C1) / (0.03**2 + 0.05**2 + C1)
    np.testing.assert_allclose(similarity(x, t), expected, rtol=1e-9)


def test_xsim_of_the_negative_is_its_structure_term():
    """A pattern and its negative have no mean: only −σ² + C2 over σ² + C2 is left."""
    pattern = 0.05 * (-1.0) ** np.indices((14, 14, 14)).sum(0)
    power = 0.05**2
    value = similarity(pattern, -pattern)[7, 7, 7]
    assert value == pytest.approx((C2 - 2 * power) / (C2 + 2 * power), abs=1e-4)


def test_xsim_window_is_gaussian_7_cubed():
    impulse = np.zeros((15, 15, 15))
    impulse[7, 7, 7] = 1
    response = window(impulse)
    assert np.count_nonzero(response) == 7**3
    assert response.sum() == pytest.approx(1)
    assert response[8, 7, 7] / response[7, 7, 7] == pytest.approx(np.exp(-1 / 4.5))
    np.testing.assert_allclose(window(np.ones((5, 5, 5))), 1)  # edges are replicated


def test_regional_mean_and_bias():
    labels, regions = np.array([1, 1, 2, 9]).reshape(-1, 1, 1), [(1, "a", ""), (2, "b", ""), (3, "c", "")]
    estimate, truth = line(1, 3, 4, 0), line(1, 1, 1, 5)
    assert find("mean")(estimate, LINE, labels, regions) == pytest.approx({"a": 0.0, "b": 2.0})
    # true means relative to 2: a −1, b −1
    assert find("bias")(estimate, truth, LINE, labels, regions) == pytest.approx({"a": 1.0, "b": 3.0})


def test_dgm_line_of_known_slope_intercept_and_r2():
    labels = np.array([1, 2, 3, 4]).reshape(-1, 1, 1)
    regions = [(1, "a", "dgm"), (2, "b", "dgm"), (3, "c", "dgm"), (4, "rest", "")]
    truth, estimate = line(1, 2, 3, -6), line(0.5, 1, 1.5, -3)
    arguments = (estimate, truth, LINE, labels, regions)
    assert find("dgm_slope")(*arguments) == pytest.approx(0.5)
    assert find("dgm_intercept")(*arguments) == pytest.approx(0)
    assert find("dgm_r2")(*arguments) == pytest.approx(1)
    crooked = (line(0, 3, 0, -3), truth, LINE, labels, regions)
    assert find("dgm_slope")(*crooked) == pytest.approx(0, abs=1e-12)
    assert find("dgm_intercept")(*crooked) == pytest.approx(1)
    assert find("dgm_r2")(*crooked) == pytest.approx(0, abs=1e-12)


def test_dgm_needs_three_nuclei():
    labels, regions = (
        np.array([1, 2, 0, 0]).reshape(-1, 1, 1),
        [(1, "a", "dgm"), (2, "b", "dgm"), (3, "c", "")],
    )
    with pytest.raises(NotApplicable, match="2 regions of the group dgm are in the mask; a linear fit needs three"):
        find("dgm_slope")(line(1, 2, 3, 4), line(1, 2, 3, 4), LINE, labels, regions)


def test_coverage():
    assert find("coverage")(line(1, 0, 0, 0) > 0, line(1, 1, 1, 1) > 0) == 25


def test_data_consistency_of_what_made_the_field_is_zero_and_of_nothing_a_hundred(head):
    chi = np.where(head.mask, head.truth - head.truth[head.mask].mean(), 0).astype(np.float32)
    field = dipole_field(chi, head.grid)
    consistency = find("data_consistency")
    assert consistency(chi + 3, head.mask, head.mask, field, head.grid) == pytest.approx(0, abs=0.2)
    assert consistency(0 * chi, head.mask, head.mask, field, head.grid) == 100
    assert consistency(2 * chi, head.mask, head.mask, field, head.grid) == pytest.approx(100, abs=0.2)


@pytest.mark.parametrize("b0_dir", [(0, 0, 1), (1, 0, 0), (0, 0.6, 0.8)])
def test_the_dipole_field_of_a_ball(b0_dir):
    """Outside, the field is χ/3 (a/r)³ (3cos²θ − 1); inside it is 0; on anisotropic voxels."""
    grid, radius = Grid((48, 40, 32), (1.0, 1.2, 1.5), b0_dir), 8.0
    x, y, z = grid.axes()
    r = np.sqrt(x**2 + y**2 + z**2)
    cosine = (x * b0_dir[0] + y * b0_dir[1] + z * b0_dir[2]) / r
    edge = np.clip((radius - r) / 1.2 + 0.5, 0, 1)  # soft, to damp the ringing of the voxel grid
    field = dipole_field(edge.astype(np.float32), grid)
    expected = np.where(r > radius, (radius / r) ** 3 * (3 * cosine**2 - 1) / 3, 0)
    far = np.abs(r - radius) > 3
    assert np.sqrt(np.mean((field - field[far].mean() - expected + expected[far].mean())[far] ** 2)) < 0.012


def test_a_map_with_a_zero_of_its_own_counts_as_it_is():
    truth, estimate = line(1, 2, 3, 4), line(2, 3, 4, 5)
    labels, regions = np.array([1, 1, 2, 2]).reshape(-1, 1, 1), [(1, "a", ""), (2, "b", "")]
    by = {"artifact": "r2star"}
    assert find("nrmse")(estimate, truth, LINE, **by) == pytest.approx(100 * np.sqrt(4 / 30))
    # the line through zero: Σxt / Σx² = 40 / 54
    assert find("detrended_slope")(estimate, truth, LINE, **by) == pytest.approx(40 / 54)
    assert find("detrended_nrmse")(estimate, truth, LINE, **by) == pytest.approx(100 * np.sqrt(1 - 40**2 / 54 / 30))
    assert find("bias")(estimate, truth, LINE, labels, regions, **by) == pytest.approx({"a": 1, "b": 1})
    assert find("mean")(estimate, LINE, labels, regions, **by) == pytest.approx({"a": 2.5, "b": 4.5})
    assert find("correlation")(estimate, truth, LINE, **by) == pytest.approx(1)


def test_detrending_forgives_the_scale_of_a_map_with_a_zero_of_its_own_but_no_offset():
    truth, by = line(1, 2, 3, 4), {"artifact": "r2star"}
    assert find("detrended_nrmse")(truth / 4, truth, LINE, **by) == pytest.approx(0, abs=1e-9)
    assert find("detrended_nrmse")(truth / 4 + 7, truth, LINE, **by) > 30


def test_dice():
    both, one, none = line(1, 1, 0, 0) > 0, line(1, 0, 0, 0) > 0, line(0, 0, 0, 0) > 0
    assert find("dice")(both, one) == pytest.approx(2 / 3)
    assert find("dice")(one, both) == pytest.approx(2 / 3)
    assert (find("dice")(both, both), find("dice")(both, ~both)) == (1, 0)
    with pytest.raises(NotApplicable, match="both masks are empty"):
        find("dice")(none, none)
