"""The SNR that a scan has, from that of another: B0, voxel volume, time of sampling."""

import numpy as np
import pytest

from qsmbench.errors import QsmbenchError
from qsmbench.phantom.load import load
from qsmbench.scan.geometry import scan_geometry
from qsmbench.scan.protocol import load_protocol
from qsmbench.scan.receive import received
from qsmbench.scan.simulate import simulate
from qsmbench.scan.snr import region_mask, snr_of

AT = {"b0": 3.0, "voxel_size": 2, "bandwidth": 400}


def snr(voxel_size=2.0, b0=3.0, at=AT, **protocol):
    protocol = {"readout": {"bandwidth": 400}, **protocol}
    p = load_protocol("brain-3t", {"b0": b0, "snr": {"value": 100, "at": at}, **protocol})
    sphere = load("sphere", {"voxel_size": voxel_size})
    where = scan_geometry(sphere.grid(), sphere.supersampling, p.grid, gap=p.slices.gap if p.slices else 0)
    return snr_of(p.snr, where, p.b0, p.readout, p.kspace, p.slices is not None)


def test_the_scan_that_it_is_stated_for_has_it():
    assert snr() == pytest.approx(100)
    assert snr(voxel_size=1.0, b0=7.0, at=None) == 100


def test_proportional_to_b0():
    assert snr(b0=7.0) == pytest.approx(100 * 7 / 3)


def test_halved_voxels():
    """An eighth of the volume, and four times as many lines in the same field of view: 8/√4."""
    assert snr(voxel_size=1.0) == pytest.approx(100 / 4)


def test_thinner_along_the_readout_costs_volume_alone():
    assert snr(voxel_size=(1.0, 2.0, 2.0)) == pytest.approx(50)
    assert snr(voxel_size=(2.0, 1.0, 2.0)) == pytest.approx(100 / np.sqrt(2))


def test_bandwidth():
    assert snr(readout={"bandwidth": 1600}) == pytest.approx(50)


def test_a_smaller_matrix_is_larger_voxels():
    """The bandwidth is per pixel of the image: at the same one per acquired pixel, it is the scan of such voxels."""
    cut = {"fraction": [0.5, 0.5, 0.5]}
    assert snr(voxel_size=1.0, kspace=cut, readout={"bandwidth": 200}) == pytest.approx(100)
    assert snr(voxel_size=1.0, kspace=cut) == pytest.approx(100 / np.sqrt(2))


@pytest.mark.parametrize("key", ["fraction", "partial_fourier"])
@pytest.mark.parametrize("axis", range(3))
def test_samples_left_out(key, axis):
    """Those that are measured carry the same noise: σ of the image falls with the root of their share.

    So half of them, along the readout as along the others, have 141 for 100 in the reference scan.
    """
    share = [1.0, 1.0, 1.0]
    share[axis] = 0.5
    assert snr(kspace={key: share}) == pytest.approx(100 * np.sqrt(2))


def test_what_is_not_stated_is_this_scans():
    """Only B0 is stated, so only B0 counts, however k-space is cut."""
    cut = {"fraction": [0.7, 0.8, 1], "partial_fourier": [0.75, 0.6, 1]}
    assert snr(b0=1.5, at={"b0": 3.0}, kspace=cut) == pytest.approx(50)


def test_slices_do_not_share_their_time():
    """In 2D z is not phase-encoded: a thinner slice costs volume alone."""
    options = {"slices": {"gap": 1}, "grid": {"voxel_size": [2, 2, 4]}}
    thin = {**options, "grid": {"voxel_size": [2, 2, 2]}}
    at = {"voxel_size": [2, 2, 4], "bandwidth": 400}
    assert snr(at=at, **options) == pytest.approx(100)
    assert snr(at=at, **thin) == pytest.approx(50)


@pytest.mark.parametrize(
    "options",
    [
        {"snr": {"value": 40, "region": "sphere"}},
        {"snr": 40},
        {"snr": 40, "coils": {"count": 6}},
        {"snr": 40, "kspace": {"fraction": [0.6, 0.6, 1.0]}},
    ],
)
def test_the_delivered_scan_has_its_snr(options):
    """σ from the difference of two seeds, where the receiver is everywhere alike."""
    phantom = load("sphere", {"voxel_size": 4, "radius": 20})
    protocol = load_protocol("brain-3t", {"te": [0.005, 0.01], **options})
    s = simulate(phantom, protocol)
    a, b = (received(s.signal.copy(), protocol, s.params.grid, s.geometry.isocentre, s.sigma, seed) for seed in (1, 2))
    where = region_mask(protocol.snr.region, s.truth["labels"], s.regions, s.mask)
    mean = np.abs((a + b) / 2)[..., 0][where].mean()
    for e in range(2):
        noise = (a - b)[..., e] / np.sqrt(2)
        for part in (noise.real, noise.imag):
            assert part.std() == pytest.approx(s.sigma, rel=0.03)
    assert mean / s.sigma == pytest.approx(40, rel=0.01)


def test_unknown_region():
    protocol = load_protocol("brain-3t", {"snr": {"value": 40, "region": "spere"}})
    with pytest.raises(QsmbenchError, match=r"snr\.region is 'spere'; choose from sphere"):
        simulate(load("sphere", {"voxel_size": 6}), protocol)
