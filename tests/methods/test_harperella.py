"""HARPERELLA: phase wraps, coil phase, outer sources, and the Laplacian that it must keep."""

import numpy as np
import oracles
import pytest
from scipy.ndimage import binary_erosion

from qsmbench.errors import NotApplicable
from qsmbench.grid import Grid
from qsmbench.methods.background.lbv import lbv
from qsmbench.methods.joint.harperella import harperella
from qsmbench.ops.arrays.difference import gradient, gradient_adjoint
from qsmbench.ops.arrays.fft import Window
from qsmbench.ops.kernels.sphere import smv_kernel
from qsmbench.ops.phase.wrapped_phase import field_laplacian
from qsmbench.units import rad_per_ppm

SIZE, OBLIQUE = (1.0, 1.2, 2.0), (0.36, -0.48, 0.8)
B0, TE = 3.0, np.array([0.004, 0.009, 0.016, 0.022])


def scan(field, mask, te=TE, b0=B0, offset=0.0, noise=0.0):
    """Wrapped phase and magnitude of a field [ppm]; R2* is 25/s."""
    rng = np.random.default_rng(0)
    signal = np.exp(-25 * te + 1j * (np.asarray(offset)[..., None] + rad_per_ppm(b0, 1.0) * field[..., None] * te))
    signal = signal * mask[..., None]
    signal = signal + noise * (rng.standard_normal(signal.shape) + 1j * rng.standard_normal(signal.shape))
    return np.angle(signal).astype(np.float32), np.abs(signal).astype(np.float32)


@pytest.fixture(scope="module")
def ball():
    grid = Grid((55, 46, 31), SIZE, OBLIQUE)
    axes = grid.axes()
    x, y, z = axes
    mask = x**2 + y**2 + z**2 < 22**2
    local = oracles.sphere_field(axes, OBLIQUE, (4, -3, 2), 4, 0.5) * mask
    outer = oracles.sphere_field(axes, OBLIQUE, (20, 25, -18), 8, 9.4) * mask
    return grid, mask, local, outer


def laplacian(field):
    return -gradient_adjoint(gradient(field, SIZE), SIZE)


def rms(volume, mask):
    return float(np.sqrt((volume[mask].astype(float) ** 2).mean()))


def known(phase, magnitude, te, mask, grid):
    """The Laplacian of the field [ppm/mm²] in the mask's volume, and where it is right."""
    window = Window.around(mask, grid, 8.0)
    found = field_laplacian(phase, magnitude, te, mask, window, smv_kernel(grid, window.shape, 10.0), grid.voxel_size)
    inner = binary_erosion(mask)
    return window.put(found, inner) / rad_per_ppm(B0, 1.0), inner


@pytest.mark.parametrize("te", [TE[3:], TE[[0, 3]], TE])
def test_laplacian_is_that_of_the_unwrapped_phase(te, ball):
    grid, mask, local, outer = ball
    field = 0.2 * local + outer  # from voxel to voxel less than π even in the last echo
    phase, magnitude = scan(field, mask, te)
    assert np.abs(rad_per_ppm(B0, te[-1]) * field).max() > np.pi  # it does wrap
    found, inner = known(phase, magnitude, te, mask, grid)
    assert oracles.relative(found[inner], laplacian(field)[inner]) < 2e-3


def test_laplacian_is_fitted_without_the_coils_phase(ball):
    grid, mask, local, outer = ball
    x, y, _ = grid.axes()
    offset = np.broadcast_to(1.5 * np.sin(x / 25) + np.cos(y / 30), grid.shape)
    plain, inner = known(*scan(local + outer, mask), TE, mask, grid)
    moved, _ = known(*scan(local + outer, mask, offset=offset), TE, mask, grid)
    uncorrected = laplacian(offset.astype(np.float32)) / rad_per_ppm(B0, 0.016)
    # The mask's radius is only twice the ball's, so much of it is edge, where the ball is cut.
    assert rms(moved - plain, inner) < 0.3 * rms(uncorrected, inner)


def test_laplacian_is_as_precise_as_the_magnitudes_allow(ball):
    """Two voxels in a row have lost their signal: no other echo or voxel suffers from the noise in them."""
    grid, mask, local, _ = ball
    phase, magnitude = scan(local, mask)
    rng = np.random.default_rng(0)
    phase[20:22, 20, 15, 1:] = rng.uniform(-np.pi, np.pi, (2, 3))
    magnitude[20:22, 20, 15, 1:] = 1e-3
    found, inner = known(phase, magnitude, TE, mask, grid)
    assert np.abs(found - laplacian(local))[inner].max() < 0.03 * np.abs(laplacian(local))[inner].max()


def test_wraps_do_not_matter(ball):
    grid, mask, local, outer = ball
    phase, magnitude = scan(local + outer, mask)
    turns = np.random.default_rng(0).integers(-3, 4, phase.shape)
    plain = harperella(phase, magnitude, mask, grid, TE, B0)
    turned = harperella((phase + 2 * np.pi * turns).astype(np.float32), magnitude, mask, grid, TE, B0)
    # The phases differ by rounding, 1e-6 rad, which forty steps on an ill-conditioned system amplify.
    assert rms(turned - plain, mask) < 0.01 * rms(plain, mask)


def test_local_field_has_the_laplacian_of_the_total_field(ball):
    """What it takes away is harmonic, whatever the choice of the Laplacian outside."""
    grid, mask, local, outer = ball
    left = harperella(*scan(local + outer, mask), mask, grid, TE, B0)
    inner = binary_erosion(mask, iterations=2)
    assert oracles.relative(laplacian(left)[inner], laplacian(local + outer)[inner]) < 5e-3


def test_outer_sphere_goes_and_local_field_stays(ball):
    grid, mask, local, outer = ball
    inner = binary_erosion(mask, iterations=2)
    assert rms(harperella(*scan(outer, mask), mask, grid, TE, B0), inner) < 0.02 * rms(outer, inner)
    left = harperella(*scan(local + outer, mask, noise=0.005), mask, grid, TE, B0)
    assert oracles.nrmse(left, local, inner) < 0.35
    assert not left[~mask].any()


def test_it_agrees_with_unwrapping_and_a_boundary_value_problem(ball):
    """Both leave a field with the same Laplacian; they differ by a harmonic field, small beside the background."""
    grid, mask, local, outer = ball
    one = harperella(*scan(local + outer, mask), mask, grid, TE, B0)
    other, kept = lbv(local + outer, mask, grid)
    inner = binary_erosion(kept, iterations=3)
    assert rms(one - other, inner) < 0.12 * rms(outer, inner)
    assert oracles.nrmse(one, other, inner) < 0.2


def test_steps_take_the_background_away(head):
    """The inside's Laplacian alone gives a wrong field: at the surface it is not known, and only there tissue ends."""
    field = head.local_field + 0.3 * head.background
    phase, magnitude = scan(field, head.mask)
    inner = binary_erosion(head.mask, iterations=3)
    error = [
        oracles.nrmse(
            harperella(phase, magnitude, head.mask, head.grid, TE, B0, tolerance=0.0, max_iterations=n),
            head.local_field,
            inner,
        )
        for n in (0, 5, 40)
    ]
    assert max(error[1:]) < 0.75 * error[0]
    assert abs(error[2] - error[1]) < 0.05


@pytest.mark.parametrize(("te", "b0"), [(0.5 * TE, 3.0), (TE[:2], 7.0), (TE[1:2], 1.5)])
def test_field_does_not_depend_on_echo_times_or_field_strength(te, b0, ball):
    """Up to the rounding of the phase, which 40 steps of conjugate gradients enlarge (5e-7 after five)."""
    grid, mask, local, outer = ball
    field = local + 0.3 * outer
    one = harperella(*scan(field, mask), mask, grid, TE, B0)
    other = harperella(*scan(field, mask, te, b0), mask, grid, te, b0)
    assert rms(one - other, mask) < 0.02 * rms(one, mask)


def test_a_mask_at_the_edge_of_the_volume_gives_the_same(ball):
    grid, mask, local, outer = ball
    phase, magnitude = scan(local + outer, mask)
    box = tuple(slice(int(i.min()), int(i.max()) + 1) for i in np.nonzero(mask))
    tight = Grid(mask[box].shape, SIZE, OBLIQUE)
    wide = harperella(phase, magnitude, mask, grid, TE, B0)
    np.testing.assert_array_equal(harperella(phase[box], magnitude[box], mask[box], tight, TE, B0), wide[box])


def test_a_mask_without_an_interior_is_refused():
    grid = Grid((9, 9, 9), SIZE)
    mask = np.zeros(grid.shape, bool)
    mask[3:5, 3:6, 3:6] = True
    with pytest.raises(NotApplicable, match="no voxel of the mask has all six neighbours"):
        harperella(*scan(0 * mask, mask), mask, grid, TE, B0)
