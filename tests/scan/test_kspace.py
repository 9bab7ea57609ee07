"""What is measured of k-space, what the readout shifts, and the noise of it."""

import numpy as np
import pytest

from qsmbench.grid import Grid
from qsmbench.scan.kspace import KSpace, keep_measured, measured_frequencies, multiply_spectrum, sampled_fraction
from qsmbench.scan.noise import add_noise
from qsmbench.scan.readout import Readout, chemical_shift, direction, distort, eddy_phase
from qsmbench.spectra import spectrum
from qsmbench.units import hz_per_ppm


def noise_like(shape, seed=0):
    return np.random.default_rng(seed).normal(size=(*shape, 2)).astype(np.float32).view(np.complex64)[..., 0]


def test_how_much_is_measured():
    assert measured_frequencies(8).all()
    assert np.flatnonzero(measured_frequencies(8, 0.5)).tolist() == [0, 1, 6, 7]  # −2 … 1
    assert np.flatnonzero(measured_frequencies(9, 5 / 9)).tolist() == [0, 1, 2, 7, 8]
    assert np.flatnonzero(measured_frequencies(8, 1, 0.75)).tolist() == [0, 1, 2, 3, 6, 7]  # −2 … 3
    for n in (7, 8, 100, 101):
        for fraction in (0.3, 0.5, 0.75):
            assert measured_frequencies(n, fraction).sum() == round(n * fraction)
            assert measured_frequencies(n, fraction, 0.5)[0]


def test_all_of_it_is_the_image():
    image = noise_like((6, 7, 8, 2))
    assert keep_measured(image, KSpace()) is image


def test_what_is_measured_stays_and_the_rest_is_zero():
    image = noise_like((12, 10, 9, 2))
    kspace = KSpace(fraction=(0.5, 1, 0.8), partial_fourier=(1, 0.75, 1))
    before, after = (np.fft.fftn(a, axes=(0, 1, 2)) for a in (image, keep_measured(image, kspace)))
    windows = [measured_frequencies(n, *f) for n, f in zip(image.shape, ((0.5, 1), (1, 0.75), (0.8, 1)), strict=False)]
    kept = windows[0][:, None, None] & windows[1][None, :, None] & windows[2][None, None, :]
    np.testing.assert_allclose(after, before * kept[..., None], atol=1e-4)
    assert sampled_fraction(kspace, image.shape) == pytest.approx(kept.mean())


def test_edge_rings_as_gibbs_says():
    """The overshoot beside a step is 8.949 % of it, however fine the image."""
    step = np.zeros((4096, 1, 1, 1), np.complex64)
    step[1024:3072] = 1
    rung = keep_measured(step, KSpace(fraction=(1 / 32, 1, 1))).real.ravel()
    from scipy.special import sici

    assert rung.max() - 1 == pytest.approx(sici(np.pi)[0] / np.pi - 0.5, abs=2e-3)


def test_fat_moves_by_its_shift_over_the_bandwidth():
    """At 200 Hz per pixel and 3 T the centre of gravity lies Σ a·δ·γ̄B0/200 pixels away; backwards in even echoes."""
    n, bandwidth, b0, fat = 128, 200.0, 3.0, spectrum("fat")
    readout = Readout(bandwidth=bandwidth, polarity="bipolar")
    blob = np.exp(-((np.arange(n) - 64) ** 2) / (2 * 6.0**2)).astype(np.complex64)[:, None, None, None]
    te = np.array([1e-9, 2e-9])  # no dephasing among the peaks, so that the image is a sum of shifted ones
    moved = multiply_spectrum(np.repeat(blob, 2, -1), chemical_shift(n, fat, readout, te, b0), 0).real[:, 0, 0]
    amplitude = np.array(fat.amplitude) / np.sum(fat.amplitude)
    expected = amplitude @ np.array(fat.shift) * hz_per_ppm(b0) / bandwidth
    assert expected < -1.8
    centres = (np.arange(n) @ moved) / moved.sum(axis=0) - 64
    np.testing.assert_allclose(centres, [expected, -expected], atol=1e-3)


def test_fat_of_a_very_fast_readout_stays_and_keeps_its_spectrum():
    te = np.array([0.004, 0.009])
    factor = chemical_shift(32, spectrum("fat"), Readout(bandwidth=1e9), te, 3.0)
    np.testing.assert_allclose(factor, np.broadcast_to(spectrum("fat").dephasing(te, 3.0), (32, 2)), atol=1e-5)


@pytest.mark.parametrize("axis", ["x", "z"])
def test_field_moves_the_signal_by_its_offset_over_the_bandwidth(axis):
    """0.5 ppm at 3 T are 63.9 Hz: at 20 Hz per pixel 3.19 pixels, forwards in odd echoes and backwards in even ones."""
    n, b0, offset = 64, 3.0, 0.5
    readout = Readout(axis=axis, bandwidth=20.0, polarity="bipolar", distortion=True)
    blob = np.exp(-((np.arange(n) - 32) ** 2) / (2 * 5.0**2)).astype(np.complex64)
    image = np.zeros((n, 2, n, 2), np.complex64)
    image[...] = blob[:, None, None, None] if axis == "x" else blob[None, None, :, None]
    field = np.full((n, 2, n), offset, np.float32)
    moved = np.abs(np.moveaxis(distort(image, field, readout, b0), readout.along, 0))[:, 0, 0]
    centres = (np.arange(n) @ moved) / moved.sum(axis=0) - 32
    expected = offset * hz_per_ppm(b0) / 20
    np.testing.assert_allclose(centres, [expected, -expected], atol=1e-3)


def test_no_field_no_distortion():
    image = noise_like((8, 6, 5, 2))
    still = distort(image, np.zeros((8, 6, 5), np.float32), Readout(bandwidth=100, distortion=True), 3.0)
    np.testing.assert_allclose(still, image, atol=1e-5)


def test_phase_alternates_and_its_mean_over_two_echoes_is_none():
    grid = Grid((6, 5, 4), (10, 10, 10))
    phase = eddy_phase(Readout(eddy=[0.2, 0.6]), 4, grid)
    assert np.all(phase[..., ::2] == -phase[..., 1::2])
    x = (np.arange(6) - 2.5) * 10 / 100
    np.testing.assert_allclose(phase[:, 0, 0, 0], 0.2 + 0.6 * x, atol=1e-6)
    assert direction(Readout(), 3).tolist() == [1, 1, 1]
    assert direction(Readout(polarity="bipolar"), 3).tolist() == [1, -1, 1]


def test_noise_has_its_sigma_and_the_spectrum_of_what_is_measured():
    """Zero filling correlates neighbours as the Dirichlet kernel says, and σ is that of the image."""
    shape, kspace = (64, 64, 32, 2), KSpace(fraction=(0.5, 1, 1), partial_fourier=(1, 0.75, 1))
    noise = add_noise(np.zeros(shape, np.complex64), 0.3, np.random.default_rng(0), kspace)
    for part in (noise.real, noise.imag):
        np.testing.assert_allclose(part.std(axis=(0, 1, 2)), 0.3, rtol=0.01)
    spectrum = np.fft.fftn(noise, axes=(0, 1))
    assert np.abs(spectrum[~measured_frequencies(64, 0.5)]).max() < 1e-3
    assert np.abs(spectrum[:, ~measured_frequencies(64, 1, 0.75)]).max() < 1e-3
    correlation = np.mean(noise[1:] * noise[:-1].conj()) / np.mean(np.abs(noise) ** 2)
    expected = np.mean(np.exp(2j * np.pi * np.fft.fftfreq(64)[measured_frequencies(64, 0.5)]))
    assert abs(correlation - expected) < 0.01
    assert np.array_equal(
        add_noise(np.zeros(shape, np.complex64), 0.3, np.random.default_rng(0), KSpace()),
        add_noise(np.zeros(shape, np.complex64), 0.3, np.random.default_rng(0)),
    )
