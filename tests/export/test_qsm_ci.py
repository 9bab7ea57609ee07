"""Scans and methods for QSM-CI: its own scorer and runner read them rightly."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml

from qsmbench.data import folders
from qsmbench.data.label_scheme import renumbered, scheme
from qsmbench.errors import QsmbenchError
from qsmbench.export import folder as as_folder
from qsmbench.export import qsm_ci
from qsmbench.external.contract import read_manifest
from qsmbench.external.folder import load as load_folder
from qsmbench.phantom.load import load
from qsmbench.run import registry
from qsmbench.run.chains import Limits
from qsmbench.study.reconstruct import reconstruct

evaluation = pytest.importorskip("qsm_ci.qsm_eval")
CHALLENGE = scheme("challenge")


def test_numbers_have_the_names_that_the_scorer_gives_them():
    theirs = {n: name.lower() for n, name in evaluation.DSEG_LABELS.items()}
    ours = {n: label.name.lower() for n, label in CHALLENGE.labels.items()}
    assert {n: ours[n] for n in theirs if theirs[n].split()[0] not in ours[n]} == {}


def test_every_region_of_the_head_has_a_number():
    """But for choroid plexus, pineal gland and vitreous body, which the scheme lacks."""
    regions = load("head").regions
    assert {name for _, name, group in regions if not CHALLENGE.number(name, group)} == {
        *("choroid_plexus", "pineal", "vitreous")
    }
    nuclei = {name: CHALLENGE.number(name, group) for _, name, group in regions if group == "dgm"}
    assert nuclei["globus_pallidus_internus"] == 2 and nuclei["substantia_nigra"] == 6 and nuclei["pulvinar"] == 7
    assert set(nuclei.values()) == {1, 2, 3, 4, 5, 6, 7, 9}


def test_labels_are_replaced():
    labels = np.array([[[0, 3], [7, 9]]], np.uint8)
    regions = [(3, "putamen", "dgm"), (7, "sinus", "vein"), (9, "choroid_plexus", "plexus")]
    found, left_out = renumbered(labels, regions, CHALLENGE)
    assert found.tolist() == [[[0, 3], [11, 0]]] and found.dtype == np.uint8 and left_out == ["choroid_plexus"]
    with pytest.raises(QsmbenchError, match=r"label 9 of the volume is not in its table; choose from \[3, 7\]"):
        renumbered(labels, regions[:2], CHALLENGE)
    with pytest.raises(QsmbenchError, match=r"there is no label scheme 'chalenge'; .* \(did you mean challenge"):
        scheme("chalenge")


def nuclei(small):
    """The small scan with two nuclei of known means in place of its regions."""
    chi, mask = small["truth"]["chi"].astype(np.float32), small["scan"]["mask"]
    labels = mask.astype(np.uint8) * 5
    labels[8:12, 9:12, 8:11], labels[13:15, 9:12, 8:11] = 12, 40
    chi = np.where(labels == 12, 0.12, np.where(labels == 40, -0.04, chi)).astype(np.float32)
    return {**small["truth"], "chi": chi, "labels": labels}, [
        (5, "skin", "soft"),
        (12, "red_nucleus", "dgm"),
        (40, "dentate", "dgm"),
    ]


@pytest.fixture
def simulation(small, tmp_path):
    truth, regions = nuclei(small)
    grid = small["params"].grid
    for name, volumes in (("scan", small["scan"]), ("truth", {**truth, "mask": small["scan"]["mask"]})):
        folders.write(tmp_path / "sim" / name, volumes, grid)
        folders.write_params(tmp_path / "sim" / name, small["params"])
    folders.write_regions(tmp_path / "sim" / "truth" / folders.REGIONS_FILE, regions)
    return tmp_path / "sim"


def test_the_scorer_reads_the_nuclei(simulation, tmp_path):
    qsm_ci.export(simulation, tmp_path / "out", note=pytest.fail)
    answers = tmp_path / "out" / "groundtruth"
    volumes = {n: evaluation.load(answers / f"{n}.nii.gz") for n in ("chimap", "mask", "dseg")}
    chi = volumes["chimap"]
    found, _ = evaluation.score_arrays(0.8 * chi, chi, volumes["mask"], "chi", seg=volumes["dseg"].astype(int))
    assert found["dgm_linearity"] == pytest.approx(0.2, abs=1e-6)
    assert found["nrmse"] == pytest.approx(20, abs=1e-3)
    table = evaluation.region_stats(chi, volumes["dseg"], volumes["mask"] > 0)
    assert table["4"]["mean"] == pytest.approx(0.12) and table["5"]["mean"] == pytest.approx(-0.04)
    assert {f.name for f in (tmp_path / "out" / "inputs").iterdir()} == {
        *("phase.nii.gz", "magnitude.nii.gz", "mask.nii.gz", "params.json")
    }
    assert "dseg.nii.gz" in {f.name for f in answers.iterdir()}


def test_without_the_renumbering_it_reads_something_else(simulation):
    chi, labels, mask = (evaluation.load(simulation / "truth" / f"{n}.nii.gz") for n in ("chimap", "dseg", "mask"))
    found, _ = evaluation.score_arrays(0.8 * chi, chi, mask, "chi", seg=labels.astype(int))
    assert found["dgm_linearity"] != pytest.approx(0.2, abs=1e-6)


def test_a_folder_that_is_no_simulation(simulation, tmp_path):
    with pytest.raises(QsmbenchError, match="is not the scan of a simulation"):
        qsm_ci.export(tmp_path / "nowhere", tmp_path / "out", note=print)
    with pytest.raises(QsmbenchError, match="is not the truth of a simulation"):
        qsm_ci.export(simulation / "scan", tmp_path / "out", note=print, truth=simulation)


STAGES = {
    "tkd": "dipole",
    "vsharp": "bfr",
    "romeo.fit": "field-mapping",
    "romeo.fit.vsharp": "unwrap+bfr",
    "vsharp.tkd": "bfr+dipole",
    "laplacian.fit.vsharp.tkd": "end-to-end",
}


@pytest.mark.parametrize(("chain", "stage"), STAGES.items())
def test_a_chain_is_a_folder_of_its_stage(chain, stage, tmp_path):
    as_folder.export(chain, tmp_path / "out")
    content = yaml.safe_load((tmp_path / "out" / "algorithm.yml").read_text())
    assert content["stage"] == stage and content["citation"]
    manifest = read_manifest(tmp_path / "out")
    last = registry.find(chain.split(".")[-1])
    assert manifest.produces == last.produces[:1]


def test_a_folder_computes_what_the_method_computes(small, tmp_path):
    as_folder.export("tkd", tmp_path / "out")
    field, mask = small["truth"]["local_field"].astype(np.float32), small["scan"]["mask"]
    grid = small["params"].grid
    given = {"local_field": field, "mask": mask, "grid": grid, "te": small["params"].te, "b0": 3.0}
    method = load_folder(tmp_path / "out")
    found = method(**given, threshold=0.12)[0]
    expected = registry.find("tkd")(field, mask, grid, threshold=0.12)
    np.testing.assert_allclose(found, expected, atol=1e-7)


CHAINS = {
    "truth.tkd": {"truth": ["localfield"]},
    "truth.vsharp": {"truth": ["totalfield"]},
    "laplacian.fit.vsharp.tkd": {"scan": ["phase", "magnitude"]},
    "truth.chi_separation": {"truth": ["localfield", "chimap", "r2prime"], "scan": ["magnitude"]},
}


@pytest.mark.parametrize(("chain", "given"), CHAINS.items())
def test_their_runner_gives_our_maps(scan_folder, tmp_path, monkeypatch, chain, given):
    """QSM-CI's runner on the host (it has no container here) gives the folder what it names, and gets our maps."""
    runner = pytest.importorskip("qsm_ci.runner")
    steps = chain.removeprefix("truth.")
    as_folder.export(steps, tmp_path / "algorithm")
    words = [str(tmp_path / "algorithm"), "--runner", "local", "-o", f"{tmp_path / 'theirs'}/"]
    for place, names in (*given.items(), ("scan", ["mask"])):
        words += [w for n in names for w in (f"--{n}", str(scan_folder / place / f"{n}.nii.gz"))]
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert runner.run_command([*words, "--params", str(scan_folder / "scan" / "params.json")]) == 0
    ours = tmp_path / "ours"
    reconstruct(chain, scan_folder / "scan", ours, truth=scan_folder / "truth", limits=Limits(120), note=str)
    made = sorted(f.name for f in (tmp_path / "theirs").iterdir())
    assert made
    for name in made:
        theirs, own = (nib.load(place / name).get_fdata() for place in (tmp_path / "theirs", ours))
        assert theirs.any()
        np.testing.assert_array_equal(theirs, own)


def test_a_chain_as_their_runner_calls_it(small, tmp_path):
    as_folder.export("laplacian.fit.vsharp.tkd", tmp_path / "algorithm")
    folders.write(tmp_path / "in", small["scan"], small["params"].grid)
    folders.write_params(tmp_path / "in", small["params"])
    (tmp_path / "in" / "config.json").write_text(json.dumps({"tkd_threshold": 0.3}))
    (tmp_path / "out").mkdir()
    command = ["bash", str(tmp_path / "algorithm" / "run.sh"), str(tmp_path / "in"), str(tmp_path / "out")]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    assert [f.name for f in (tmp_path / "out").iterdir()] == ["chimap.nii.gz"]
    chi = nib.load(tmp_path / "out" / "chimap.nii.gz").get_fdata()
    assert np.corrcoef(chi[small["scan"]["mask"]], small["truth"]["chi"][small["scan"]["mask"]])[0, 1] > 0.6
    (tmp_path / "in" / "config.json").write_text(json.dumps({"threshold": 0.3}))
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 1 and "unknown setting 'threshold'; choose from" in done.stderr


@pytest.mark.parametrize(
    ("chain", "message"),
    [
        ("fit", "fit: computes .*totalfield from unwrapped.*; the stages of the contract compute"),
        ("trth", "'trth' is not a built-in method"),
        ("truth", "'truth' is not a built-in method"),
        ("cosmos", "cosmos: computes chimap from"),
        ("magnitude_mask", "magnitude_mask: computes mask from magnitude, mask"),
    ],
)
def test_what_the_contract_has_no_stage_for(chain, message, tmp_path):
    with pytest.raises(QsmbenchError, match=message):
        as_folder.export(chain, tmp_path / "out")
    assert not (tmp_path / "out").exists()
