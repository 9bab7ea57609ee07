"""Protocols: what is accepted, what is said of what is not, and that those that come along work."""

import numpy as np
import pytest

from qsmbench.data import folders
from qsmbench.errors import QsmbenchError
from qsmbench.phantom.load import load
from qsmbench.run.specs import NoiseSpec, SimulationSpec
from qsmbench.scan.protocol import load_protocol, protocols
from qsmbench.scan.simulate import simulate
from qsmbench.study.datasets import Simulated
from qsmbench.study.jobs import noise as noise_job
from qsmbench.study.jobs import simulate as simulate_job
from qsmbench.study.jobs.simulate import NOISEFREE
from qsmbench.study.simulate import simulated


@pytest.mark.parametrize("name", protocols())
def test_protocols_that_come_along_are_legal(name):
    protocol = load_protocol(name)
    assert protocol.description
    assert protocol.source


def test_there_is_one_of_each_field_strength_and_kind():
    all_of_them = [load_protocol(name) for name in protocols()]
    assert {1.5, 3.0, 7.0} <= {p.b0 for p in all_of_them}
    assert any(p.slices and len(p.te) == 1 for p in all_of_them)
    assert any(len(p.orientations) > 1 for p in all_of_them)
    assert any(p.readout.polarity == "bipolar" for p in all_of_them)
    assert any(p.grid and any(p.grid.rotate) for p in all_of_them)
    assert any(p.grid and p.grid.voxel_size == (0.22, 0.22, 0.5) for p in all_of_them)


def test_a_key_within_a_key_is_set_alone():
    protocol = load_protocol("highres-7t", {"grid.voxel_size": 2, "readout.axis": "x"})
    assert protocol.grid.voxel_size == (2, 2, 2)
    assert protocol.grid.field_of_view == (180, 220, 30)
    assert protocol.readout.bandwidth == load_protocol("highres-7t").readout.bandwidth


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"readout": {"bandwith": 200}}, r"unknown key 'readout\.bandwith'; choose from axis, bandwidth, polarity"),
        ({"readout": {"distortion": True}}, r"readout\.distortion is true, but readout\.bandwidth is null"),
        ({"coils": {"number": 8}}, r"coils\.count is missing|unknown key 'coils\.number'; choose from count"),
        ({"kspace": {"fraction": [1.2, 1, 1]}}, r"kspace\.fraction\.0 is 1\.2"),
        ({"kspace": {"partial_fourier": [0.4, 1, 1]}}, r"kspace\.partial_fourier\.0 is 0\.4"),
        ({"snr": -3}, r"snr\.value is -3"),
        (
            {"snr": {"value": 50, "at": {"bandwidth": 300}}},
            r"snr\.at\.bandwidth is 300, but readout\.bandwidth is null",
        ),
        ({"slices": {}, "readout": {"axis": "z"}}, r"readout\.axis is z, but z is the axis of the slices"),
        ({"slices": {}, "kspace": {"fraction": [1, 1, 0.5]}}, "kspace is truncated along z"),
        (
            {"te": [0.004, 0.012], "coils": {"count": 4, "combine": "mcpc"}},
            r"coils\.combine is mcpc, but the first echo",
        ),
        ({"mask": "yes"}, "mask is 'yes': choose from true, magnitude, eroded, holes"),
        ({"motion": {"poses": 1, "translate": 1, "rotate": 1}}, r"motion\.poses is 1"),
        ({"grid": {"voxel_size": 0}}, r"grid\.voxel_size\.0 is 0"),
    ],
)
def test_illegal(change, message):
    with pytest.raises(QsmbenchError, match=message) as caught:
        load_protocol("brain-3t", change)
    assert "\n" not in str(caught.value)


def test_no_such_orientation():
    with pytest.raises(QsmbenchError, match=r"orientation is 5; choose from 0…4"):
        simulate(load("sphere", {"voxel_size": 8}), load_protocol("cosmos-3t"), 5)


ALL = {
    "te": [0.005, 0.01],
    "readout": {"bandwidth": 300, "polarity": "bipolar", "distortion": True, "eddy": [0.1, 0.4]},
    "kspace": {"fraction": [1, 0.8, 1]},
    "coils": {"count": 3},
    "b1": {"transmit": {"edge": 0.8}, "receive": {"edge": 0.7}},
    "mask": "magnitude",
}


def test_the_two_ways_to_a_scan_are_one(tmp_path):
    """`qsmbench simulate` in one go, and a study's two jobs with files between, give the same volumes."""
    from qsmbench.data.provenance import PROVENANCE_FILE, SCENARIO_FILE, read_provenance

    source = Simulated(phantom="sphere", protocol="brain-3t", seeds=[7], set={"voxel_size": 6}, set_protocol=ALL)
    simulated(source, tmp_path / "one")
    sphere, two = load("sphere", {"voxel_size": 6}), tmp_path / "two"
    same = {"protocol": "brain-3t", "set_protocol": source.set_protocol, "orientations": [0]}
    simulate_job.run(SimulationSpec(phantom="sphere", set=source.set, **same), two)
    noise_job.run(NoiseSpec(noisefree=str(two / NOISEFREE), seed=7, **same), two)
    for name in ("phase", "magnitude", "mask"):
        a, b = (folders.read(tmp_path / way / "scan", name).astype(float) for way in ("one", "two"))
        difference = np.abs(np.exp(1j * a) - np.exp(1j * b)) if name == "phase" else np.abs(a - b) / b.max()
        assert np.median(difference) < 1e-5
        assert difference.max() < 1e-2
    told = [(tmp_path / way / "truth" / PROVENANCE_FILE).read_bytes() for way in ("one", "two")]
    assert told[0] == told[1]
    assert read_provenance(tmp_path / "one" / "truth" / PROVENANCE_FILE) == sphere.provenance(3.0)
    assert folders.read_json(tmp_path / "one" / "truth" / SCENARIO_FILE) == {}


def test_orientations_are_a_scan_and_a_truth_each(tmp_path):
    """χ is the same in all, the field is not; B0 has turned in the voxels' axes."""

    turns = {"orientations": [[0, 0, 0], [30, 0, 0]], "te": [0.005]}
    source = Simulated(phantom="cylinder", protocol="brain-3t", set={"voxel_size": 6}, set_protocol=turns)
    simulated(source, tmp_path)
    scans, truths = ([tmp_path / f, tmp_path / f / "orientation-1"] for f in ("scan", "truth"))
    params = [folders.read_params(f) for f in scans]
    before = np.array(params[0].grid.b0_dir)
    assert np.rad2deg(np.arccos(before @ params[1].grid.b0_dir)) == pytest.approx(
        np.rad2deg(np.arccos(before @ turned_about_x(before, 30))), abs=1e-4
    )
    chi, field = ([folders.read(f, name) for f in truths] for name in ("chi", "total_field"))
    assert np.array_equal(*chi)
    assert np.abs(field[0] - field[1]).max() > 0.01
    one = source.model_copy(update={"orientation": 1})
    simulated(one, tmp_path / "alone")
    for name in ("phase", "magnitude"):
        again = folders.read(tmp_path / "alone" / "scan", name)
        assert np.array_equal(again, folders.read(scans[1], name))
    assert one.group == "cylinder_brain-3t_orientation-1"


def turned_about_x(b, degrees):
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[1, 0, 0], [0, c, s], [0, -s, c]]) @ b


def test_bandwidth_without_fat_changes_nothing():
    phantom = load("sphere", {"voxel_size": 6})
    a, b = (simulate(phantom, load_protocol("brain-3t", {"readout": r})) for r in ({}, {"bandwidth": 100}))
    assert np.array_equal(a.signal, b.signal)


FATTY = """
kind: shapes
field_of_view: {lower: [-40, -40, -40], upper: [40, 40, 40]}
voxel_size: 5
background: water
mask: {shape: ellipsoid, radii: [36, 36, 36]}
layers:
  - region: fatty
    shape: {shape: ellipsoid, radii: [15, 20, 25]}
    material: {chi: 0.6, pd: 1, t1: 0.5, r2star: 30, fat_fraction: 0.4}
"""


def test_water_and_fat_imaged_apart_are_the_whole(tmp_path):
    """With a very high bandwidth, so that nothing moves, they add up to what is imaged together."""
    (tmp_path / "fatty.yaml").write_text(FATTY)
    phantom = load(str(tmp_path / "fatty.yaml"))
    still = {"snr": None, "te": [0.005, 0.01]}
    a = simulate(phantom, load_protocol("brain-3t", still)).signal
    b = simulate(phantom, load_protocol("brain-3t", {**still, "readout": {"bandwidth": 1e8}})).signal
    np.testing.assert_allclose(b, a, atol=1e-5 * np.abs(a).max())


@pytest.mark.parametrize("threads", ["2", "3"])
def test_same_on_any_number_of_threads(monkeypatch, threads):
    phantom = load("sphere", {"voxel_size": 8})
    options = {
        **ALL,
        "motion": {"poses": 2, "translate": 2, "rotate": 5},
        "breathing": {"field": [0.02], "period": 3},
        "grid": {"rotate": [10, 0, 0], "field_of_view": [80, 80, 40]},
    }
    monkeypatch.setenv("QSMBENCH_THREADS", "1")
    alone = simulate(phantom, load_protocol("brain-3t", options))
    monkeypatch.setenv("QSMBENCH_THREADS", threads)
    together = simulate(phantom, load_protocol("brain-3t", options))
    assert np.array_equal(alone.signal, together.signal)
    assert alone.sigma == together.sigma
