"""2D slices: what they average over, and what a gradient across them does."""

import numpy as np
import pytest
from objects import protons

from qsmbench.phantom.load import load
from qsmbench.scan.blocks import block_mean
from qsmbench.scan.protocol import load_protocol
from qsmbench.scan.signal import spoiled_gre
from qsmbench.scan.simulate import simulate
from qsmbench.scan.slices import Slices, profile, slice_mean
from qsmbench.units import GAMMA_BAR


def test_box_covers_the_thickness_exactly():
    for n in (1, 5, 12, 13):
        flip, share = profile(Slices(gap=1), 5.0, n)
        assert share.sum() * 6 / n == pytest.approx(5)
        assert np.all(flip == 1)
        np.testing.assert_allclose(share, share[::-1], atol=1e-12)


def test_gaussian_has_its_half_height_at_the_faces():
    flip, share = profile(Slices(gap=1, profile="gaussian"), 5.0, 60)
    middles = ((np.arange(60) + 0.5) / 60 - 0.5) * 6
    assert np.interp(2.5, middles, flip) == pytest.approx(0.5, abs=1e-3)
    assert np.all(share == 1)


def test_without_gap_a_box_is_the_plain_mean():
    volume = np.random.default_rng(0).normal(size=(4, 6, 8)).astype(np.float32)
    _, share = profile(Slices(), 5.0, 4)
    np.testing.assert_allclose(slice_mean(volume, (2, 3, 4), share), block_mean(volume, (2, 3, 4)), atol=1e-6)


@pytest.mark.parametrize("gap", [0.0, 1.0])
def test_gradient_across_a_box_dephases_as_the_sinc_of_the_thickness(gap):
    """5 mm count, whatever the gap: |sinc(γ̄·B0·G·thickness·TE)|."""
    n, thickness, gradient, te = 120, 5.0, 0.03, np.array([0.01, 0.022])  # ppm per mm
    z = ((np.arange(n) + 0.5) / n - 0.5) * (thickness + gap)
    ones = np.ones((1, 1, n), np.float32)
    field = (gradient * z).astype(np.float32)[None, None]
    sliced = profile(Slices(gap=gap), thickness, n)
    scan = {"te": te, "tr": 0.6, "flip_angle": 20.0, "b0": 3.0, "profile": sliced}
    signal = np.abs(spoiled_gre(field, protons(ones.shape), (1, 1, n), **scan))[0, 0, 0]
    flat = np.abs(spoiled_gre(0 * field, protons(ones.shape), (1, 1, n), **scan))[0, 0, 0]
    np.testing.assert_allclose(signal / flat, np.abs(np.sinc(GAMMA_BAR * 3e-6 * gradient * thickness * te)), atol=1e-3)


def test_flip_angle_follows_the_profile():
    """Each sub-slice is a spoiled gradient echo of its own flip angle."""
    n, flip, t1, tr = 12, 90.0, 1.2, 0.6
    angles, share = profile(Slices(gap=1, profile="gaussian"), 5.0, n)
    ones = np.ones((1, 1, n), np.float32)
    scan = {"te": np.array([0.001]), "tr": tr, "flip_angle": flip, "b0": 3.0, "profile": (angles, share)}
    signal = spoiled_gre(0 * ones, protons(ones.shape, t1=t1), (1, 1, n), **scan).item()
    a, e1 = np.deg2rad(flip) * angles, np.exp(-tr / t1)
    assert signal.real == pytest.approx(np.mean(np.sin(a) * (1 - e1) / (1 - e1 * np.cos(a))), rel=1e-5)


def test_slices_of_a_sphere_hold_its_sections():
    """χ of a slice is the share of its thickness that the sphere fills: the gap does not count."""
    phantom = load("sphere", {"radius": 20})
    grid = {"voxel_size": [4, 4, 5], "supersampling": [2, 2, 12]}
    protocol = load_protocol("brain-3t", {"snr": None, "te": [0.01], "slices": {"gap": 1}, "grid": grid})
    chi = simulate(phantom, protocol).truth["chi"]
    z = (np.arange(chi.shape[2]) - (chi.shape[2] - 1) / 2) * 6

    def volume(z):  # of the sphere below z
        z = np.clip(z, -20, 20)
        return np.pi * (400 * z - z**3 / 3)

    expected = volume(z + 2.5) - volume(z - 2.5)
    np.testing.assert_allclose(chi.sum(axis=(0, 1)) * 16 * 5, expected, atol=0.01 * expected.max())
