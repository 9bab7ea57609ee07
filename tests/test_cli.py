"""The command line: every verb explains itself, and bad input is one line and exit code 2."""

import json
import os
import re
import shutil
import subprocess
import sys

import measured_scan
import nibabel as nib
import numpy as np
import pandas as pd
import pytest

import qsmbench
from qsmbench import cli_show
from qsmbench.data import folders, volumes

CRASH = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"


def test_version(command):
    assert command("--version") == (0, f"qsmbench {qsmbench.__version__}\n", "")


@pytest.mark.parametrize("verb", ["run", "simulate", "reconstruct", "score", "report", "review", "list"])
def test_help_has_an_example(command, verb):
    code, out, _ = command(verb, "--help")
    assert code == 0
    assert f"Example: qsmbench {verb}" in " ".join(out.split())


@pytest.mark.parametrize("what", ["phantoms", "protocols", "methods", "metrics", "artifacts"])
def test_lists_have_a_row_each_with_the_name_first(command, what):
    code, out, _ = command("list", what)
    assert code == 0
    names = [line.split()[0] for line in out.splitlines() if not line.startswith(" ")]
    assert len(names) == len(set(names))
    known = {"phantoms": "sphere", "protocols": "brain-3t", "methods": "tkd", "metrics": "nrmse", "artifacts": "chi"}
    assert known[what] in names


def test_a_broken_package_does_not_hide_the_other_methods(tmp_path):
    """Whatever it does as it is imported: it is imported elsewhere."""
    modules = {"leaving": "import os; os._exit(0)", "stopping": "raise KeyboardInterrupt", "crashing": CRASH}
    for name, text in modules.items():
        (tmp_path / f"{name}.py").write_text(text)
    info = tmp_path / "theirs-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 0.1\n")
    points = [f"{name} = {name}:{name}" for name in (*modules, "absent")]
    (info / "entry_points.txt").write_text("[qsmbench.methods]\n" + "\n".join(points) + "\n")
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", "qsmbench.cli", "list", "methods"],
        env={**os.environ, "PYTHONPATH": path, "COLUMNS": "1000"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert done.returncode == 0, done.stderr
    assert "tkd" in lines
    assert "cannot be imported: the process ended (exit code 0)" in lines["leaving"]
    assert "KeyboardInterrupt" in lines["stopping"]
    assert "cannot be imported: the process ended (killed by SIGSEGV)" in lines["crashing"]
    assert "entry point qsmbench.methods:absent cannot be loaded: ModuleNotFoundError" in lines["absent"]


METRIC = """
from qsmbench.metrics import metric

@metric(unit="ppm", best=0.0, higher_is_better=False, reference="test")
def theirs(estimate, truth, mask):
    return float(abs(estimate[mask] - truth[mask]).max())

@metric(unit="ppm", best=0.0, higher_is_better=False, reference="test")
def raising(estimate, truth, mask):
    raise ValueError("no luck")
"""


def test_metrics_of_a_broken_package_leave_the_others(scan_folder, tmp_path):
    """A metric that cannot be imported, or that raises, is a row with its reason."""
    (tmp_path / "good.py").write_text(METRIC)
    (tmp_path / "leaving.py").write_text("import os; os._exit(0)")
    info = tmp_path / "theirs-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 0.1\n")
    points = ["theirs = good:theirs", "raising = good:raising", "leaving = leaving:leaving"]
    (info / "entry_points.txt").write_text("[qsmbench.metrics]\n" + "\n".join(points) + "\n")
    (tmp_path / "maps").mkdir()
    shutil.copy(scan_folder / "truth" / "chimap.nii.gz", tmp_path / "maps")
    shutil.copy(scan_folder / "scan" / "mask.nii.gz", tmp_path / "maps")
    for name in ("mask.nii.gz", "params.json"):
        shutil.copy(scan_folder / "scan" / name, scan_folder / "truth")
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", "qsmbench.cli", "score", "maps", "truth", "--csv", "scores.csv"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "scores.csv").set_index("metric")
    assert table.loc["theirs", "value"] == 0
    assert table.loc["nrmse", "value"] == 0
    assert table.loc["raising", "reason"] == "failed: ValueError: no luck"
    assert "the metric cannot be used: leaving: cannot be imported: the process ended" in table.loc["leaving", "reason"]


def test_scenarios_say_what_is_assumed(command, monkeypatch):
    from qsmbench.phantom.description.scenario import Scenario, scenarios
    from qsmbench.typed_yaml import load_yaml

    monkeypatch.setenv("COLUMNS", "1000")
    _, out, _ = command("list", "scenarios")
    said = {line.split()[0]: line.rstrip().endswith("(assumed)") for line in out.splitlines()}
    assert said == {name: load_yaml(path, Scenario).assumed for name, path in scenarios().items()}
    assert any(said.values())


def refused(result, message):
    """Exit code 2, one line on standard error, and what it says."""
    code, _, err = result
    assert code == 2
    assert "Traceback" not in err
    line = " ".join(err.split())
    assert line.startswith("qsmbench: ")
    assert re.search(message, line), line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["reconstruct", "a", "b", "c", "--time-limit", "soon"],
            "'--time-limit': .* not 'soon'; see qsmbench reconstruct --",
        ),
        (["reconstruct", "a", "b", "c", "--nonsense"], "No such option: --nonsense; see qsmbench reconstruct --help"),
        (["nonsense"], "No such command 'nonsense'; see qsmbench --help"),
        (["simulate", "sphere", "out", "--set", "voxel_size=[1,"], r"--set 'voxel_size=\[1,': '\[1,' is not YAML"),
        (
            ["simulate", "sphere", "out", "--set", "voxel_size=0.001"],
            r"takes at least \S+ MiB of memory, of which there are \d+",
        ),
        (["simulate", "sphere", "out", "--set", "voxel_siz=1"], r"choose from .*radius.*did you mean voxel_size\?"),
        (["score", "nowhere", "."], "nowhere: no such folder"),
        (["conform", "tkd", "--set", "threshold=-1"], "method tkd: threshold is -1; it must be 0 or more"),
        (["list", "methodes"], "cannot list 'methodes'; choose from phantoms, scenarios, protocols, methods, metrics"),
        (["run", "nowhere.yaml"], "nowhere.yaml: No such file"),
        (["simulate", "hed", "out"], "phantom 'hed' is unknown; choose from .*sphere"),
        (["simulate", "sphere", "out", "--protocol", "x"], "unknown protocol 'x'; choose from .*brain-3t"),
        (["simulate", "sphere", "out", "--set", "voxel_size"], "must be KEY=VALUE"),
        (["simulate", "sphere", "out", "--set", "voxel_sise=1"], "voxel_sise"),
        (["simulate", "sphere", "out", "--set", "voxel_size=-1"], "voxel_size"),
        (["simulate", "sphere", "out", "--format", "dicom"], "--format is 'dicom'; choose from artifacts, bids"),
        (["report", ".", "out"], "contains no scores.parquet"),
        (
            ["review", "--plan", "--claim", "blooming"],
            "--claim blooming: there is no such claim; choose from dipole-lobes",
        ),
        (["review", "--plan", "--claims", "nowhere.yaml"], "nowhere.yaml: No such file"),
        (["score", ".", "."], "holds neither chain.json nor a map to score; choose from chimap.nii.gz"),
        (["reconstruct", "romeo.fit", "nowhere", "out"], "nowhere: no such folder"),
    ],
)
def test_bad_arguments(command, monkeypatch, tmp_path, arguments, message):
    monkeypatch.chdir(tmp_path)
    refused(command(*arguments), message)


@pytest.mark.parametrize(
    ("chain", "more", "message"),
    [
        ("romeo.nosuch", [], "unknown method 'nosuch'; choose from"),
        ("romeo.tkd", [], "tkd needs local_field, which no earlier step produces"),
        ("truth.tkd", [], "uses the truth; name its folder with --truth"),
        ("romeo.fit", ["--set", "romeo.x=1"], "method romeo: unknown setting 'x'; choose from"),
        ("romeo.fit", ["--set", "romeo.offset_smoothin=1"], r"romeo: .*did you mean offset_smoothing\?"),
        ("romeo.fitt", [], r"unknown method 'fitt'; choose from .* \(did you mean fit\?\)"),
        ("romeo.fit", ["--truth", "nowhere"], "nowhere: no such folder; name the truth of a simulation"),
        ("romeo.fit", ["--set", "tkd.threshold=1"], "has no such step; it has romeo, fit"),
        ("romeo.fit", ["--set", "threshold=1"], "must be METHOD.KEY=VALUE"),
    ],
)
def test_bad_chains(command, scan_folder, chain, more, message):
    refused(command("reconstruct", chain, scan_folder / "scan", scan_folder / "out", *more), message)


def test_a_folder_that_holds_a_scan_is_told_apart(command, scan_folder):
    refused(command("reconstruct", "romeo.fit", scan_folder, scan_folder / "out"), "holds one; name .*scan$")


def test_the_summary_does_not_mix_maps_and_counts_failures(capfd, tmp_path):
    row = {"region": "", "support": "study", "metric": "nrmse", "unit": "%", "reason": "", "value": 10.0}
    rows = [{**row, "dataset": "a", "chain": "split", "artifact": "chi_para", "value": 90.0}]
    rows += [{**row, "dataset": "a", "chain": "split", "artifact": "chi"}]
    status = {"support": "run", "metric": "status", "reason": "failed: no luck", "value": np.nan, "artifact": "chi"}
    rows += [{**row, **status, "dataset": name, "chain": "bad"} for name in "ab"]
    pd.DataFrame(rows).to_parquet(tmp_path / "scores.parquet")
    cli_show.show_scores(tmp_path / "scores.parquet")
    out = capfd.readouterr().out
    assert re.search(r"split *│ *10 ", out), out
    assert out.count("no luck") == 1 and "bad on 2 datasets: failed: no luck" in out


def nan(scan, small):
    volume = small["scan"]["magnitude"].copy()
    volume[12, 10, 9] = np.nan
    folders.write(scan, {"magnitude": volume}, small["params"].grid)


def other_grid(scan, small):
    volumes.save_volume(scan / "magnitude.nii.gz", small["scan"]["magnitude"][:-1], small["params"].grid.affine)


def empty_mask(scan, small):
    folders.write(scan, {"mask": np.zeros_like(small["scan"]["mask"])}, small["params"].grid)


def truncated(scan, small):
    path = scan / "phase.nii.gz"
    path.write_bytes(path.read_bytes()[:2000])


def no_nifti(scan, small):
    (scan / "phase.nii.gz").write_text("not an image")


def fewer_echoes(scan, small):
    folders.write(scan, {"phase": small["scan"]["phase"][..., :2]}, small["params"].grid)


def degrees(scan, small):
    phase = np.rad2deg(small["scan"]["phase"])
    folders.write(scan, {"phase": phase * 180 / np.abs(phase).max()}, small["params"].grid)


def no_echo_times(scan, small):
    path = scan / "params.json"
    path.write_text(path.read_text().replace('"TE"', '"te"'))


def no_direction(scan, small):
    path = scan / "params.json"
    path.write_text(path.read_text().replace('"B0_dir"', '"direction"'))


def words_for_b0(scan, small):
    path = scan / "params.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "B0": "3T"}))


def complex_phase(scan, small):
    image = nib.load(scan / "phase.nii.gz")
    nib.Nifti1Image(np.exp(1j * image.get_fdata()).astype(np.complex64), image.affine).to_filename(
        scan / "phase.nii.gz"
    )


def no_mask(scan, small):
    (scan / "mask.nii.gz").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (nan, r"magnitude\.nii\.gz: 3 of \d+ voxels are NaN or infinite"),
        (other_grid, r"magnitude\.nii\.gz: shape \(23, 21, 19\) differs from the scan's \(24, 21, 19\)"),
        (empty_mask, r"mask\.nii\.gz: the mask is empty"),
        (truncated, r"phase\.nii\.gz: cannot be read as NIfTI"),
        (no_nifti, r"phase\.nii\.gz: cannot be read as NIfTI"),
        (fewer_echoes, r"phase\.nii\.gz: has 2 echoes, but params\.json has 3 echo times"),
        (degrees, r"phase\.nii\.gz: phase spans .*; it must be in radians"),
        (no_echo_times, r"params\.json: TE is missing"),
        (words_for_b0, r"params\.json: B0 is '3T'; it must be a field strength in T"),
        (complex_phase, r"phase\.nii\.gz: .*voxels are of type complex64; they must be real numbers"),
        (no_direction, r"params\.json: B0_dir is missing"),
        (no_mask, r"mask\.nii\.gz: no such file"),
    ],
    ids=lambda p: getattr(p, "__name__", ""),
)
def test_bad_scans(command, scan_folder, small, damage, message):
    damage(scan_folder / "scan", small)
    refused(command("reconstruct", "romeo.fit", scan_folder / "scan", scan_folder / "out"), message)


@pytest.fixture
def measured(tmp_path):
    """A BIDS dataset of two runs, and its scan."""
    s = measured_scan.scan()
    for run in ("1", "2"):
        measured_scan.bids(tmp_path / "ds", s, phase=s.phase / np.pi, units="arbitrary", stem=f"sub-01_run-{run}")
    return tmp_path / "ds", s


def test_a_measured_scan_is_chosen_and_stated(command, measured, tmp_path):
    root, s = measured
    mask = measured_scan.save(tmp_path / "m.nii.gz", s.mask.astype(np.uint8), s.affine)
    chosen = ["--subject", "01", "--run", "2", "--mask", mask, "--b0-dir", "0,0.6,0.8"]
    stated = ["--phase-unit", "pi", "--phase-sign", "-1"]
    code, out, err = command("reconstruct", "zero", root, tmp_path / "out", *chosen, *stated)
    assert code == 0, err
    assert "sub-01_run-2_part-phase_MEGRE.nii.gz: multiples of π −1…1 rescaled to radians (phase_unit says so)" in out
    params = folders.read_params(tmp_path / "out" / "scan")
    assert params.grid.b0_dir == (0, 0.6, 0.8)
    np.testing.assert_allclose(folders.read(tmp_path / "out" / "scan", "phase"), -s.phase, atol=1e-4)
    assert np.array_equal(folders.read(tmp_path / "out" / "scan", "mask"), s.mask)
    code, out, err = command("reconstruct", "zero", root, tmp_path / "out", "--run", "1", "--phase-scale", np.pi)
    assert code == 0, err
    np.testing.assert_allclose(folders.read(tmp_path / "out" / "scan", "phase"), s.phase, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "holds 2 scans: run-1, run-2; name one with run"),
        (["--run", "3"], "has no run-3; choose from run-1, run-2"),
        (["--run", "1", "--subject", "9"], "has no sub-9; choose from sub-01"),
        (["--run", "1", "--acq", "x"], "has no acq-x; choose from none without acq-"),
        (["--run", "1", "--phase-unit", "turns"], "phase_unit is 'turns'; choose from rad, mrad"),
        (["--run", "1", "--phase-unit", "pi", "--phase-scale", "1"], "both given"),
        (["--run", "1", "--phase-sign", "0"], "phase_sign is 0; it must be 1 or -1"),
        (["--run", "1", "--b0-dir", "up"], "--b0-dir is 'up'; it must be three numbers"),
        (["--run", "1", "--b0-dir", "0,0,2", "--phase-unit", "pi"], "it must be a unit vector"),
    ],
)
def test_what_cannot_be_stated(command, measured, tmp_path, options, message):
    refused(command("reconstruct", "zero", measured[0], tmp_path / "out", *options), re.escape(message))


def test_a_folder_of_artifacts_states_nothing(command, scan_folder):
    message = "is not a BIDS dataset, nor a folder with echoes.tsv; run is for these"
    refused(command("reconstruct", "zero", scan_folder / "scan", scan_folder / "out", "--run", "1"), message)


def test_output_that_cannot_be_written(command, scan_folder):
    (scan_folder / "file").write_text("")
    result = command("reconstruct", "romeo.fit", scan_folder / "scan", scan_folder / "file" / "out")
    refused(result, "file/out: cannot be written to")


def test_reconstruct_keeps_the_affine(command, scan_folder, small):
    code, _, err = command("reconstruct", "romeo.fit.pdf.tkd", scan_folder / "scan", scan_folder / "out")
    assert code == 0, err
    image = nib.load(scan_folder / "out" / "chimap.nii.gz")
    np.testing.assert_allclose(image.affine, small["params"].grid.affine, atol=1e-5)
    code, out, err = command("score", scan_folder / "out", scan_folder / "truth")
    assert code == 0, err
    assert "nrmse" in out


def test_scores_are_on_the_true_mask(command, scan_folder, small, tmp_path):
    """The scan's own mask decides what can be reconstructed, not what is asked for."""
    grid, mask = small["params"].grid, small["scan"]["mask"]
    half = mask.copy()
    half[: grid.shape[0] // 2] = False
    folders.write(scan_folder / "truth", {"mask": mask}, grid)
    folders.write(scan_folder / "scan", {"mask": half | ~mask}, grid)
    assert (
        command("reconstruct", "truth", scan_folder / "scan", tmp_path / "o", "--truth", scan_folder / "truth")[0] == 0
    )
    code, _, err = command("score", tmp_path / "o", scan_folder / "truth", "--csv", tmp_path / "s.csv")
    assert code == 0, err
    coverage = pd.read_csv(tmp_path / "s.csv").set_index("metric").loc["coverage", "value"]
    assert coverage == pytest.approx(100 * half.sum() / mask.sum())


def test_a_map_from_elsewhere_is_scored(command, scan_folder, small, tmp_path):
    """Only the map: what is not 0 was reconstructed."""
    grid = small["params"].grid
    folders.write(scan_folder / "truth", {"mask": small["scan"]["mask"]}, grid)
    folders.write_params(scan_folder / "truth", small["params"])
    half = small["truth"]["chi"] + np.float32(1)
    half[: grid.shape[0] // 2] = 0
    folders.write(tmp_path / "mine", {"chi": half}, grid)
    code, _, err = command("score", tmp_path / "mine", scan_folder / "truth", "--csv", tmp_path / "s.csv")
    assert code == 0, err
    table = pd.read_csv(tmp_path / "s.csv").set_index("metric")
    share = small["scan"]["mask"][grid.shape[0] // 2 :].sum() / small["scan"]["mask"].sum()
    assert table.loc["coverage", "value"] == pytest.approx(100 * share)
    assert 0 < table.loc["nrmse", "value"] < 100
