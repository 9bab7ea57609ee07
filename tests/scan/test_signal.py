"""The multi-echo signal and its noise against what physics says."""

import numpy as np
import pytest
from objects import protons

from qsmbench.phantom.species import FAT
from qsmbench.scan.noise import add_noise, sigma_for
from qsmbench.scan.signal import spoiled_gre
from qsmbench.spectra import spectrum
from qsmbench.units import GAMMA_BAR

TE = np.array([0.004, 0.010, 0.013, 0.025])
ONE = (1, 1, 1)


def acquire(field=0.0, pd=1.0, t1=1.0, r2star=0.0, fat=0.0, factor=ONE, shape=(4, 3, 2), te=TE, b0=3.0, **scan):
    field = np.broadcast_to(np.asarray(field, np.float32), shape).copy()
    scan = {"te": te, "tr": scan.get("tr", 0.05), "flip_angle": scan.get("flip_angle", 15.0), "b0": b0}
    water = spoiled_gre(field, protons(shape, np.float32(1 - fat) * pd, t1, r2star), factor, **scan)
    return spoiled_gre(field, protons(shape, fat * pd, t1, r2star, FAT), factor, **scan, out=water)


def test_phase_is_proportional_to_te_and_b0():
    field = 0.02
    for b0 in (1.5, 3.0, 7.0):
        phase = np.angle(acquire(field, b0=b0))[0, 0, 0]
        np.testing.assert_allclose(phase, 2 * np.pi * GAMMA_BAR * b0 * field * 1e-6 * TE, rtol=1e-5)


def test_paramagnetic_phase_grows():
    assert np.all(np.diff(np.angle(acquire(field=0.01))[0, 0, 0]) > 0)


def test_ernst_formula_and_decay():
    signal = np.abs(acquire(pd=0.8, t1=1.2, r2star=20.0, tr=0.03, flip_angle=20.0))[0, 0, 0]
    e1, a = np.exp(-0.03 / 1.2), np.deg2rad(20.0)
    expected = 0.8 * np.sin(a) * (1 - e1) / (1 - e1 * np.cos(a)) * np.exp(-20.0 * TE)
    np.testing.assert_allclose(signal, expected, rtol=1e-5)


def test_no_flip_no_signal():
    assert np.abs(acquire(flip_angle=1e-9)).max() < 1e-9


def test_ernst_angle_is_the_best():
    t1, tr = 1.0, 0.05
    best = np.rad2deg(np.arccos(np.exp(-tr / t1)))
    at = [np.abs(acquire(t1=t1, tr=tr, flip_angle=best + d))[0, 0, 0, 0] for d in (-1, 0, 1)]
    assert at[1] == max(at)


@pytest.mark.parametrize("across", [0.02, 0.15, 0.5, 2.0])
@pytest.mark.parametrize("n", [1, 2, 4, 64])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_dephasing_within_the_voxel_follows_the_sinc(axis, n, across):
    """A linear field, in ppm over the voxel, dephases by the sinc, however many sub-voxels the voxel has."""
    factor, shape = [1, 1, 1], [1, 1, 1]
    factor[axis], shape[axis] = n, 3 * n  # a voxel between two others
    field = across * ((np.arange(3 * n) + 0.5) / n - 1.5)
    te = np.array([0.004, 0.010, 0.013, 0.025, 0.040])
    grid = [1, 1, 1]
    grid[axis] = -1
    signal = acquire(field.reshape(grid), factor=tuple(factor), shape=tuple(shape), te=te)
    middle = np.take(signal, 1, axis).reshape(-1)
    flat = np.abs(acquire(shape=(1, 1, 1), te=te))[0, 0, 0]
    np.testing.assert_allclose(middle, flat * np.sinc(GAMMA_BAR * 3.0 * across * 1e-6 * te), atol=2e-7)


def test_steep_field_does_not_come_into_phase_again():
    """0.5 ppm over a voxel at 3 T and 40 ms leave 0.12 of the signal; two sub-voxels without slope would show 0.64."""
    field = 0.5 * ((np.arange(6) + 0.5) / 2 - 1.5)
    signal = acquire(field[:, None, None], factor=(2, 1, 1), shape=(6, 1, 1), te=np.array([0.04]))
    flat = acquire(shape=(1, 1, 1), te=np.array([0.04]))
    assert np.abs(signal[1] / flat).item() == pytest.approx(0.123, abs=1e-3)


def test_slopes_along_several_axes_multiply():
    across = np.array([0.3, -0.2, 0.9])
    n = [(np.arange(6) + 0.5) / 2 - 1.5 for _ in range(3)]
    field = across[0] * n[0][:, None, None] + across[1] * n[1][:, None] + across[2] * n[2]
    signal = acquire(field, r2star=10.0, factor=(2, 2, 2), shape=(6, 6, 6))[1, 1, 1]
    flat = acquire(r2star=10.0, shape=(1, 1, 1))[0, 0, 0]
    turns = GAMMA_BAR * 3e-6 * across * TE[:, None]
    np.testing.assert_allclose(signal, flat * np.sinc(turns).prod(axis=1), atol=2e-7)


def test_signal_is_the_mean_over_sub_voxels():
    rng = np.random.default_rng(0)
    field = rng.normal(0, 0.1, (4, 6, 6)).astype(np.float32)
    fine = acquire(field, r2star=30.0, fat=0.3, shape=field.shape)
    coarse = acquire(field, r2star=30.0, fat=0.3, shape=field.shape, factor=(2, 3, 2))
    mean = fine.reshape(2, 2, 2, 3, 3, 2, len(TE)).mean(axis=(1, 3, 5))
    np.testing.assert_allclose(coarse, mean, rtol=1e-4, atol=1e-7)


def test_unequal_echo_spacing_equals_one_echo_at_a_time():
    together = acquire(field=0.3, r2star=25.0, fat=0.4)
    for e, te in enumerate(TE):
        alone = acquire(field=0.3, r2star=25.0, fat=0.4, te=np.array([te]))
        np.testing.assert_allclose(together[..., e], alone[..., 0], rtol=1e-5)


def test_fat_is_opposed_then_in_phase():
    """The main peak lies 3.4 ppm below water: 434 Hz at 3 T, so opposed at 1.15 ms and in phase at 2.30 ms."""
    opposed, in_phase = spectrum("fat").dephasing(np.array([1.15e-3, 2.30e-3]), 3.0)
    assert opposed.real < -0.6
    assert in_phase.real > 0.75
    assert abs(spectrum("fat").dephasing(np.array([0.0]), 3.0)[0] - 1) < 1e-12


def test_noise_is_one_sigma_for_all_echoes_and_both_parts():
    signal = acquire(r2star=80.0, shape=(60, 60, 60))
    mask = np.ones(signal.shape[:3], bool)
    sigma = sigma_for(50.0, np.abs(signal), mask)
    noise = add_noise(signal.copy(), sigma, np.random.default_rng(4)) - signal
    assert sigma == pytest.approx(np.abs(signal[0, 0, 0, 0]) / 50)
    for part in (noise.real, noise.imag):
        np.testing.assert_allclose(part.std(axis=(0, 1, 2)), sigma, rtol=0.01)
        np.testing.assert_allclose(part.mean(axis=(0, 1, 2)), 0, atol=0.02 * sigma)
    assert abs(np.mean(noise.real * noise.imag)) < 0.01 * sigma**2


def test_seed_decides_the_noise():
    signal = np.zeros((5, 5, 5, 2), np.complex64)
    a, b, c = (add_noise(signal.copy(), 1.0, np.random.default_rng(s)) for s in (1, 1, 2))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_air_is_silent():
    assert np.abs(acquire(field=5.0, pd=0.0, t1=0.0)).max() == 0
