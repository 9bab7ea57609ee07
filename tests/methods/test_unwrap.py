"""Unwrapping and the field fit: known phase, noise, offsets at TE = 0, unequal echoes, parts of a mask."""

import numpy as np
import oracles
import pytest
from scipy.ndimage import binary_erosion

from qsmbench.grid import Grid
from qsmbench.methods.background.vsharp import vsharp
from qsmbench.methods.field.fit import fit
from qsmbench.methods.unwrap.laplacian import laplacian
from qsmbench.methods.unwrap.romeo import romeo
from qsmbench.units import rad_per_ppm

B0 = 3.0
ECHOES = {
    "one": [0.012],
    "two": [0.004, 0.011],
    "even": [0.005, 0.010, 0.015, 0.020],
    "uneven": [0.004, 0.012, 0.020, 0.028],
}


def scan(field, mask, te, offset=0.0, snr=40.0, r2star=25):
    """Wrapped phase and magnitude of a field [ppm] with R2* of `r2star` [1/s]; noise outside the mask."""
    te = np.array(te)
    rng = np.random.default_rng(0)
    phase = np.asarray(offset)[..., None] + rad_per_ppm(B0, 1.0) * field[..., None] * te
    signal = mask[..., None] * np.exp(-r2star * te + 1j * phase)
    signal = signal + (rng.standard_normal(signal.shape) + 1j * rng.standard_normal(signal.shape)) / snr
    return np.angle(signal).astype(np.float32), np.abs(signal).astype(np.float32), te


@pytest.fixture(scope="module")
def total(head):
    """A field whose phase turns by less than π from voxel to voxel, but for noise."""
    field = head.local_field + 0.3 * head.background
    return ((field - field[head.mask].mean() + 0.2) * head.mask).astype(np.float32)


@pytest.fixture(scope="module")
def offset(head):
    x, y, z = head.grid.axes()
    return (2 * np.sin(x / 35) + 1.5 * np.cos(y / 50 + z / 45) + 0.5).astype(np.float32)


@pytest.mark.parametrize("echoes", ECHOES)
@pytest.mark.parametrize("coil", [False, True])
def test_romeo_is_right_in_every_voxel(echoes, coil, head, total, offset):
    if coil and echoes == "one":
        pytest.skip("one echo cannot tell the offset from the field")
    phase, magnitude, te = scan(total, head.mask, ECHOES[echoes], coil * offset)
    unwrapped = romeo(phase, magnitude, head.mask, head.grid, te)
    turns = (unwrapped - phase)[head.mask] / (2 * np.pi)
    assert np.abs(turns - np.round(turns)).max() < 1e-5
    truth = coil * offset[..., None] + rad_per_ppm(B0, 1.0) * total[..., None] * te
    error = np.round((unwrapped - truth)[head.mask] / (2 * np.pi))
    # All echoes may share a whole turn where the offset wraps; they must agree with one another.
    assert (error != error[:, :1]).mean() < 1e-4
    if not coil:
        assert (error != 0).mean() < 1e-4


def test_romeo_finds_the_turns_that_uneven_echoes_share(head, total):
    """A mean field of more than half a turn between the first two echoes, which the third one gives away."""
    shifted = (total + 0.7 * head.mask).astype(np.float32)
    phase, magnitude, te = scan(shifted, head.mask, [0.004, 0.012, 0.017, 0.024], 0.8 * np.ones(head.grid.shape))
    unwrapped = romeo(phase, magnitude, head.mask, head.grid, te)
    field, _ = fit(unwrapped, magnitude, head.mask, head.grid, te, B0)
    assert np.abs(field - shifted)[head.mask].mean() < 0.005


def test_romeo_unwraps_each_part_of_the_mask(head, total):
    """Two halves with a gap between them, and one voxel alone; far from the cavities at the bottom."""
    x, y, z = head.grid.axes()
    mask = head.mask & (np.abs(x - y) > 5) & (z > -28)
    mask[2, 2, 2] = True
    field = (total + 0.04 * z).astype(np.float32)  # a gradient that wraps in both halves
    phase, magnitude, te = scan(field, head.mask, ECHOES["even"])
    unwrapped = romeo(phase, magnitude, mask, head.grid, te)
    turns = np.round((unwrapped - rad_per_ppm(B0, 1.0) * field[..., None] * te) / (2 * np.pi))
    for half in (x > y, x < y):
        half = mask & np.broadcast_to(half & (z > -28), mask.shape)
        assert (turns[half] == turns[half][0, 0]).mean() > 0.999
        assert (turns[half] == turns[half][:, :1]).mean() > 0.999
    assert np.isfinite(unwrapped).all()
    assert not unwrapped[~mask].any()


@pytest.mark.parametrize("echoes", ["one", "even"])
def test_laplacian_differs_by_a_harmonic_field(echoes, head, total):
    """Away from the outermost voxels, where neighbours are missing, the Laplacian is that of the true phase."""
    phase, _, te = scan(total, head.mask, ECHOES[echoes], snr=1e4)
    inner = binary_erosion(head.mask)
    unwrapped = laplacian(phase, head.mask, head.grid)
    for echo, t in enumerate(te):
        found = unwrapped[..., echo] / np.float32(rad_per_ppm(B0, t))
        local, _ = vsharp(found, inner, head.grid)
        expected, _ = vsharp(total, inner, head.grid)
        assert oracles.relative(local, expected) < 0.05


def test_laplacian_is_exact_where_the_mask_fills_the_volume():
    """Nothing is left out where the mask fills the box: then the phase comes back exactly, turns and all."""
    grid = Grid((54, 60, 48), (1.0, 1.2, 2.0))
    x, y, z = grid.axes()
    truth = (9 * np.sin(x / 9) * np.cos(y / 11) + 9 * np.sin(z / 16)).astype(np.float32)
    phase = np.angle(np.exp(1j * truth)).astype(np.float32)[..., None]
    found = laplacian(phase, np.ones(grid.shape, bool), grid, pad=0.0)[..., 0]
    np.testing.assert_allclose(found, truth, atol=2e-3)


@pytest.mark.parametrize("echoes", ECHOES)
def test_fit_is_unbiased_and_efficient(echoes, head, total):
    """The variance is near the Cramér–Rao bound of a fit that knows the phase at TE = 0."""
    te = np.array(ECHOES[echoes])
    phase, magnitude, _ = scan(total, head.mask, te, snr=100, r2star=80)
    truth = rad_per_ppm(B0, 1.0) * total[..., None] * te
    unwrapped = truth + np.angle(np.exp(1j * (phase - truth)))
    field, _ = fit(unwrapped, magnitude, head.mask, head.grid, te, B0)
    error = (field - total)[head.mask]
    bound = 1 / 100 / np.sqrt((np.exp(-160 * te) * te**2).sum()) / rad_per_ppm(B0, 1.0)
    assert error.std() == pytest.approx(bound, rel=0.04)
    assert abs(error.mean()) < 0.1 * bound


@pytest.mark.parametrize("echoes", ["two", "even", "uneven"])
@pytest.mark.parametrize("unwrap", ["romeo", "laplacian"])
def test_fit_takes_the_coil_phase_off(echoes, unwrap, head, total, offset):
    phase, magnitude, te = scan(total, head.mask, ECHOES[echoes], offset, snr=200)
    plain, _, _ = scan(total, head.mask, ECHOES[echoes], 0.0, snr=200)
    fields = []
    for p in (phase, plain):
        if unwrap == "romeo":
            unwrapped = romeo(p, magnitude, head.mask, head.grid, te)
        else:
            unwrapped = laplacian(p, head.mask, head.grid)
        fields.append(fit(unwrapped, magnitude, head.mask, head.grid, te, B0)[0])
    difference = (fields[0] - fields[1])[head.mask]
    assert difference.std() < 0.012
    assert abs(np.median(difference)) < 0.005


def test_fit_forgives_whole_turns_shared_by_all_echoes(head, total):
    te = np.array(ECHOES["even"])
    phase = (rad_per_ppm(B0, 1.0) * total[..., None] * te).astype(np.float32)
    magnitude = np.exp(-25 * te) * np.ones_like(phase)
    turned = phase.copy()
    turned[20:30, 20:25] += np.float32(2 * np.pi)
    plain, _ = fit(phase, magnitude, head.mask, head.grid, te, B0)
    field, _ = fit(turned, magnitude, head.mask, head.grid, te, B0)
    np.testing.assert_allclose(field, plain, atol=1e-4)


def test_fit_has_no_trouble_with_voxels_without_signal():
    grid = Grid((9, 8, 7), (1, 1.2, 2))
    mask = np.ones(grid.shape, bool)
    te = np.array([0.005, 0.01, 0.015])
    phase = np.ones((*grid.shape, 3), np.float32) * (rad_per_ppm(B0, 1.0) * 0.1 * te).astype(np.float32)
    magnitude = np.ones_like(phase)
    magnitude[4, 4, 4] = 0
    magnitude[2, 2, 2, 1:] = 0
    field, _ = fit(phase, magnitude, mask, grid, te, B0)
    np.testing.assert_allclose(field, 0.1, atol=1e-3)
