"""Python and the command line give the same numbers, to the bit."""

import sys

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

import qsmbench as qb
from qsmbench import cli
from qsmbench.data import folders
from qsmbench.data.artifacts import ARTIFACTS


def command(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["qsmbench", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code


def equal(volumes, folder):
    """That arrays are those of a folder, in type and order, too: a sum depends on the order."""
    assert set(volumes) == set(folders.present(folder))
    for name, values in volumes.items():
        read = folders.read(folder, name)
        np.testing.assert_array_equal(values, read, err_msg=name)
        assert (values.dtype, values.strides) == (read.dtype, read.strides), name


def same_files(one, other):
    names = sorted(str(f.relative_to(one)) for f in one.rglob("*") if f.is_file())
    assert names == sorted(str(f.relative_to(other)) for f in other.rglob("*") if f.is_file())
    assert [n for n in names if (one / n).read_bytes() != (other / n).read_bytes()] == []


@pytest.fixture(scope="module")
def sphere(tmp_path_factory):
    """A scan by the command line, and the same one by Python."""
    folder = tmp_path_factory.mktemp("sphere")
    with pytest.MonkeyPatch.context() as patch:
        command(
            patch, "simulate", "sphere", folder / "s", "--seed", 3, "--set", "voxel_size=5", "--set-protocol", "snr=40"
        )
    return folder, qb.simulate("sphere", "brain-3t", voxel_size=np.int64(5), seed=np.int32(3), set_protocol={"snr": 40})


def test_a_scan_and_its_files(sphere, tmp_path):
    folder, scan = sphere
    equal(scan.volumes, folder / "s" / "scan")
    equal(scan.truth, folder / "s" / "truth")
    scan.save(tmp_path / "mine")
    same_files(tmp_path / "mine", folder / "s")
    again = qb.load_scan(tmp_path / "mine")
    equal(again.volumes, folder / "s" / "scan")
    assert again.truth.regions == scan.truth.regions and again.truth.source == scan.truth.source
    assert again.grid == scan.grid and np.array_equal(again.te, scan.te)
    np.testing.assert_array_equal(again.grid.affine, scan.grid.affine)


CHAINS = [
    "romeo.fit.vsharp.tv",
    "truth.noisy.tkd",
    "truth.tv",
    "r2star_nonlinear",
    "magnitude_mask.erode.laplacian.nonlinear_fit.pdf.l2",
    "tgv_qsm",
    "truth.chi_separation",
    "romeo.fit.vsharp.l2+lcurve",
]


@pytest.mark.parametrize("chain", CHAINS)
def test_a_chain_and_its_scores(sphere, tmp_path, monkeypatch, chain):
    folder, scan = sphere
    before = {name: values.copy() for name, values in scan.volumes.items()}
    last = chain.rpartition(".")[2]
    settings = {"tv": {"regularisation": 3e-4}} if last == "tv" else {}
    more = ["--set", "tv.regularisation=3e-4"] if settings else []
    truth = ["--truth", folder / "s" / "truth"]
    command(monkeypatch, "reconstruct", chain, folder / "s" / "scan", tmp_path / "maps", *truth, *more)
    result = qb.reconstruct(chain, scan, settings=settings)
    for step in result.steps.values():
        equal(step.maps, tmp_path / "maps" / "steps" / step.chain)
        record = folders.read_json(tmp_path / "maps" / "steps" / step.chain / "run.json")["details"]
        assert folders.json.loads(folders.json.dumps([step.settings, step.notes])) == [record["used"], record["notes"]]
    for name, values in before.items():
        np.testing.assert_array_equal(scan.volumes[name], values)
    command(monkeypatch, "score", tmp_path / "maps", folder / "s" / "truth", "--csv", tmp_path / "scores.csv")
    table = qb.score(result, scan.truth)
    table.to_csv(tmp_path / "mine.csv", index=False)
    assert (tmp_path / "mine.csv").read_text() == (tmp_path / "scores.csv").read_text()
    assert len(table) > 3
    result.save(tmp_path / "saved")
    command(monkeypatch, "score", tmp_path / "saved", folder / "s" / "truth", "--csv", tmp_path / "again.csv")
    if result.artifact == "chi":
        assert_frame_equal(pd.read_csv(tmp_path / "again.csv"), pd.read_csv(tmp_path / "scores.csv"))


def test_several_orientations_on_an_oblique_grid(tmp_path, monkeypatch):
    protocol = {
        "orientations": [[0, 0, 0], [25, 0, 0], [0, 30, 0]],
        "grid": {"voxel_size": 6, "rotate": [10, 5, 3]},
        "mask": "eroded",
    }
    pairs = [f"{key}={folders.json.dumps(value)}" for key, value in protocol.items()]
    more = [word for pair in pairs for word in ("--set-protocol", pair)]
    command(monkeypatch, "simulate", "sphere", tmp_path / "s", *more)
    scan = qb.simulate("sphere", set_protocol=protocol)
    for place, one in zip(("", "orientation-1", "orientation-2"), (scan, *scan.orientations), strict=True):
        equal(one.volumes, tmp_path / "s" / "scan" / place)
        equal(one.truth, tmp_path / "s" / "truth" / place)
        params = folders.read_params(tmp_path / "s" / "scan" / place)
        np.testing.assert_array_equal(one.grid.affine, params.grid.affine)
        assert one.grid == params.grid and np.array_equal(one.te, params.te)
    command(monkeypatch, "reconstruct", "romeo.fit.vsharp.cosmos", tmp_path / "s" / "scan", tmp_path / "maps")
    result = qb.reconstruct("romeo.fit.vsharp.cosmos", scan)
    for step in result.steps.values():
        equal(step.maps, tmp_path / "maps" / "steps" / step.chain)
    loaded = qb.reconstruct("romeo.fit.vsharp.cosmos", qb.load_scan(tmp_path / "s"))
    np.testing.assert_array_equal(loaded.values, result.values)


def test_a_bids_dataset(tmp_path, monkeypatch):
    command(monkeypatch, "simulate", "sphere", tmp_path / "ds", "--set", "voxel_size=6", "--format", "bids")
    command(monkeypatch, "reconstruct", "laplacian.fit.vsharp.tkd", tmp_path / "ds", tmp_path / "maps")
    scan = qb.load_scan(tmp_path / "ds")
    equal(scan.volumes, tmp_path / "maps" / "scan")
    equal({"chi": qb.reconstruct("laplacian.fit.vsharp.tkd", scan).values}, tmp_path / "maps")
    assert any("mask made from the magnitude" in note for note in scan.notes)


def test_a_file_a_function_and_a_folder_are_the_same_method(sphere, tmp_path, monkeypatch):
    folder, scan = sphere
    file = tmp_path / "mine.py"
    file.write_text(
        "from qsmbench.method import method\n\n@method(produces='chi', reference='test')\n"
        "def mine(local_field, mask, *, gain=1.0):\n    local_field *= gain\n    return local_field * mask\n"
    )
    truth = ["--truth", folder / "s" / "truth", "--method", f"mine={file}", "--set", "mine.gain=2"]
    command(monkeypatch, "reconstruct", "truth.mine", folder / "s" / "scan", tmp_path / "maps", *truth)
    by_file = qb.reconstruct("truth.mine", scan, methods={"mine": file}, settings={"mine": {"gain": np.float32(2)}})
    function = qb.reconstruct(
        "truth.mine", scan, methods={"mine": by_file_method(file)}, settings={"mine": {"gain": 2}}
    )
    for result in (by_file, function):
        equal({"chi": result.values}, tmp_path / "maps")
    file.write_text(file.read_text().replace("gain=1.0", "gain=3.0, other=1"))  # as one does in a notebook
    again = qb.reconstruct("truth.mine", scan, methods={"mine": file}, settings={"mine": {"other": 2}})
    assert again.settings["mine"] == {"gain": 3.0, "other": 2}
    assert ARTIFACTS[again.artifact].unit == again.unit


def by_file_method(file):
    from qsmbench.run import registry

    return registry.find(str(file))


def test_the_picture_is_that_of_a_study(sphere, tmp_path):
    """By the job that draws for a study."""
    from qsmbench.run.specs import ScoreSpec
    from qsmbench.study.jobs.pictures import picture
    from qsmbench.study.scoring import Scan

    _, scan = sphere
    scan.save(tmp_path / "s")
    result = qb.reconstruct("romeo.fit.vsharp.tkd", scan)
    result.save(tmp_path / "m")
    places = {"result": "m", "support": "m", "field": "m", "scan": "s/scan", "truth": "s/truth"}
    spec = ScoreSpec(
        dataset=scan.name, chain=result.chain, artifacts=["chi"], **{k: str(tmp_path / v) for k, v in places.items()}
    )
    np.testing.assert_array_equal(np.asarray(qb.show(result, scan.truth)), np.asarray(picture(Scan(spec), spec)))
