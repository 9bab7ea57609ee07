"""V-SHARP and PDF: strong outer sources, exact local fields, anisotropic voxels, oblique B0."""

import numpy as np
import oracles
import pytest
from scipy.ndimage import binary_erosion

from qsmbench.errors import NotApplicable
from qsmbench.grid import Grid
from qsmbench.methods.background.pdf import pdf
from qsmbench.methods.background.vsharp import vsharp

SIZE, OBLIQUE = (1.0, 1.2, 2.0), (0.36, -0.48, 0.8)


def remove(method, field, mask, grid, **settings):
    """Local field and mask of either method."""
    result = method(field, mask, grid, **settings)
    return result if isinstance(result, tuple) else (result, mask)


def rms(volume, mask):
    return float(np.sqrt((volume[mask].astype(float) ** 2).mean()))


@pytest.fixture(scope="module")
def ball():
    """A ball-shaped mask with the analytic field of one sphere inside and of a strong one outside."""
    grid = Grid((61, 52, 33), SIZE, OBLIQUE)
    axes = grid.axes()
    x, y, z = axes
    mask = x**2 + y**2 + z**2 < 25**2
    local = oracles.sphere_field(axes, OBLIQUE, (4, -3, 2), 4, 0.5) * mask
    outer = oracles.sphere_field(axes, OBLIQUE, (20, 25, -18), 8, 9.4) * mask
    return grid, mask, local, outer


@pytest.mark.parametrize("method", [vsharp, pdf])
def test_background_of_an_outer_sphere_goes(method, ball):
    grid, mask, _, outer = ball
    left, kept = remove(method, outer, mask, grid)
    inner = binary_erosion(kept, iterations=2)
    assert rms(left, inner) < 0.02 * rms(outer, inner)
    assert not left[~kept].any()


@pytest.mark.parametrize("method", [vsharp, pdf])
def test_local_field_stays(method, ball):
    grid, mask, local, outer = ball
    left, kept = remove(method, local + outer, mask, grid)
    inner = binary_erosion(kept, iterations=2)
    assert oracles.nrmse(left, local, inner) < 0.3


@pytest.mark.parametrize("method", [vsharp, pdf])
def test_head_with_air_cavities(method, head):
    assert rms(head.background, head.mask) > 15 * rms(head.local_field, head.mask)
    left, kept = remove(method, head.local_field + head.background, head.mask, head.grid)
    inner = binary_erosion(kept, iterations=2)
    assert oracles.nrmse(left, head.local_field, inner) < 0.4
    assert rms(left - head.local_field, kept) < 0.08 * rms(head.background, kept)


@pytest.mark.parametrize("method", [vsharp, pdf])
def test_uniform_and_linear_fields_go(method, ball):
    grid, mask, _, _ = ball
    x, y, z = grid.axes()
    for field in (np.ones(grid.shape), (x + 2 * y - z) / 25 + 0 * mask, (2 * z**2 - x**2 - y**2) / 625):
        field = (field * mask).astype(np.float32)
        left, kept = remove(method, field, mask, grid)
        inner = binary_erosion(kept, iterations=2)
        assert rms(left, inner) < 0.03 * rms(field, inner)


def test_vsharp_uses_no_ball_thinner_than_a_slice():
    grid = Grid((40, 40, 17), (1.0, 1.0, 3.0), OBLIQUE)
    x, y, z = grid.axes()
    mask = x**2 + y**2 + z**2 < 19**2
    outer = oracles.sphere_field((x, y, z), OBLIQUE, (17, 18, -16), 8, 9.4) * mask
    left, kept = vsharp(outer, mask, grid, radius_min=1.0)
    assert rms(left, kept) < 0.05 * rms(outer, kept)


@pytest.mark.parametrize("method", [vsharp, pdf])
def test_a_mask_at_the_edge_of_the_volume_gives_the_same_interior(method, ball):
    """No circular-convolution bias: cutting the volume to the mask's box changes nothing inside."""
    grid, mask, local, outer = ball
    box = tuple(slice(int(i.min()), int(i.max()) + 1) for i in np.nonzero(mask))
    tight = Grid(mask[box].shape, grid.voxel_size, grid.b0_dir)
    wide_result, kept = remove(method, local + outer, mask, grid)
    tight_result, _ = remove(method, (local + outer)[box], mask[box], tight)
    inner = binary_erosion(kept, iterations=3)[box]
    assert rms(tight_result - wide_result[box], inner) < 0.02 * rms(outer, mask)


def test_pdf_is_close_to_linear(ball):
    grid, mask, local, outer = ball

    def long(field):
        return pdf(field, mask, grid, tolerance=0, max_iterations=60)

    oracles.check_linear(long, local + outer, outer, rtol=0.1)


def test_vsharp_erodes_by_the_smallest_ball(ball):
    grid, mask, local, _ = ball
    _, kept = vsharp(local, mask, grid, radius_min=3.0)
    x, y, z = grid.axes()
    r = np.sqrt(x**2 + y**2 + z**2)
    assert kept[r < 25 - 3 - 2.5].all()
    assert not kept[r > 25 - 3 + 1].any()
    assert (kept <= mask).all()


def test_vsharp_says_when_no_ball_fits():
    grid = Grid((12, 12, 8), SIZE)
    mask = np.zeros(grid.shape, bool)
    mask[5:7, 5:7, 4] = True
    with pytest.raises(NotApplicable, match="no ball of radius 2 mm"):
        vsharp(np.ones(grid.shape, np.float32), mask, grid)


def test_vsharp_does_not_mind_a_large_offset(ball):
    grid, mask, local, outer = ball
    plain, kept = vsharp(local + outer, mask, grid)
    moved, _ = vsharp(local + outer + 3 * mask, mask, grid)
    assert np.abs(moved - plain)[kept].max() < 1e-3
