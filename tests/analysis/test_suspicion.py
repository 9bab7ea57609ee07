"""What a submitted map looks like: each mistake is named with its number, and an ordinary map is not suspected."""

import numpy as np
import pytest
from scipy import ndimage

from qsmbench.analysis.suspicion import suspicions
from qsmbench.units import hz_per_ppm, rad_per_ppm

SHAPE = (30, 34, 28)
TE = (0.004, 0.012)


def head(seed=0, place=(0.0, 0.0, 0.0)):
    """A smooth map within an ellipsoid, symmetric along the first axis but for a tenth, as a head is."""
    rng = np.random.default_rng(seed)
    x, y, z = (np.linspace(-1, 1, n) - p for n, p in zip(SHAPE, place, strict=True))
    mask = (x / 0.8)[:, None, None] ** 2 + (y / 0.85)[:, None] ** 2 + ((z + 0.05) / 0.7) ** 2 < 1
    one = ndimage.gaussian_filter(rng.normal(size=SHAPE), 2)
    symmetric = one + one[::-1]
    chi = symmetric / symmetric.std() + 0.3 * ndimage.gaussian_filter(rng.normal(size=SHAPE), 2) / one.std()
    return np.where(mask, 0.05 * chi, 0), mask


CHI, MASK = head()
NOISE = np.random.default_rng(1).normal(size=SHAPE)


def kinds(estimate, truth=CHI, artifact="chi", mask=MASK):
    found = suspicions(estimate, truth, mask, artifact=artifact, b0=3.0, te=TE)
    assert all("\n" not in s.text for s in found)
    return [s.kind for s in found], " ".join(s.text for s in found)


@pytest.mark.parametrize(
    "estimate",
    [
        CHI,
        CHI + 0.3,
        0.4 * CHI,
        1.6 * CHI,
        CHI + 0.05 * NOISE,
        np.where(MASK, ndimage.gaussian_filter(CHI, 1.0), 0),
        np.where(ndimage.binary_erosion(MASK, iterations=3), CHI, 0),
        np.round(CHI * 1e4) / 1e4,
        np.zeros(SHAPE),
        0 * CHI + 0.1,
    ],
)
def test_ordinary_maps_are_not_suspected(estimate):
    assert kinds(estimate) == ([], "")


@pytest.mark.parametrize(
    ("factor", "name"),
    [
        (1000.0, "ppb (slope 1000"),
        (700.0, "ppb"),
        (1e-6, "a ratio"),
        (hz_per_ppm(3), "Hz"),
        (-1000.0, "ppb"),
        (0.0796, "ppm of the CGS system"),
    ],
)
def test_a_map_of_chi_in_another_unit(factor, name):
    found, text = kinds(factor * CHI)
    assert "unit" in found
    assert f"looks like {name}" in text


@pytest.mark.parametrize(
    ("factor", "name"),
    [
        (hz_per_ppm(3), "Hz"),
        (2 * np.pi * hz_per_ppm(3), "rad/s"),
        (rad_per_ppm(3, 0.004), "radians at TE 4 ms"),
        (rad_per_ppm(3, 0.012), "radians at TE 12 ms"),
    ],
)
def test_a_field_in_another_unit(factor, name):
    found, text = kinds(factor * CHI, artifact="local_field")
    assert found == ["unit"]
    assert f"looks like {name} (slope {factor:.4g}" in text


def test_rates_in_ms():
    rate = np.where(MASK, 20 + 100 * CHI, 0)
    assert kinds(rate / 1000, rate, "r2star")[0] == ["unit"]


@pytest.mark.parametrize(("factor", "unit"), [(1.0, "s"), (1000.0, "ms")])
def test_times_in_place_of_rates(factor, unit):
    rate = np.where(MASK, 30 * np.exp(5 * CHI), 0)
    time = np.divide(factor, rate, out=np.zeros(SHAPE), where=MASK)
    found, text = kinds(time, rate, "r2star")
    assert found == ["unit"]
    assert f"looks like a time in {unit}, not a rate (its inverse correlates with the truth by 1.00)" in text


def test_the_opposite_sign():
    assert kinds(-CHI) == (["sign"], "looks like the opposite sign (correlation -1.00)")
    dia = np.abs(CHI)
    found, text = kinds(-dia, dia, "chi_dia")
    assert found == ["sign"]
    assert text == "is negative in 100 % of its voxels; a positive magnitude is expected"


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_flipped_axis(axis, sign):
    """Also along the axis about which a head is nearly its own mirror image."""
    found, text = kinds(sign * np.flip(CHI, axis))
    assert found == ["axis"]
    assert ("first", "second", "third")[axis] in text


def test_two_flipped_and_two_swapped_axes():
    assert "flipped along its second and third axes" in kinds(CHI[:, ::-1, ::-1])[1]
    cube, mask = np.zeros((34, 34, 34)), np.zeros((34, 34, 34), bool)
    cube[2:32, :, 3:31], mask[2:32, :, 3:31] = CHI, MASK
    assert "second and third axes swapped" in kinds(cube.swapaxes(1, 2), cube, mask=mask)[1]


def test_a_part_that_was_left_out_does_not_hide_a_flip():
    """Of a map with zeros in half of the mask, in a volume in which the object is not in the middle."""
    wide = [(0, 0), (0, 0), (0, 9)]
    chi, mask = np.pad(CHI, wide), np.pad(MASK, wide)
    rng = np.random.default_rng(0)
    part = mask & (rng.random(mask.shape) < 0.5)
    estimate = np.where(part, chi + 0.5 * chi[mask].std() * rng.standard_normal(chi.shape), 0.0)
    for axes in (1, 2, (1, 2)):  # left and right are nearly alike, and so told apart without noise only
        assert "axis" in {x.kind for x in suspicions(np.flip(estimate, axes), chi, mask, artifact="chi", b0=3.0)}
    assert suspicions(estimate, chi, mask, artifact="chi", b0=3.0) == []


def test_a_map_that_lies_elsewhere():
    assert "moved by (0, 0, -1) voxels" in kinds(np.roll(CHI, 1, 2))[1]
    assert "moved by (0, 2, 0) voxels" in kinds(np.roll(CHI, -2, 1))[1]


def test_another_subject():
    other, _ = head(seed=5, place=(0.1, -0.1, 0.05))
    found, text = kinds(other)
    assert "object" in found
    assert "another subject" in text
    assert "object" in kinds(NOISE)[0]


def test_another_mask():
    other = np.roll(MASK, 3, 1)
    found, text = kinds(np.where(other, CHI + 0.01, 0))
    assert "object" in found
    assert "of its voxels outside the truth's mask" in text
