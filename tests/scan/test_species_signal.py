"""The signal of water and fat in one voxel: against sums over sub-voxels, species and peaks, in double precision."""

from __future__ import annotations

import numpy as np
import pytest
from objects import write

from qsmbench.phantom.species import FAT, WATER
from qsmbench.scan.protocol import load_protocol
from qsmbench.scan.simulate import simulate
from qsmbench.scan.slab import properties_and_field
from qsmbench.units import GAMMA_BAR

LIVER = {"chi": 0.3, "pd": 0.9, "t1": 0.8, "r2": 30, "r2star": 60, "fat_fraction": 0.3}
LAYERS = [
    {
        "region": "liver",
        "shape": {"shape": "ellipsoid", "center": [-3, 1, 0], "radii": [9, 8, 10]},
        "material": {**LIVER, "fat_t1": 0.4, "fat_r2star": 45},
    },
    {"shape": {"shape": "ellipsoid", "center": [6, -2, 3], "radii": [8, 9, 7]}, "tissue": "fat"},
]
SCAN = {
    "snr": None,
    "te": [0.0011, 0.0025, 0.007, 0.0082],
    "tr": 0.012,
    "flip_angle": 9,
    "shim_order": 0,
    "phase_offset": [],
}


def species_of(properties):
    """PD, T1 and R2* in float64, shifts [ppm] and amplitudes of each species, from the maps alone."""
    maps = {
        WATER: (properties.water_pd, properties.t1, properties.r2star),
        FAT: (properties.fat_pd, properties.fat_t1, properties.fat_r2star),
    }
    for species, found in maps.items():
        peaks = properties.spectra[species]
        amplitude = np.array(peaks.amplitude) / sum(peaks.amplitude)
        yield (*(m.astype(float) for m in found), peaks.shift, amplitude)


def steady_state(pd, t1, protocol):
    e1 = np.exp(-protocol.tr / np.where(t1 > 0, t1, 1))
    a = np.deg2rad(protocol.flip_angle)
    return np.where(t1 > 0, pd * np.sin(a) * (1 - e1) / (1 - e1 * np.cos(a)), 0)


def blocks(values, factor):
    """Mean over each voxel's sub-voxels."""
    nx, ny, nz = (n // f for n, f in zip(values.shape, factor, strict=True))
    return values.reshape(nx, factor[0], ny, factor[1], nz, factor[2]).mean(axis=(1, 3, 5))


def fine_maps(phantom, protocol):
    """The properties and the field (with no shim but its mean over the mask) of the simulation, on its sub-voxels."""
    fine = phantom.grid().refine(phantom.supersampling)
    properties, field = properties_and_field(phantom, fine, protocol.b0)
    found = simulate(phantom, protocol)
    shim = blocks(field.astype(float), phantom.supersampling) - found.truth["total_field"]
    return properties, field - shim.mean(), found


def images(phantom, protocol):
    """The signal and, in double precision, the image of each peak at each echo at 0 ppm; shifts [Hz], field [Hz]."""
    properties, field, found = fine_maps(phantom, protocol)
    hz = GAMMA_BAR * protocol.b0 * 1e-6 * field.astype(float)
    slopes = np.stack(np.gradient(hz))  # across a sub-voxel
    parts = []
    for pd, t1, r2star, shift, amplitude in species_of(properties):
        start = steady_state(pd, t1, protocol)
        for delta, share in zip(shift, amplitude, strict=True):
            echoes = [
                blocks(
                    share * start * np.exp((-r2star + 2j * np.pi * hz) * te) * np.sinc(slopes * te).prod(axis=0),
                    phantom.supersampling,
                )
                for te in protocol.te
            ]
            parts.append((GAMMA_BAR * protocol.b0 * 1e-6 * delta, np.stack(echoes, -1)))
    return found, parts, blocks(hz, phantom.supersampling)


@pytest.mark.parametrize(("b0", "peaks", "temperature"), [(3.0, 6, 37.0), (1.5, 9, 37.0), (7.0, 7, 20.0)])
def test_signal_is_the_sum_over_sub_voxels_species_and_peaks(tmp_path, b0, peaks, temperature):
    phantom = write(tmp_path, LAYERS, voxel_size=4, fat_peaks=peaks, temperature=temperature)
    protocol = load_protocol("brain-3t", {**SCAN, "b0": b0})
    found, parts, _ = images(phantom, protocol)
    assert len(parts) == 1 + peaks
    expected = sum(image * np.exp(2j * np.pi * shift * np.array(protocol.te)) for shift, image in parts)
    assert np.abs(found.signal - expected).max() < 2e-6 * np.abs(expected).max()


@pytest.mark.parametrize(("polarity", "distortion"), [("monopolar", True), ("bipolar", True), ("bipolar", False)])
def test_readout_of_water_and_fat_is_the_sum_over_its_samples(tmp_path, polarity, distortion):
    """At each sample the signal has the phase of the field where it comes from, not where it is seen."""
    phantom = write(tmp_path, LAYERS, voxel_size=4, supersampling=1)
    readout = {"bandwidth": 150, "polarity": polarity, "distortion": distortion}
    protocol = load_protocol("brain-3t", {**SCAN, "readout": readout})
    found, parts, hz = images(phantom, protocol)
    n = hz.shape[0]
    k = np.arange(n) - n // 2
    expected = np.zeros(found.signal.shape, complex)
    for e, te in enumerate(protocol.te):
        late = -k / n / 150 * (-1 if polarity == "bipolar" and e % 2 else 1)  # the sign of a forward transform
        for shift, image in parts:
            turn = np.exp(2j * np.pi * (hz * distortion)[None] * late[:, None, None, None])
            wave = np.exp(-2j * np.pi * np.outer(k, np.arange(n)) / n)
            samples = np.einsum("kx,kxyz,xyz->kyz", wave, turn, image[..., e])
            samples *= np.exp(2j * np.pi * shift * (te + late))[:, None, None]
            expected[..., e] += np.einsum("kx,kyz->xyz", wave.conj(), samples) / n
    assert np.linalg.norm(found.signal - expected) < 2e-6 * np.linalg.norm(expected)


def test_fat_fraction_of_protons_and_of_the_signal(tmp_path):
    """20 % fat in a liver of 809 ms, at 3 T and TR 9 ms: 21.0 % of the signal at 3°, 29.4 % at 15°."""
    liver = {"chi": 0.1, "pd": 0.9, "t1": 0.809, "r2star": 40, "fat_fraction": 0.2, "fat_t1": 0.382, "fat_r2star": 30}
    ball = {"shape": "ellipsoid", "radii": [10, 10, 10]}
    phantom = write(tmp_path, [{"shape": ball, "region": "liver", "material": liver}], voxel_size=4)
    for flip_angle, expected in ((3, 0.2097), (15, 0.2940)):
        truth = simulate(phantom, load_protocol("brain-3t", {**SCAN, "tr": 0.009, "flip_angle": flip_angle})).truth
        inside = np.isclose(truth["fat_fraction"], 0.2, atol=1e-6)
        assert inside.sum() > 20
        np.testing.assert_allclose(truth["signal_fat_fraction"][inside], expected, atol=1e-4)
        np.testing.assert_allclose(truth["water_r2star"][inside], 40, rtol=1e-5)
        np.testing.assert_allclose(truth["fat_r2star"][inside], 30, rtol=1e-5)
        np.testing.assert_allclose(truth["r2star"][inside], 38, rtol=1e-5)
        for name in ("fat_fraction", "signal_fat_fraction", "fat_r2star"):
            assert truth[name][0, 0, 0] == 0


def test_fat_of_a_tissue_defaults_to_adipose_tissue_in_the_field_of_the_water(tmp_path):
    ball = {"shape": "ellipsoid", "radii": [10, 10, 10]}
    phantom = write(tmp_path, [{"shape": ball, "region": "liver", "material": LIVER}], voxel_size=4)
    found = phantom.render(phantom.grid(), 3.0)
    middle = tuple(n // 2 for n in found.labels.shape)
    own = phantom.tissues["fat"]
    assert found.fat_t1[middle] == pytest.approx(own.at("fat_t1", 3.0))
    assert found.fat_r2star[middle] == pytest.approx(own.at("fat_r2", 3.0) + 60 - 30)


def test_truth_without_fat_has_no_maps_of_fat(tmp_path):
    ball = {"shape": "ellipsoid", "radii": [10, 10, 10]}
    phantom = write(tmp_path, [{"shape": ball, "tissue": "muscle"}], voxel_size=4)
    truth = simulate(phantom, load_protocol("brain-3t", SCAN)).truth
    assert not [name for name in truth if "fat" in name or "water" in name]
