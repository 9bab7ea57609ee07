"""Planting a source equals simulating with it, and keeps what it should not change."""

import numpy as np
import oracles
import pytest

from qsmbench.data import folders
from qsmbench.data.folders import Params
from qsmbench.errors import QsmbenchError
from qsmbench.phantom.load import load
from qsmbench.scan.field import field_of
from qsmbench.scan.plant import plant
from qsmbench.scan.protocol import load_protocol
from qsmbench.scan.simulate import simulate
from qsmbench.study.plant import host, noise_of, plant_into
from qsmbench.units import rad_per_ppm

PROTOCOL = {"snr": None, "shim_order": 0, "phase_offset": None}

BLOOD = {"source": "haemorrhage", "stage": "acute", "at": [9.0, -6.0, 4.0], "radii": [5, 4, 6], "name": "blood"}
CALCIUM = {"source": "calcification", "density": 150, "at": [-12.0, 8.0, -6.0], "radii": 4}


def simulated(sources):
    """A ball of white matter in white matter, 2 mm, three sub-voxels along each axis."""
    phantom = load(
        "sphere",
        {"voxel_size": 2, "supersampling": 3, "background": "white_matter", "delta_chi": 0, "sources": sources},
    )
    content = phantom.description.layers[0].model_copy(update={"tissue": "white_matter", "material": None})
    description = phantom.description.model_copy(update={"layers": (content,)})
    phantom = type(phantom)(phantom.name, phantom.path, description, phantom.described_in)
    protocol = load_protocol("brain-3t", {k: v for k, v in PROTOCOL.items() if v is not None} | {"snr": None})
    return simulate(phantom, protocol), protocol


@pytest.mark.parametrize("source", [BLOOD, CALCIUM])
def test_planting_equals_simulating(source, tmp_path):
    """Field of the source within 1e-3 of its own norm, magnitude within 1e-3, in every voxel with signal."""
    (without, protocol), (with_it, _) = simulated([]), simulated([source])
    params: Params = without.params
    loaded, bare = (host(tmp_path, without.mask, params, "white_matter", s) for s in ([source], []))
    found = plant(without.signal, without.mask, params, loaded, bare, tr=protocol.tr, flip_angle=protocol.flip_angle)
    field = with_it.truth["total_field"] - without.truth["total_field"]
    offset = float((field - found.truth["total_field"]).mean())  # the shim of the scan with the source
    assert oracles.relative(found.truth["total_field"] + offset, field) < 1e-3
    assert oracles.relative(found.truth["chi"], with_it.truth["chi"] - without.truth["chi"]) < 1e-3
    for echo, te in enumerate(params.te):
        expected = with_it.signal[..., echo] * np.exp(-1j * rad_per_ppm(params.b0, te) * offset)
        assert oracles.relative(np.abs(found.signal[..., echo]), np.abs(expected)) < 1e-3
        turned = np.angle(found.signal[..., echo] * np.conj(expected)) / rad_per_ppm(params.b0, te)
        visible = np.abs(expected) > 0.05 * np.abs(expected).max()
        assert np.linalg.norm(turned[visible]) < 1e-3 * np.linalg.norm(field[visible])


@pytest.fixture
def scan(tmp_path):
    """A noisy scan of the sphere, without sources, as a folder."""
    rng, sigma = np.random.default_rng(0), 0.002
    simulation, _ = simulated([])
    noise = rng.standard_normal((2, *simulation.signal.shape)) * sigma
    signal = simulation.signal + noise[0] + 1j * noise[1]
    grid = simulation.params.grid
    volumes = {"phase": np.angle(signal), "magnitude": np.abs(signal), "mask": simulation.mask}
    folders.write(tmp_path / "scan", volumes, grid)
    folders.write_params(tmp_path / "scan", simulation.params)
    return tmp_path, sigma, signal


def test_the_noise_of_the_scan_is_kept(scan):
    """Far away to the last bit but for a turn; in a void, noise of the same strength takes the place of the signal."""
    folder, sigma, signal = scan
    dense = {"source": "calcification", "density": 1200, "at": [0, 0, 0], "radii": 8}
    plant_into(folder / "scan", folder / "with", folder / "truth", [dense])
    grid = folders.read_params(folder / "with").grid
    magnitude, phase = (folders.read(folder / "with", n, grid) for n in ("magnitude", "phase"))
    assert noise_of(
        np.abs(signal).astype(np.float32),
        folders.read(folder / "scan", "mask"),
        folders.read_params(folder / "scan").te,
    ) == pytest.approx(sigma, rel=0.1)
    chi = folders.read(folder / "truth", "chi", grid)
    void = chi < 0.999 * chi.min()
    assert void.sum() > 100
    inside = (magnitude * np.exp(1j * phase))[void]
    assert inside.real.std() == pytest.approx(sigma, rel=0.15) and inside.imag.std() == pytest.approx(sigma, rel=0.15)
    far = np.zeros(grid.shape, bool)
    far[:4] = True
    np.testing.assert_allclose(magnitude[far], np.abs(signal)[far], rtol=1e-5)


def test_the_truth_is_that_of_the_source_alone(scan):
    folder, _, _ = scan
    iron = {"source": "iron", "chi": 0.8, "at": [4, 4, 4], "radii": 5, "name": "bleed"}
    notes = plant_into(folder / "scan", folder / "with", folder / "truth", [iron])
    assert any("T1 does not change" in n for n in notes)
    params = folders.read_params(folder / "truth")
    chi, total = (folders.read(folder / "truth", n, params.grid) for n in ("chi", "total_field"))
    assert chi.sum() * params.grid.voxel_volume == pytest.approx(0.8 * 4 / 3 * np.pi * 5**3, rel=0.02)
    far = np.hypot(*(a - 4 for a in params.grid.axes()[:2])) + 0 * chi > 14
    np.testing.assert_allclose(total[far], field_of(chi, params.grid)[far], atol=2e-4)
    assert "bleed" in [name for _, name, _ in folders.read_regions(folder / "truth" / "dseg.tsv")]


def test_sources_scatter_in_the_mask(scan):
    folder, _, _ = scan
    bleeds = {"source": "iron", "chi": 1.0, "in": "mask", "count": 4, "diameter": 4, "seed": 3, "name": "bleeds"}
    plant_into(folder / "scan", folder / "with", folder / "truth", [bleeds])
    grid = folders.read_params(folder / "truth").grid
    chi, mask = (folders.read(folder / "truth", n, grid) for n in ("chi", "mask"))
    assert chi[mask].sum() * grid.voxel_volume == pytest.approx(4 * 4 / 3 * np.pi * 2**3, rel=0.05)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"source": "iron", "chi": 1, "at": [500, 0, 0], "radii": 3}, "is outside the object"),
        ({"source": "gold", "at": [0, 0, 0], "radii": 3}, "plant: .*gold"),
        ({"source": "iron", "chi": 1, "region": "putamen"}, "region 'putamen' is unknown; choose from mask"),
        ({"source": "oxygenation", "oef": 0.4}, "needs veins"),
    ],
)
def test_sources_that_cannot_be_planted_are_refused_in_one_line(scan, source, message):
    folder, _, _ = scan
    with pytest.raises(QsmbenchError, match=message) as caught:
        plant_into(folder / "scan", folder / "with", folder / "truth", [source])
    assert "\n" not in str(caught.value) and "/tmp" not in str(caught.value)
    assert not (folder / "with").exists()
