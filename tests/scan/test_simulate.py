"""A whole simulation: what its truth means, and that signal and truth belong together."""

import numpy as np
import pytest
from scipy import ndimage

from qsmbench.phantom.load import load
from qsmbench.scan.blocks import block_mean, majority, repeat
from qsmbench.scan.protocol import load_protocol
from qsmbench.scan.simulate import local_source, simulate
from qsmbench.units import rad_per_ppm

PROTOCOL = {"snr": None, "phase_offset": [], "shim_order": 0}


@pytest.fixture(scope="module")
def sphere():
    phantom = load("sphere", {"voxel_size": 3.0, "b0_dir": [0.6, 0.0, 0.8]})
    return simulate(phantom, load_protocol("brain-3t", PROTOCOL))


@pytest.fixture(scope="module")
def head():
    return simulate(load("head", {"voxel_size": 3.0}), load_protocol("brain-3t", {**PROTOCOL, "shim_order": 2}))


def test_phase_is_that_of_the_true_field(sphere):
    """Far from the surface no voxel dephases, so that the phase is 2π·γ̄·B0·ΔB·TE of the true total field."""
    inside = ndimage.binary_erosion(sphere.mask, iterations=2)
    inside &= ~ndimage.binary_dilation(np.abs(np.gradient(sphere.truth["chi"])).max(0) > 0, iterations=2)
    for e, te in enumerate(sphere.params.te):
        turned = sphere.signal[..., e] * np.exp(-1j * sphere.truth["total_field"] * rad_per_ppm(3.0, te))
        assert np.abs(np.angle(turned[inside])).max() < 0.02


def test_grid_and_b0_are_those_asked_for(sphere):
    assert sphere.params.grid.voxel_size == (3.0, 3.0, 3.0)
    np.testing.assert_allclose(sphere.params.grid.b0_dir, (0.6, 0, 0.8))
    assert sphere.signal.shape == (*sphere.params.grid.shape, 8)


def test_local_field_has_no_reference(sphere):
    """Adding a uniform χ to all of the mask leaves the local field's source as it is."""
    chi, mask = sphere.truth["chi"], sphere.mask
    source = local_source(chi, mask)
    np.testing.assert_allclose(local_source(chi + 0.7 * mask, mask), source, atol=1e-6)
    assert abs(source[mask].mean()) < 1e-7
    assert np.abs(source[~mask]).max() == 0


def test_background_field_is_harmonic_in_the_mask(head):
    """Total minus local field has no source in the mask: its Laplacian vanishes there, that of the local field not."""
    inside = ndimage.binary_erosion(head.mask, iterations=4)
    total, local = head.truth["total_field"], head.truth["local_field"]

    def laplacian(f):
        return ndimage.laplace(f.astype(float))[inside]

    assert np.abs(laplacian(total - local)).mean() < 0.02 * np.abs(laplacian(local)).mean()


def test_shim_takes_the_smooth_field_away(head):
    """What is left in the mask has no part that the shim could still remove."""
    from qsmbench.scan.harmonics import fit

    left = fit(head.truth["total_field"], head.mask, head.params.grid, 2)
    assert np.abs(left).max() < 1e-4


def test_truth_of_a_head(head):
    chi = head.truth["chi"]
    assert chi[0, 0, -1] == pytest.approx(9.4)  # air
    volume = head.mask.sum() * head.params.grid.voxel_volume / 1e6
    assert 1.2 < volume < 2.0  # litres
    assert chi[head.mask].std() < 0.1


def test_the_rates_of_relaxation_add_up(head):
    """R2* = R2 + R2′, and R2 is that of the tissues: low in CSF."""
    r2, r2prime, r2star = (head.truth[name] for name in ("r2", "r2prime", "r2star"))
    np.testing.assert_allclose(r2 + r2prime, r2star, atol=1e-4)
    index = {name: i for i, name, _ in head.regions}
    tissue, fluid = (r2[head.truth["labels"] == index[name]] for name in ("white_matter", "lateral_ventricle"))
    assert np.median(tissue) > 5 > np.median(fluid) > 0


def test_finer_sub_voxels_change_the_field_little():
    """Even of 5 mm voxels, 2×2×2 sub-voxels give the field of 4×4×4 to 5 % in the mask."""
    fields = []
    for n in (2, 4):
        phantom = load("head", {"voxel_size": 5.0, "supersampling": n})
        fields.append(simulate(phantom, load_protocol("brain-3t", {**PROTOCOL, "shim_order": 2})))
    mask = fields[1].mask & fields[0].mask
    a, b = (f.truth["total_field"][mask] for f in fields)
    error = np.linalg.norm((a - a.mean()) - (b - b.mean())) / np.linalg.norm(b - b.mean())
    assert error < 0.05


def test_same_seed_same_scan(sphere):
    again = simulate(
        load("sphere", {"voxel_size": 3.0, "b0_dir": [0.6, 0.0, 0.8]}), load_protocol("brain-3t", PROTOCOL)
    )
    assert np.array_equal(again.signal, sphere.signal)
    for name, volume in sphere.truth.items():
        assert np.array_equal(again.truth[name], volume)


def test_blocks():
    volume = np.arange(4 * 6 * 2, dtype=np.float32).reshape(4, 6, 2)
    expected = volume.reshape(2, 2, 2, 3, 2, 1).mean(axis=(1, 3, 5))
    np.testing.assert_allclose(block_mean(volume, (2, 3, 1)), expected)
    labels = np.array([5, 5, 3, 7, 7, 3, 3, 5], np.uint8).reshape(2, 2, 2)
    assert majority(labels, (2, 2, 2)).item() == 3  # three times 3, three times 5: the smaller
    assert np.array_equal(repeat(np.array([[[True, False]]]), (1, 2, 3))[0, 1], [True] * 3 + [False] * 3)
