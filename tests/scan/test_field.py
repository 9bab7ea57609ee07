"""The forward field against closed forms, a direct sum, and the laws that it must keep."""

import numpy as np
import pytest
from analytic import cylinder_field, cylinder_fraction, oblique, sphere_field, sphere_fraction
from scipy.signal import fftconvolve

from qsmbench.grid import Grid
from qsmbench.scan import prism
from qsmbench.scan.blocks import block_mean
from qsmbench.scan.field import field_of

AXIAL, SAGITTAL, OBLIQUE = (0.0, 0.0, 1.0), (1.0, 0.0, 0.0), oblique(0.3, -0.5, 0.81)
DIRECTIONS = pytest.mark.parametrize("b0_dir", [AXIAL, SAGITTAL, OBLIQUE])


def errors(field, analytic, distance, radius, voxel_size, peak):
    """Largest and rms error, in % of the peak, two voxels and more from the surface."""
    away = np.abs(distance - radius) >= 2 * max(voxel_size)
    error = (field - analytic)[away]
    return 100 * np.abs(error).max() / peak, 100 * np.sqrt(np.mean(error**2)) / peak


@DIRECTIONS
@pytest.mark.parametrize(
    ("shape", "voxel_size", "radius", "limit_max", "limit_rms"),
    [
        ((64, 64, 64), (1, 1, 1), 16.0, 0.5, 0.02),
        ((65, 63, 66), (1, 1, 1), 16.0, 0.5, 0.02),
        ((80, 42, 28), (1, 2, 3), 20.0, 1.0, 0.05),
        ((81, 43, 29), (1, 2, 3), 20.0, 1.0, 0.05),
    ],
)
def test_sphere_inside_and_outside(shape, voxel_size, radius, limit_max, limit_rms, b0_dir):
    """As the simulator works: two sub-voxels along each axis, then the mean over the voxel."""
    grid = Grid(shape, voxel_size, b0_dir)
    fine = grid.refine((2, 2, 2))
    field = block_mean(field_of(sphere_fraction(fine, radius), fine), (2, 2, 2))
    analytic, r = sphere_field(grid, radius)
    largest, rms = errors(field, analytic, r, radius, voxel_size, peak=2 / 3)
    assert largest <= limit_max
    assert rms <= limit_rms


@pytest.mark.parametrize("b0_dir", [AXIAL, SAGITTAL, OBLIQUE])
@pytest.mark.parametrize(
    ("shape", "voxel_size", "limit_max", "limit_rms"),
    [
        ((64, 64), (1, 1), 0.5, 0.02),
        ((65, 63), (1, 1), 0.5, 0.02),
        ((84, 42), (1, 2), 1.0, 0.05),
        ((85, 43), (1, 3), 1.0, 0.05),
    ],
)
def test_infinite_cylinder(shape, voxel_size, limit_max, limit_rms, b0_dir):
    """A single layer of voxels 10 m long is an infinite cylinder, and asks the kernel for extreme proportions."""
    radius = 14.0
    grid = Grid((*shape, 1), (*voxel_size, 1e4), b0_dir)
    fine = grid.refine((2, 2, 1))
    field = block_mean(field_of(cylinder_fraction(fine, radius), fine), (2, 2, 1))
    analytic, rho = cylinder_field(grid, radius)
    largest, rms = errors(field, analytic, rho, radius, voxel_size, peak=0.5)
    assert largest <= limit_max
    assert rms <= limit_rms


@pytest.mark.parametrize("shape", [(6, 6, 6), (7, 5, 9), (9, 8, 1), (11, 13, 6)])
@pytest.mark.parametrize("b0_dir", [AXIAL, oblique(0.6, 0, 0.8), oblique(0.48, -0.6, 0.64)])
def test_equals_the_direct_sum(shape, b0_dir):
    grid = Grid(shape, (1, 1.5, 2), b0_dir)
    chi = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    index = np.meshgrid(*(np.arange(-n + 1, n) for n in shape), indexing="ij")
    place = tuple(np.abs(i) for i in index)
    kernel = prism.diagonal(shape, grid.voxel_size, b0_dir)[place].astype(float)
    for u, v in ((0, 1), (0, 2), (1, 2)):
        part = prism.off_diagonal(shape, grid.voxel_size, b0_dir, u, v)[place]
        kernel += np.sign(index[u]) * np.sign(index[v]) * part
    expected = fftconvolve(chi, kernel)[tuple(slice(n - 1, 2 * n - 1) for n in shape)]
    np.testing.assert_allclose(field_of(chi, grid), expected, atol=1e-6)


def test_kernel_is_the_dipole_far_away():
    """At distance r a cuboid of volume V is the point dipole V/(4π r³)·(3cos²θ − 1), whatever its proportions."""
    n, size, b0_dir = 60, (1.0, 1.5, 2.0), AXIAL
    kernel = prism.diagonal((n, n, n), size, b0_dir)
    for i, j, k in ((0, 0, 50), (50, 0, 0), (30, 30, 30), (10, 40, 20)):
        x, y, z = i * size[0], j * size[1], k * size[2]
        r = np.sqrt(x * x + y * y + z * z)
        dipole = np.prod(size) / (4 * np.pi * r**3) * (3 * (z / r) ** 2 - 1)
        assert kernel[i, j, k] == pytest.approx(dipole, rel=2e-3, abs=1e-10)


def test_demagnetising_factors():
    """The trace of N is 1 in the cuboid and 0 outside, and that of a cube is 1/3 along each axis."""
    axes = [(1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0)]
    kernels = [prism.diagonal((4, 4, 4), (1, 2, 3), b) for b in axes]
    np.testing.assert_allclose(np.sum(kernels, axis=0), 0, atol=1e-6)  # 3·(1/3) − 1 = 0 inside, 0 outside
    assert prism.diagonal((2, 2, 2), (1, 1, 1), AXIAL)[0, 0, 0] == pytest.approx(0, abs=1e-7)


def test_linear():
    grid = Grid((20, 21, 18), (1, 1.2, 0.8), OBLIQUE)
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, *grid.shape)).astype(np.float32)
    np.testing.assert_allclose(field_of(2 * a - 3 * b, grid), 2 * field_of(a, grid) - 3 * field_of(b, grid), atol=1e-5)


def test_turning_the_grid_turns_the_field():
    """Exchanging the axes of χ, of the voxel size and of B0 together exchanges those of the field."""
    chi = np.random.default_rng(2).normal(size=(14, 10, 12)).astype(np.float32)
    field = field_of(chi, Grid(chi.shape, (1, 2, 3), OBLIQUE))
    bx, by, bz = OBLIQUE
    turned = field_of(chi.transpose(2, 0, 1), Grid((12, 14, 10), (3, 1, 2), (bz, bx, by)))
    np.testing.assert_allclose(turned, field.transpose(2, 0, 1), atol=1e-6)
    mirrored = field_of(chi[::-1], Grid(chi.shape, (1, 2, 3), (-bx, by, bz)))
    np.testing.assert_allclose(mirrored, field[::-1], atol=1e-6)


def test_ambient_medium_makes_no_field():
    """A uniform world is field-free: χ equal to that of the surroundings acts like nothing."""
    grid = Grid((16, 16, 16), (1, 1, 1))
    assert np.abs(field_of(np.full(grid.shape, 9.4), grid, ambient=9.4)).max() == 0


def test_same_on_any_number_of_threads(monkeypatch):
    grid = Grid((33, 30, 31), (1, 1, 1), OBLIQUE)
    chi = np.random.default_rng(3).normal(size=grid.shape).astype(np.float32)
    fields = []
    for n in ("1", "2", "3"):
        monkeypatch.setenv("QSMBENCH_THREADS", n)
        prism.spectra.cache_clear()
        fields.append(field_of(chi, grid))
    assert np.array_equal(fields[0], fields[1])
    assert np.array_equal(fields[0], fields[2])
