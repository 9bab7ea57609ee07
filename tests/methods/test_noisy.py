"""The control with noise: what it adds is the error of the field that this very scan gives."""

import numpy as np
import oracles
import pytest

import qsmbench as qb
from qsmbench.grid import Grid
from qsmbench.methods.controls.noisy import noisy
from qsmbench.spectra import spectrum
from qsmbench.units import rad_per_ppm

TE = np.array([0.005, 0.011, 0.02])
B0 = 3.0


@pytest.fixture
def scene():
    """A dipole's field on a coil phase next to π, with far more phase than π, and noise on the signal."""
    grid = Grid((36, 33, 30), (1.0, 1.2, 1.5), (0.0, 0.6, 0.8))
    x, y, z = grid.axes()
    mask = (x / 15) ** 2 + (y / 17) ** 2 + (z / 19) ** 2 < 1
    local = oracles.sphere_field((x, y, z), grid.b0_dir, (2, 1, 0), 5, 0.4) * mask
    total = (local + 0.02 * z + 0.5) * mask
    coil = np.full(grid.shape, 3.1)  # noise makes it wrap
    phase = coil[..., None] + rad_per_ppm(B0, 1.0) * total[..., None] * TE
    return grid, mask, local.astype(np.float32), total.astype(np.float32), phase


def scanned(phase, mask, sigma, seed):
    signal = mask[..., None] * np.exp(-20 * TE + 1j * phase)
    rng = np.random.default_rng(seed)
    signal = signal + sigma * (rng.standard_normal(signal.shape) + 1j * rng.standard_normal(signal.shape))
    return np.angle(signal).astype(np.float32), np.abs(signal).astype(np.float32)


def test_nothing_is_added_without_noise(scene):
    grid, mask, local, total, phase = scene
    found, found_total, _ = noisy(local, total, *scanned(phase, mask, 0, 0), mask, grid, TE, B0)
    np.testing.assert_allclose(found, local, atol=2e-4)
    np.testing.assert_allclose(found_total, total, atol=2e-4)


def test_the_noise_is_that_of_the_scan(scene):
    """Its size is that of the theory of the fit, it differs for another seed, and it is in both fields."""
    grid, mask, local, total, phase = scene
    errors = []
    for seed in (0, 1):
        field, whole, stated = noisy(local, total, *scanned(phase, mask, 0.02, seed), mask, grid, TE, B0)
        errors.append((field - local)[mask])
        np.testing.assert_allclose(whole - total, field - local, atol=1e-5)
    magnitude = np.exp(-20 * TE)
    theory = 0.02 / np.sqrt(np.sum((magnitude * TE) ** 2)) / rad_per_ppm(B0, 1.0)
    assert errors[0].std() == pytest.approx(theory, rel=0.05)
    assert np.median(stated[mask]) == pytest.approx(theory, rel=0.1)
    assert abs(np.corrcoef(errors)[0, 1]) < 0.05


def with_fat(scene, sigma, seed=0):
    """The scan of water and fat in one field with one R2*, and the true fat fraction and R2*."""
    grid, mask, _, _, phase = scene
    fraction = np.broadcast_to(np.clip(0.5 + grid.axes()[1] / 30, 0, 1), grid.shape).astype(np.float32)
    mixed = (1 - fraction[..., None]) + fraction[..., None] * spectrum("fat", 6).dephasing(TE, B0)
    signal = mask[..., None] * mixed * np.exp(-20 * TE + 1j * phase)
    rng = np.random.default_rng(seed)
    signal = signal + sigma * (rng.standard_normal(signal.shape) + 1j * rng.standard_normal(signal.shape))
    scan = np.angle(signal).astype(np.float32), np.abs(signal).astype(np.float32)
    return scan, fraction, np.full(grid.shape, 20, np.float32)


def test_the_phase_of_fat_is_no_error(scene):
    grid, mask, local, total, _ = scene
    scan, *true = with_fat(scene, 0)
    found, whole, _ = noisy(local, total, *scan, mask, grid, TE, B0, *true)
    np.testing.assert_allclose(found, local, atol=2e-4)
    np.testing.assert_allclose(whole, total, atol=2e-4)
    without, _, _ = noisy(local, total, *scan, mask, grid, TE, B0)
    assert np.median(np.abs(without - local)[mask & (true[0] > 0.8)]) > 0.1


def test_with_fat_the_noise_is_that_of_a_separation(scene):
    grid, mask, local, total, _ = scene
    scan, *true = with_fat(scene, 0.01)
    found, _, stated = noisy(local, total, *scan, mask, grid, TE, B0, *true)
    error = (found - local)[mask] / stated[mask]
    assert np.sqrt(np.median(error**2) / 0.455) == pytest.approx(1, rel=0.1)  # 0.455: of the square of a normal number
    assert not np.isnan(stated).any() and (stated[~mask] == 0).all()


def test_a_chain_reads_the_true_fat():
    """In an object of fat, the errors are those of noise, not those of the resonances of fat."""
    small = {"grid.voxel_size": [5, 5, 5], "snr": 50}
    scan = qb.simulate("sphere", "abdomen-3t", voxel_size=5, background="adipose", seed=0, set_protocol=small)
    assert scan.truth["signal_fat_fraction"][scan.mask].mean() > 0.8
    found = qb.reconstruct("truth.noisy", scan)
    error = found["local_field"] - scan.truth["local_field"]
    stated = found.steps["truth.noisy"].maps["field_noise"]
    assert np.median(np.abs(error / np.where(scan.mask, stated, 1))[scan.mask]) == pytest.approx(0.6745, rel=0.1)
