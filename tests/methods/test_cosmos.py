"""COSMOS: exact without noise, against a dense least-squares solution, weights, orientations that do not suffice."""

from dataclasses import replace

import numpy as np
import oracles
import pytest
from analytic import oblique

from qsmbench.errors import NotApplicable, QsmbenchError
from qsmbench.grid import Grid
from qsmbench.method import Orientation
from qsmbench.methods.inversion.cosmos import cosmos
from qsmbench.methods.inversion.tkd import tkd
from qsmbench.ops.arrays.fft import convolve
from qsmbench.ops.kernels.dipole import dipole_kernel

DIRECTIONS = (oblique(0.1, -0.1, 1), oblique(0.6, 0.1, 1), oblique(-0.1, 0.7, 1))


def scans(head, sigma=0.0, seed=0):
    """Free-space local fields of the head in three orientations, known inside its mask, with noise."""
    rng = np.random.default_rng(seed)
    chi = head.mask * (head.chi - head.chi[head.mask].mean())
    orientations = []
    for b in DIRECTIONS:
        field = oracles.free_space_field(chi, head.grid.voxel_size, b) + sigma * rng.standard_normal(chi.shape)
        grid = replace(head.grid, b0_dir=b)
        orientations.append(Orientation((field * head.mask).astype(np.float32), head.mask, grid))
    return tuple(orientations)


def without_nyquist(volume):
    """The volume without its even Nyquist frequencies, of which three oblique kernels may keep nothing."""
    spectrum = np.fft.fftn(volume)
    for axis, n in enumerate(volume.shape):
        if n % 2 == 0:
            spectrum[(slice(None),) * axis + (n // 2,)] = 0
    return np.fft.ifftn(spectrum).real.astype(np.float32)


@pytest.mark.parametrize("shape", [(15, 25, 9), (16, 15, 12)])
def test_the_closed_form_is_exact_where_the_field_is_known_everywhere(shape):
    grid = Grid(shape, (1.0, 1.2, 2.0))
    chi = without_nyquist(np.random.default_rng(0).standard_normal(shape))
    mask = np.ones(shape, bool)
    orientations = []
    for b in DIRECTIONS:
        turned = replace(grid, b0_dir=b)
        orientations.append(Orientation(convolve(chi, dipole_kernel(turned, shape)), mask, turned))
    found = cosmos(mask, tuple(orientations), grid, iterative=False, pad=0)
    np.testing.assert_allclose(found, chi - chi.mean(), atol=1e-4)


def test_iterations_find_chi_from_fields_that_end_at_the_mask(head):
    orientations = scans(head)
    closed = cosmos(head.mask, orientations, head.grid, iterative=False)
    found = cosmos(head.mask, orientations, head.grid, tolerance=1e-4)
    assert oracles.nrmse(found, head.chi, head.mask) < 0.01
    assert oracles.nrmse(closed, head.chi, head.mask) > 0.1
    assert oracles.nrmse(cosmos(head.mask, orientations, head.grid), head.chi, head.mask) < 0.05
    assert found.dtype == np.float32
    assert not found[~head.mask].any()
    assert abs(found[head.mask].mean()) < 1e-6


def test_noise_is_amplified_as_the_kernels_say():
    rng = np.random.default_rng(0)
    grid = Grid((32, 30, 27), (1.0, 1.2, 2.0))
    mask = np.ones(grid.shape, bool)
    orientations = tuple(
        Orientation(rng.standard_normal(grid.shape).astype(np.float32), mask, replace(grid, b0_dir=b))
        for b in DIRECTIONS
    )
    squares = sum(dipole_kernel(o.grid, grid.shape).astype(float) ** 2 for o in orientations)
    squares[0, 0, 0] = np.inf
    expected = np.sqrt((1 / np.maximum(squares, 1e-3)).mean())
    assert cosmos(mask, orientations, grid, iterative=False, pad=0).std() == pytest.approx(expected, rel=0.05)
    assert expected < 3


def test_noise_is_amplified_less_than_by_one_orientation(head):
    def noise(method):
        return (method(scans(head, 0.005)) - method(scans(head)))[head.mask].std()

    three = noise(lambda o: cosmos(head.mask, o, head.grid))
    assert three < 0.7 * noise(lambda o: tkd(o[0].local_field, head.mask, o[0].grid))
    assert three < 3 * 0.005


@pytest.fixture
def tiny():
    """A mask of few voxels in three orientations, each known on a mask and with weights of its own."""
    rng = np.random.default_rng(1)
    grid = Grid((9, 8, 7), (1.0, 1.2, 2.0), DIRECTIONS[0])
    mask = rng.random(grid.shape) < 0.6
    mask[0, 0, 0] = mask[-1, -1, -1] = True
    orientations = tuple(
        Orientation(
            rng.standard_normal(grid.shape).astype(np.float32),
            mask & (rng.random(grid.shape) < 0.9),
            replace(grid, b0_dir=b),
            rng.random((*grid.shape, 1)).astype(np.float32) + 0.5,
            np.array([0.02]),
        )
        for b in DIRECTIONS
    )
    return grid, mask, orientations


def test_iterations_end_at_the_dense_least_squares_solution(tiny):
    grid, mask, orientations = tiny
    rows, right = [], []
    for o in orientations:
        kernel = dipole_kernel(o.grid, (10, 9, 8)).astype(float)
        columns = []
        for voxel in np.argwhere(mask):
            point = np.zeros((10, 9, 8))
            point[tuple(voxel)] = 1
            columns.append(np.fft.irfftn(kernel * np.fft.rfftn(point), point.shape, axes=(0, 1, 2))[:9, :8, :7][o.mask])
        # with a single echo the precision is in proportion to the magnitude; its mean square over the mask is 1
        weight = o.magnitude[o.mask][:, 0] / np.sqrt((o.magnitude[o.mask] ** 2).mean())
        rows.append(np.array(columns).T * weight[:, None])
        right.append(o.local_field[o.mask] * weight)
    expected = np.linalg.lstsq(np.concatenate(rows), np.concatenate(right), rcond=None)[0]
    found = cosmos(mask, orientations, grid, tolerance=1e-6, max_iterations=500, pad=1.0)
    np.testing.assert_allclose(found[mask], expected - expected.mean(), atol=1e-3 * np.abs(expected).max())


def test_fields_of_no_weight_do_not_count(head):
    clean = scans(head)
    spoilt = head.mask.copy()
    spoilt[: head.mask.shape[0] // 2] = False
    wrong = np.where(spoilt, 1, clean[1].local_field).astype(np.float32)
    magnitude = (head.mask & ~spoilt).astype(np.float32)[..., None]
    weighted = replace(clean[1], local_field=wrong, magnitude=magnitude, te=np.array([0.02]))
    cut = replace(clean[1], local_field=wrong, mask=head.mask & ~spoilt)
    found = [cosmos(head.mask, (clean[0], o, clean[2]), head.grid, tolerance=1e-4) for o in (weighted, cut)]
    assert oracles.relative(found[0], found[1]) < 0.02
    assert oracles.nrmse(found[0], head.chi, head.mask) < 0.1


def test_reasons_not_to_run(head):
    one, two, three = scans(head)
    with pytest.raises(NotApplicable, match="2 orientations; COSMOS needs 3"):
        cosmos(head.mask, (one, two), head.grid)
    alike = tuple(replace(one, grid=replace(head.grid, b0_dir=oblique(t, 0, 1))) for t in (0, 0.01, 0.02))
    with pytest.raises(NotApplicable, match="directions of B0 are too similar"):
        cosmos(head.mask, alike, head.grid)
    other = Grid(head.grid.shape, (1.0, 1.0, 1.0))
    with pytest.raises(QsmbenchError, match=r"orientation 2 has .* voxels of \(1.0, 1.0, 1.0\) mm"):
        cosmos(head.mask, (one, two, replace(three, grid=other)), head.grid)
