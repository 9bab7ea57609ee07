"""QSMART: vessels found and kept apart, a background removal of variable width, and the joining of two maps."""

import tracemalloc

import numpy as np
import oracles
import pytest
from scipy.ndimage import binary_dilation, gaussian_filter

import qsmbench.methods.joint.qsmart as qsmart_file
from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid
from qsmbench.methods.inversion.tkd import tkd
from qsmbench.methods.joint.qsmart import qsmart
from qsmbench.ops.arrays.varying_width import smooth_by_width
from qsmbench.ops.masks.vessel import bottom_hat, vesselness

TE, B0 = np.array([0.006, 0.012, 0.018]), 3.0
SIZE, OBLIQUE = (1.0, 1.2, 2.0), (0.36, -0.48, 0.8)


def along(points, direction, radius):
    """1 within `radius` [mm] of a line through the origin, smoothly falling to 0."""
    direction = np.array(direction) / np.linalg.norm(direction)
    square = sum(p**2 for p in points) - sum(p * d for p, d in zip(points, direction, strict=True)) ** 2
    return np.exp(-square / (2 * radius**2)).astype(np.float32)


@pytest.mark.parametrize("direction", [(1, 0, 0), (0, 0, 1), (1, -2, 1.5)])
def test_vesselness_of_a_tube_is_that_of_its_eigenvalues(direction):
    """On the axis of a Gaussian tube the eigenvalues are 0, −h and −h, and |h| is the largest: V = (1 − e⁻²)²."""
    grid = Grid((49, 41, 25), SIZE, OBLIQUE)
    tube = along(grid.axes(), direction, 3.0)
    middle = vesselness(tube, grid, (2.0,))[24, 20, 12]
    assert middle == pytest.approx((1 - np.exp(-2)) * (1 - np.exp(-2)), rel=0.12)  # S is the largest there, c half
    x, y, z = grid.axes()
    plate = np.exp(-(x**2) / 18) + 0 * y + 0 * z
    blob = np.exp(-(x**2 + y**2 + z**2) / 18)
    for other in (plate, blob, -tube):
        found = vesselness(other.astype(np.float32), grid, (2.0,))
        assert found[24, 20, 12] < 0.2 * middle


def test_vesselness_is_that_of_scikit_image():
    filters = pytest.importorskip("skimage.filters")
    grid = Grid((40, 36, 33), (1.0, 1.0, 1.0))
    rng = np.random.default_rng(0)
    image = gaussian_filter(rng.standard_normal(grid.shape), 2).astype(np.float32)
    ours = vesselness(image, grid, (2.0,))
    theirs = filters.frangi(image, sigmas=[2.0], black_ridges=False, mode="wrap")
    inner = (slice(8, -8),) * 3
    assert np.corrcoef(ours[inner].ravel(), theirs[inner].ravel())[0, 1] > 0.97


def test_vesselness_needs_few_volumes(monkeypatch):
    """The image smoothed, its six second derivatives and what makes them; no more for two widths than for one."""
    monkeypatch.setenv("QSMBENCH_THREADS", "1")  # each thread works on blocks of its own
    grid = Grid((112, 112, 112), (1.0, 1.0, 1.0))
    image = np.random.default_rng(0).standard_normal(grid.shape).astype(np.float32)
    vesselness(image[:16, :16, :16], Grid((16, 16, 16), grid.voxel_size), (2.0,))
    tracemalloc.start()
    try:
        vesselness(image, grid, (1.5, 3.0))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 14 * image.nbytes


def test_bottom_hat_is_the_depth_of_what_is_narrow():
    """A dark line of depth 2 counts; a dark region and the dark outside do not."""
    grid = Grid((30, 28, 26), (1.0, 1.2, 1.5))
    inside = np.zeros(grid.shape, bool)
    inside[3:-3, 3:-3, 3:-3] = True
    image = np.where(inside, 10.0, 0.0).astype(np.float32)
    image[8, 5:20, 9] = 8
    image[16:-3, 3:-3, 3:-3] = 5
    hat = bottom_hat(image, inside, grid, 3.0)
    line = np.zeros_like(inside)
    line[8, 5:20, 9] = True
    np.testing.assert_allclose(hat[line], 2)
    assert not hat[~line].any()


def test_smoothing_by_width_is_that_of_a_gaussian_of_each_width():
    """Against sums over all voxels in double precision, on a ragged mask and anisotropic voxels."""
    grid = Grid((26, 24, 20), SIZE, OBLIQUE)
    rng = np.random.default_rng(0)
    x, y, z = grid.axes()
    inside = ((x / 7) ** 2 + (y / 8) ** 2 + (z / 11) ** 2 < 1) & (rng.random(grid.shape) < 0.95)
    volume = ((x / 5 + np.sin(y / 3) + np.cos(z / 4)) * inside).astype(np.float32)
    width = (1.2 + 1.5 * (1 + np.sin(x / 4 + y / 5)) + 0 * z).astype(np.float32)
    found = smooth_by_width(volume, inside, width, grid)
    points = np.stack(np.broadcast_arrays(x, y, z), -1)[inside]
    squares = ((points[:, None] - points) ** 2).sum(-1)
    weights = np.exp(-squares / (2 * width[inside][:, None] ** 2))
    expected = weights @ volume[inside] / weights.sum(1)
    assert np.linalg.norm(found[inside] - expected) < 0.02 * np.linalg.norm(volume[inside] - expected)
    assert not found[~inside].any()


def test_background_is_removed_and_what_is_narrower_stays():
    """Deep in the mask a linear field is removed, and a wave keeps 1 − exp(−(kσ)²/2) of its amplitude."""
    grid = Grid((64, 60, 40), (1.0, 1.1, 1.6), OBLIQUE)
    x, y, z = grid.axes()
    inside = (np.abs(x) < 20) & (np.abs(y) < 20) & (np.abs(z) < 20)
    width = qsmart_file._widths(inside, grid, 4.0, 1.2)
    wave = np.cos(2 * np.pi * x / 20) + 0 * y + 0 * z
    field = ((0.5 + 0.05 * x - 0.02 * z) * inside).astype(np.float32)
    deep = (np.abs(x) < 4) & (np.abs(y) < 4) & (np.abs(z) < 4)
    assert np.abs(qsmart_file._local_field(field, inside, width, grid)[deep]).max() < 1e-3
    left = qsmart_file._local_field((wave * inside).astype(np.float32), inside, np.full_like(field, 3.0), grid)
    gain = 1 - np.exp(-((2 * np.pi / 20 * 3) ** 2) / 2)
    np.testing.assert_allclose(left[deep], gain * wave[deep], atol=0.01)


def test_width_falls_from_the_middle_to_the_edge():
    grid = Grid((80, 44, 40), (1.0, 1.0, 1.0))
    inside = np.zeros(grid.shape, bool)
    inside[:40] = True  # a half-space, cyclic along the other axes
    width = qsmart_file._widths(inside, grid, 4.0, 1.0)[:, 20, 20]
    assert width[20] == pytest.approx(4, rel=0.01)
    assert np.sqrt(width[39] * width[40]) == pytest.approx(1, rel=0.05)
    assert (np.diff(width[20:40]) < 0).all()


@pytest.fixture(scope="module")
def veins(head):
    """A vein without signal in the head, whose field is lost: total field, magnitude, χ and the vein."""
    x, y, z = head.grid.axes()
    vein = ((x - 2) / 2.5) ** 2 + ((y + 4) / 2.5) ** 2 + 0 * z < 1
    vein &= (np.abs(z) < 26) & head.mask
    chi = np.where(vein, 1.0, head.chi).astype(np.float32)
    more = oracles.free_space_field(np.where(vein, 1.0 - head.chi, 0.0), head.grid.voxel_size, head.grid.b0_dir)
    rng = np.random.default_rng(0)
    lost = 0.3 * rng.standard_normal(chi.shape)
    total = np.where(vein, lost, head.local_field + more + 0.001 * rng.standard_normal(chi.shape))
    r2star = np.where(vein, 200.0, 20.0)[..., None]
    signal = np.exp(-r2star * TE) * (1 + 0.3 * x / 40)[..., None] + 0.01 * np.abs(rng.standard_normal((*vein.shape, 3)))
    return (total * head.mask).astype(np.float32), (signal * head.mask[..., None]).astype(np.float32), chi, vein


def test_vessels_are_found(head, veins):
    """In every slice, and nothing else; at the flanks of the vein vesselness falls below the threshold."""
    _, magnitude, _, vein = veins
    window = qsmart_file.Window.around(head.mask, head.grid, 40.0)
    last, inside = window.take(magnitude[..., -1], head.mask), window.take_mask(head.mask)
    found = window.put(qsmart_file._vessels(last, inside, head.grid, 6.0, (0.75, 1.5, 3.0)), head.mask)
    assert vein[found].all()
    assert found[vein].mean() > 0.7
    assert (found & vein).sum(axis=(0, 1))[vein.any(axis=(0, 1))].min() >= 6


@pytest.mark.parametrize("inversion", ["tkd", "ilsqr"])
def test_a_vein_does_not_streak_through_tissue(head, veins, inversion):
    """Both stages together beat the first alone, which a magnitude that shows no vessel gives."""
    total, magnitude, truth, vein = veins
    even = np.ones_like(magnitude) * head.mask[..., None]
    inputs = head.mask, head.grid, TE, B0
    twice = qsmart(total, magnitude, *inputs, inversion=inversion)
    once = qsmart(total, even, *inputs, inversion=inversion)
    near = head.mask & binary_dilation(vein, iterations=6) & ~binary_dilation(vein, iterations=2)
    assert oracles.nrmse(twice, truth, near) < 0.8 * oracles.nrmse(once, truth, near)
    assert np.std(twice[near]) < 0.8 * np.std(once[near])


def test_without_vessels_it_is_one_inversion(head):
    total = (head.local_field + 0.1 * head.background).astype(np.float32)
    even = np.ones((*head.mask.shape, 3), np.float32) * head.mask[..., None]
    found = qsmart(total, even, head.mask, head.grid, TE, B0, inversion="tkd")
    window = qsmart_file.Window.around(head.mask, head.grid, 40.0)
    inside = window.take_mask(head.mask)
    edge = head.grid.voxel_volume ** (1 / 3)
    width = qsmart_file._widths(inside, head.grid, 10.0, edge)
    local = window.put(qsmart_file._local_field(window.take(total, head.mask), inside, width, head.grid), head.mask)
    np.testing.assert_allclose(found, tkd(local, head.mask, head.grid), atol=1e-6)


def test_the_offset_of_vessels_is_what_their_field_says(head):
    """χ whose vessels lack a constant gets just that constant back."""
    window = qsmart_file.Window.around(head.mask, head.grid, 60.0)
    inside = window.take_mask(head.mask)
    x, y, _ = head.grid.axes()
    vessels = inside & window.take_mask(((x - 4) ** 2 + y**2 < 16) & head.mask)
    chi = window.take(head.chi, head.mask)
    kernel = qsmart_file.dipole_kernel(head.grid, window.shape)
    field = qsmart_file.masked(qsmart_file.convolve(chi, kernel), inside)
    short = chi - 0.25 * vessels.astype(np.float32)
    assert qsmart_file._offset(short, field, vessels, inside, head.grid) == pytest.approx(0.25, rel=1e-3)


def test_reasons_not_to_run(head, veins):
    total, magnitude, _, _ = veins
    inputs = total, magnitude, head.mask, head.grid, TE, B0
    with pytest.raises(QsmbenchError, match="qsmart: pdf needs total_field; available: magnitude, grid"):
        qsmart(*inputs, inversion="pdf")
    with pytest.raises(QsmbenchError, match="qsmart: erode does not produce chi"):
        qsmart(*inputs, inversion="erode")
