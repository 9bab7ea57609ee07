"""Dipole, differences, spheres, windows, smoothing: against formulas, analytic fields and operator properties."""

import numpy as np
import oracles
import pytest
import scipy.fft

from qsmbench import threads
from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid
from qsmbench.ops.arrays import fft
from qsmbench.ops.arrays.difference import gradient, gradient_adjoint, laplacian_spectrum
from qsmbench.ops.arrays.smooth import smooth_phase
from qsmbench.ops.kernels.dipole import dipole_kernel
from qsmbench.ops.kernels.sphere import smv_kernel, sphere_weights

OBLIQUE = (0.36, -0.48, 0.8)
SHAPES = [(24, 30, 20), (15, 21, 27), (16, 15, 18)]
SIZE = (1.0, 1.2, 2.0)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("b0_dir", [(0, 0, 1), OBLIQUE])
def test_dipole_kernel_is_the_formula_averaged_over_the_sign_of_nyquist(shape, b0_dir):
    expected = np.zeros(shape)
    k = [np.fft.fftfreq(n, d) for n, d in zip(shape, SIZE, strict=True)]
    for signs in np.ndindex(2, 2, 2):
        axes = []
        for n, axis, sign in zip(shape, k, signs, strict=True):
            axis = axis.copy()
            if n % 2 == 0 and sign:
                axis[n // 2] *= -1
            axes.append(axis)
        kx, ky, kz = np.meshgrid(*axes, indexing="ij")
        k2 = kx**2 + ky**2 + kz**2
        k2[0, 0, 0] = 1
        expected += (1 / 3 - (kx * b0_dir[0] + ky * b0_dir[1] + kz * b0_dir[2]) ** 2 / k2) / 8
    expected[0, 0, 0] = 0
    found = dipole_kernel(Grid(shape, SIZE, b0_dir), shape)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected[..., : shape[2] // 2 + 1], atol=2e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_dipole_convolution_is_self_adjoint(shape):
    kernel = dipole_kernel(Grid(shape, SIZE, OBLIQUE), shape)
    oracles.check_self_adjoint(lambda x: fft.convolve(x, kernel), shape)


def test_dipole_convolution_gives_the_field_of_a_sphere():
    shape, size = (80, 72, 45), (1.0, 1.1, 1.8)
    grid = Grid(shape, size, OBLIQUE)
    fine = grid.refine((3, 3, 5))
    x, y, z = fine.axes()
    chi = (x**2 + y**2 + z**2 <= 100).astype(np.float32)
    chi = chi.reshape(80, 3, 72, 3, 45, 5).mean(axis=(1, 3, 5))
    window = fft.Window.around(np.ones(shape, bool), grid, pad=80)
    field = fft.convolve(window.take(chi), dipole_kernel(grid, window.shape))
    field = window.put(field, np.ones(shape, bool))
    x, y, z = grid.axes()
    r = np.sqrt(x**2 + y**2 + z**2)
    expected = oracles.sphere_field((x, y, z), OBLIQUE, (0, 0, 0), 10, 1.0)
    shell = (r > 13) & (r < 25)
    # The kernel ends at Nyquist, so the sphere's sharp surface rings; swapped axes would cost far more than that.
    assert oracles.relative(field[shell], expected[shell]) < 0.06
    assert np.abs(field[r < 7]).max() < 0.03


@pytest.mark.parametrize("shape", SHAPES)
def test_gradient_has_its_adjoint_and_the_laplacian_its_spectrum(shape):
    grid = Grid(shape, SIZE)
    oracles.check_adjoint(lambda x: gradient(x, SIZE), lambda v: gradient_adjoint(v, SIZE), shape, (3, *shape))
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    by_spectrum = fft.convolve(x, laplacian_spectrum(grid, shape))
    assert oracles.relative(by_spectrum, gradient_adjoint(gradient(x, SIZE), SIZE)) < 1e-5


@pytest.mark.parametrize("size", [(1, 1, 1), SIZE, (0.7, 0.7, 3.0), (2.5, 0.8, 1.3)])
@pytest.mark.parametrize("radius", [3.0, 5.5, 12.0])
def test_sphere_keeps_harmonic_polynomials(size, radius):
    weights = sphere_weights(radius, size)
    x, y, z = np.meshgrid(
        *[(np.arange(n) - n // 2) * d for n, d in zip(weights.shape, size, strict=True)], indexing="ij"
    )
    x, y, z = x + 3, y - 2, z + 1  # the centre of the ball is at (3, −2, 1)
    for harmonic, value in (
        (np.ones_like(x), 1),
        (x - y, 5),
        (x * y + y * z, -8),
        (x**2 - z**2, 8),
        (2 * z**2 - x**2 - y**2, -11),
        (x**3 - 3 * x * y**2, -9),
        (z * (2 * z**2 - 3 * x**2 - 3 * y**2), -37),
    ):
        assert (weights * harmonic).sum() == pytest.approx(value, abs=1e-9 * radius**3)
    others = weights.copy()
    others[tuple(n // 2 for n in weights.shape)] = 0
    assert others.min() >= 0


def test_smv_kernel_has_unit_gain_and_the_volume_of_the_ball():
    grid = Grid((40, 41, 30), SIZE)
    kernel = smv_kernel(grid, grid.shape, 9.0)
    assert kernel[0, 0, 0] == pytest.approx(1, abs=1e-5)
    assert np.abs(kernel).max() <= 1 + 1e-5
    # The k-space of a ball: 3 j1(x)/x.
    k = np.sqrt(sum(a**2 for a in grid.kspace_axes()))
    x = 2 * np.pi * k * 9
    low = (x > 0) & (x < 4)
    expected = 3 * (np.sin(x[low]) - x[low] * np.cos(x[low])) / x[low] ** 3
    np.testing.assert_allclose(kernel[low], expected, atol=0.03)


@pytest.mark.parametrize("shape", [(9, 8, 7), (8, 7, 10)])
def test_hermitian_weights_give_parseval(shape):
    x = np.random.default_rng(0).standard_normal(shape)
    total = (np.abs(fft.rfftn(x)) ** 2 * fft.hermitian_weights(shape)).sum() / np.prod(shape)
    assert total == pytest.approx((x**2).sum(), rel=1e-6)


def test_window_puts_back_what_it_takes():
    mask = np.zeros((20, 21, 22), bool)
    mask[3:9, 5:20, 0:4] = True
    volume = np.random.default_rng(0).standard_normal(mask.shape).astype(np.float32)
    window = fft.Window.around(mask, Grid(mask.shape, SIZE), pad=5)
    assert window.box == (slice(3, 9), slice(5, 20), slice(0, 4))
    assert all(n >= s.stop - s.start + 5 / d for n, s, d in zip(window.shape, window.box, SIZE, strict=True))
    np.testing.assert_array_equal(window.put(window.take(volume), mask), volume * mask)


def test_fft_is_single_precision_and_the_same_on_any_number_of_threads(monkeypatch):
    x = np.random.default_rng(0).standard_normal((45, 40, 36)).astype(np.float32)
    results = []
    for n in ("1", "2", "5"):
        monkeypatch.setenv("QSMBENCH_THREADS", n)
        spectrum = fft.rfftn(x)
        assert spectrum.dtype == np.complex64
        results.append(fft.irfftn(spectrum, x.shape))
    assert results[0].dtype == np.float32
    np.testing.assert_allclose(results[0], x, atol=1e-5)
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


def test_number_of_threads(monkeypatch):
    monkeypatch.setenv("QSMBENCH_THREADS", "3")
    assert threads.n_threads() == 3
    for wrong in ("0", "-1", "many"):
        monkeypatch.setenv("QSMBENCH_THREADS", wrong)
        with pytest.raises(QsmbenchError, match="QSMBENCH_THREADS"):
            threads.n_threads()
    monkeypatch.delenv("QSMBENCH_THREADS")
    assert threads.n_threads() >= 1


def test_smooth_phase_ignores_wraps_and_what_lies_outside():
    grid = Grid((60, 50, 30), SIZE, OBLIQUE)
    x, y, z = grid.axes()
    truth = 4 * np.sin(x / 25) + y / 12 + z / 15
    mask = (x / 28) ** 2 + (y / 28) ** 2 + (z / 28) ** 2 < 1
    noise = np.random.default_rng(0).standard_normal(grid.shape)
    phase = np.where(mask, np.angle(np.exp(1j * (truth + 0.3 * noise))), 3 * noise).astype(np.float32)
    smooth = smooth_phase(phase, np.ones_like(phase), mask, grid, 4.0)
    error = np.angle(np.exp(1j * (smooth - truth)))[mask]
    assert np.sqrt((error**2).mean()) < 0.06
    assert not smooth[~mask].any()


def test_dct_is_threaded_identically():
    x = np.random.default_rng(0).standard_normal((20, 30, 25)).astype(np.float32)
    np.testing.assert_array_equal(scipy.fft.dctn(x, workers=1), scipy.fft.dctn(x, workers=3))
