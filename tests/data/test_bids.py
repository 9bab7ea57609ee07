"""BIDS in and out."""

import json

import numpy as np
import pytest

from qsmbench.data.bids import write_megre, write_truth
from qsmbench.data.masks import MADE_FROM_MAGNITUDE
from qsmbench.data.measured import Stated, read_measured
from qsmbench.errors import QsmbenchError
from qsmbench.study.datasets import Simulated
from qsmbench.study.simulate import simulated


@pytest.fixture
def dataset(small, tmp_path):
    root = tmp_path / "bids"
    write_megre(root, small["scan"]["phase"], small["scan"]["magnitude"], small["params"], tr=0.05, flip_angle=15)
    return root


def anat(root, name):
    return root / "sub-01" / "anat" / name


def test_round_trip(small, dataset):
    volumes, params, notes = read_measured(dataset)
    np.testing.assert_allclose(volumes["phase"], small["scan"]["phase"], atol=1e-6)
    assert np.array_equal(volumes["magnitude"], small["scan"]["magnitude"])
    np.testing.assert_allclose(params.grid.b0_dir, small["params"].grid.b0_dir)
    assert params.te.tolist() == small["params"].te.tolist()
    assert params.b0 == 3.0
    assert notes == [MADE_FROM_MAGNITUDE]


def test_sidecars_say_what_bids_asks_for(dataset):
    sidecar = json.loads(anat(dataset, "sub-01_echo-2_part-phase_MEGRE.json").read_text())
    assert sidecar["Units"] == "rad"
    assert sidecar["EchoTime"] == 0.009
    assert sidecar["MagneticFieldStrength"] == 3.0
    assert sidecar["RepetitionTimeExcitation"] == 0.05
    assert sidecar["MRAcquisitionType"] == "3D" and sidecar["ScanningSequence"] == "GR"
    assert json.loads((dataset / "dataset_description.json").read_text())["DatasetType"] == "raw"
    assert (dataset / "README").read_text()


def test_slices_are_two_dimensional(tmp_path):
    """As a protocol with `slices` says, of which the readers of a BIDS dataset know nothing else."""
    source = Simulated(phantom="sphere", protocol="t2star-2d-3t", set={"voxel_size": 12})
    simulated(source, tmp_path / "bids", bids=True)
    sidecar = json.loads(anat(tmp_path / "bids", "sub-01_echo-1_part-mag_MEGRE.json").read_text())
    assert (sidecar["MRAcquisitionType"], sidecar["EchoTime"], sidecar["FlipAngle"]) == ("2D", 0.022, 20)


def test_truth_as_a_derivative(small, tmp_path):
    folder = write_truth(
        tmp_path,
        small["truth"],
        small["scan"]["mask"],
        small["scan"]["magnitude"][..., 0],
        small["params"],
        small["regions"],
        subject="07",
    )
    assert json.loads((folder / "anat/sub-07_Chimap.json").read_text())["Units"] == "ppm"
    assert json.loads((folder / "anat/sub-07_desc-study_mask.json").read_text())["Type"] == "ROI"
    for sidecar in folder.rglob("*Chimap.json"):
        assert {"Description", "SpatialReference", "Units", "SkullStripped"} <= json.loads(sidecar.read_text()).keys()
    columns = (folder / "anat/sub-07_dseg.tsv").read_text().splitlines()[0].split("\t")
    explained = json.loads((folder / "anat/sub-07_dseg.json").read_text())
    assert columns == ["index", "name", "group"] and "group" in explained  # BIDS defines the first two
    assert (tmp_path / "README").read_text()
    description = json.loads((tmp_path / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative"
    assert description["GeneratedBy"][0]["Name"] == "qsmbench"


def test_phase_sign_is_turned(small, dataset):
    volumes, *_ = read_measured(dataset, Stated(phase_sign=-1))
    np.testing.assert_allclose(volumes["phase"], -small["scan"]["phase"], atol=1e-6)


def test_echo_time_may_stand_above(dataset):
    """BIDS inheritance: a key that all echoes share may stand once at the root."""
    for sidecar in anat(dataset, "").glob("*.json"):
        content = json.loads(sidecar.read_text())
        del content["MagneticFieldStrength"]
        sidecar.write_text(json.dumps(content))
    (dataset / "MEGRE.json").write_text('{"MagneticFieldStrength": 7.0}')
    assert read_measured(dataset)[1].b0 == 7.0


def test_missing_echo_time(dataset):
    sidecar = anat(dataset, "sub-01_echo-2_part-phase_MEGRE.json")
    content = json.loads(sidecar.read_text())
    del content["EchoTime"]
    sidecar.write_text(json.dumps(content))
    with pytest.raises(QsmbenchError, match=r"echo-2_part-phase_MEGRE\.json: EchoTime is missing"):
        read_measured(dataset)


def test_an_echo_whose_digit_is_no_number(dataset):
    for file in anat(dataset, "").glob("*_echo-2_*"):
        file.rename(file.with_name(file.name.replace("echo-2", "echo-²")))
    with pytest.raises(QsmbenchError, match="echo-² is not a number"):
        read_measured(dataset)


def test_a_number_beyond_all_floats(dataset):
    anat(dataset, "sub-01_echo-1_part-phase_MEGRE.json").write_text('{"EchoTime": 1' + 400 * "0" + "}")
    with pytest.raises(QsmbenchError, match=r"MEGRE\.json: is not JSON \(a number of 401 digits, 100000000…\)"):
        read_measured(dataset)


def test_echoes_out_of_order(dataset):
    sidecar = anat(dataset, "sub-01_echo-2_part-phase_MEGRE.json")
    sidecar.write_text(json.dumps({**json.loads(sidecar.read_text()), "EchoTime": 0.5}))
    with pytest.raises(QsmbenchError, match="must be positive, in seconds, and increasing"):
        read_measured(dataset)


def test_missing_magnitude_echo(dataset):
    anat(dataset, "sub-01_echo-3_part-mag_MEGRE.nii.gz").unlink()
    with pytest.raises(QsmbenchError, match=r"phase has echoes \[1, 2, 3\], magnitude \[1, 2\]"):
        read_measured(dataset)


def test_unknown_subject(dataset):
    with pytest.raises(QsmbenchError, match="has no sub-99; choose from sub-01"):
        read_measured(dataset, Stated(subject="99"))


def test_no_dataset(tmp_path):
    with pytest.raises(QsmbenchError, match="no such folder"):
        read_measured(tmp_path / "nowhere")
    with pytest.raises(QsmbenchError, match="it is not a BIDS dataset"):
        read_measured(tmp_path)
