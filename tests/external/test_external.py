"""Folders of others' code, as the public QSM-CI contract defines them: what they get, and what they may do wrong."""

import csv
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import oracles
import pandas as pd
import psutil
import pytest
import yaml
from programs import engines, need, need_bubblewrap
from steps import step_spec

from qsmbench.data import artifacts, folders, volumes
from qsmbench.data.folders import Params
from qsmbench.dependencies import code_of
from qsmbench.errors import QsmbenchError
from qsmbench.external.container import Call, contained, native
from qsmbench.external.contract import NAMES, STAGES
from qsmbench.grid import Grid
from qsmbench.run import chains, registry, step
from qsmbench.study import config
from qsmbench.study.plan import Plan

DATA = Path(__file__).parent
TKD = ["tkd-python", "tkd-octave"]


def write_folder(path, script, **manifest):
    """A folder whose `run.sh` is `script`; it may not be executed, as if it came out of an archive."""
    path.mkdir()
    (path / "algorithm.yml").write_text(yaml.safe_dump({"stage": "dipole", "run": "bash run.sh", **manifest}))
    (path / "run.sh").write_text(f"set -eu\n{script}\n")
    (path / "run.sh").chmod(0o644)
    return path


@pytest.fixture
def run(scan_folder, tmp_path):
    """Run a folder whose script is given on the small scan, by default isolated; returns its record."""

    def run(script, *, settings=None, time_limit=60, memory_limit=None, container="none", **manifest):
        folder = tmp_path / "a method's folder"
        if not folder.exists():
            write_folder(folder, script, **manifest)
        limits = {"time_limit": time_limit, "memory_limit": memory_limit, "container": container}
        return step.run(step_spec(folder, tmp_path, tmp_path / "out", settings=settings or {}, **limits))

    return run


COPY = 'cp "$1/localfield.nii.gz" "$2/chimap.nii.gz"'


def log(tmp_path):
    return (tmp_path / "out" / "log.txt").read_text()


# What a folder gives


@pytest.fixture(scope="module")
def field():
    """A local field on an odd, anisotropic grid whose mask reaches every face, so that nothing is padded."""
    grid = Grid((25, 15, 27), (1.0, 1.3, 0.8), (0.36, -0.48, 0.8))
    x, y, z = grid.axes()
    mask = (x / 12) ** 2 + (y / 9.1) ** 2 + (z / 10.4) ** 2 <= 1.001
    chi = (0.1 * np.sin(x / 3) * np.cos(y / 4) + 0.05 * np.cos(z / 2)).astype(np.float32) * mask
    local = oracles.free_space_field(chi, grid.voxel_size, grid.b0_dir) * mask
    return {"local_field": local.astype(np.float32), "mask": mask, "grid": grid, "te": np.array([0.01]), "b0": 3.0}


def test_settings_have_the_meaning_that_their_folder_states(tmp_path):
    parameters = [{"name": "a", "default": 2, "description": "first\n of   two"}, {"name": "b"}]
    write_folder(tmp_path / "mine", "", parameters=parameters)
    method = registry.find(str(tmp_path / "mine"))
    assert (method.parameter_texts["a"], method.parameter_texts["b"]) == ("first of two", "")
    assert method.parameter_texts["te"] and method.settings == {"a": 2, "b": None}


@pytest.mark.parametrize("threshold", [None, 0.1])
@pytest.mark.parametrize("name", TKD)
def test_tkd_of_other_languages_is_ours(field, name, threshold):
    if name == "tkd-octave":
        need("octave-cli")
    settings = {} if threshold is None else {"threshold": threshold}
    (theirs,) = registry.find(str(DATA / name))(**field, **settings)
    own = registry.find("tkd")
    ours = own(*(field[n] for n in own.consumes), **settings, pad=0.0)
    assert np.std(ours[field["mask"]]) > 0.03
    np.testing.assert_allclose(theirs, ours, atol=2e-6)


def test_the_peer_runs_the_same_folder_to_the_same_end(field, tmp_path):
    """qsm-ci and we give one folder the same files and the same environment."""
    pytest.importorskip("qsm_ci")
    folders.write(tmp_path, {n: field[n] for n in ("local_field", "mask")}, field["grid"])
    folders.write_params(tmp_path, Params(field["te"], field["b0"], field["grid"]))
    arguments = ["--localfield", "localfield.nii.gz", "--mask", "mask.nii.gz", "--params", "params.json"]
    peer = "import sys; from qsm_ci.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", peer, "run", str(DATA / "tkd-python"), *arguments, "-o", "chi.nii.gz"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [*command, "--runner", "local", "--set", "threshold=0.15"],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (ours,) = registry.find(str(DATA / "tkd-python"))(**field, threshold=0.15)
    np.testing.assert_array_equal(volumes.open_volume(tmp_path / "chi.nii.gz")[0], ours)


def test_the_stages_are_the_peers():
    stages = pytest.importorskip("qsm_ci.stages")
    assert list(STAGES) == list(stages.STAGES)
    for name, stage in STAGES.items():
        theirs = stages.STAGES[name]
        assert (set(stage.consumes) | {"params"}, list(stage.produces)) == (set(theirs["consumes"]), theirs["produces"])
        if "magnitude" in stage.consumes:
            assert stage.magnitude_is_optional == stages.is_optional(name, "magnitude"), name
    known = {f: n for n, f in stages.ARTIFACT_FILE.items() if n != "params"}
    assert {artifacts.ARTIFACTS[NAMES[n]].file: n for n in known.values()} == known


# What a folder gets


def test_it_gets_what_it_consumes_and_no_more(run, tmp_path, small):
    script = f'ls -A "$1"; ls -A "$2"; env; echo "$# arguments: $*"; {COPY}; cp "$1"/* {shlex.quote(str(tmp_path))}'
    parameters = [{"name": "lambda", "default": 3}, {"name": "pad-size", "default": None}]
    record = run(script, parameters=parameters, settings={"lambda": 0.5, "pad-size": "a b'c"})
    assert (record.status, record.reason) == ("ok", "")
    said = log(tmp_path).splitlines()
    assert said[:4] == ["config.json", "localfield.nii.gz", "mask.nii.gz", "params.json"]
    assert "2 arguments" in log(tmp_path)
    variables = dict(line.split("=", 1) for line in said if "=" in line)
    assert variables["QSMCI_TE"] == "0.004 0.009 0.014"
    assert (variables["QSMCI_TE0"], variables["QSMCI_B0"]) == ("0.004", "3.0")
    assert np.allclose(np.fromstring(variables["QSMCI_B0_DIR"], sep=" "), small["params"].grid.b0_dir, atol=1e-6)
    assert np.allclose(np.fromstring(variables["QSMCI_VOXEL_SIZE"], sep=" "), (1, 1.1, 1.25), atol=1e-6)
    assert (variables["QSMCI_SET_LAMBDA"], variables["QSMCI_SET_PAD-SIZE"]) == ("0.5", "a b'c")
    assert json.loads((tmp_path / "config.json").read_text()) == {"lambda": 0.5, "pad-size": "a b'c"}
    content = json.loads((tmp_path / "params.json").read_text())
    assert content["TE"] == [0.004, 0.009, 0.014]
    assert str(tmp_path / "truth") not in log(tmp_path)
    found = folders.read(tmp_path / "out", "chi", small["params"].grid)
    np.testing.assert_array_equal(found, small["truth"]["local_field"])


def test_the_peer_hands_over_the_same_variables(field, tmp_path):
    containers = pytest.importorskip("qsm_ci.containers")
    from qsmbench.external import folder

    inputs = tmp_path / "in"
    params = Params(np.array([0.004, 0.0125]), 2.89, field["grid"])
    folder._write_inputs(inputs, {"mask": field["mask"]}, params, {"lambda": 1e-3, "deep": True, "n": [1, 2]})
    ours = folder._variables(inputs)
    ours.pop("OMP_NUM_THREADS", None)
    assert ours == containers._param_env(inputs)


def test_without_settings_there_is_no_config(run, tmp_path):
    assert run(f'test ! -e "$1/config.json"; {COPY}').status == "ok"


def test_what_it_reads_is_a_copy_that_may_not_be_written(run, scan_folder):
    before = (scan_folder / "scan" / "mask.nii.gz").read_bytes()
    modes = 'stat -c %a "$1" "$1"/* | sort -u'
    spoil = 'chmod -R u+w "$1"; for f in "$1"/*.nii.gz; do echo rubbish > "$f"; done'
    record = run(f"{modes}; {COPY}; {spoil}")
    assert record.status == "ok"
    assert log(scan_folder).splitlines() == ["444", "555"]
    assert (scan_folder / "scan" / "mask.nii.gz").read_bytes() == before


@pytest.mark.parametrize(
    ("inputs", "read"),
    [
        ({"stage": "field-mapping"}, ["magnitude", "mask", "phase"]),
        ({"stage": "bfr+dipole"}, ["magnitude", "mask", "totalfield"]),
        ({"stage": "dipole", "optional_inputs": ["magnitude", "fat-fraction"]}, ["localfield", "magnitude", "mask"]),
        ({"stage": "dipole", "inputs": ["localfield", "params"]}, ["localfield"]),
        ({"stage": "chi-separation", "inputs": ["chimap", "r2prime", "mask"]}, ["chimap", "mask", "r2prime"]),
    ],
)
def test_inputs_that_it_names(run, tmp_path, inputs, read):
    run('cd "$1"; echo *.nii.gz', **inputs)
    assert log(tmp_path).split() == [f"{name}.nii.gz" for name in read]


def test_what_it_leaves_in_its_own_folder_is_its_own_affair(run, tmp_path):
    """It runs in a folder for temporary files, which is gone afterwards; so is what it left in TMPDIR."""
    record = run(f'echo left > here; mktemp > "$TMPDIR/there"; pwd; echo "$TMPDIR"; {COPY}')
    assert record.status == "ok"
    where, temporary = log(tmp_path).split()
    assert where == temporary
    assert not Path(where).exists()
    assert sorted(f.name for f in (tmp_path / "a method's folder").iterdir()) == ["algorithm.yml", "run.sh"]


# What a folder may do wrong


@pytest.mark.parametrize(
    ("script", "status", "reason"),
    [
        ("echo no licence; exit 3", "failed", r"RuntimeError: bash run.sh: exit code 3 \(no licence\)$"),
        (
            "nosuchprogram",
            "failed",
            r"RuntimeError: bash run.sh: exit code 127 \(.*nosuchprogram: command not found\)$",
        ),
        ("kill -9 $$", "failed", "RuntimeError: bash run.sh: killed by signal 9"),
        ("true", "failed", "ValueError: wrote no chimap.nii.gz; it wrote nothing"),
        ('touch "$2/chi.nii"', "failed", "ValueError: wrote no chimap.nii.gz; it wrote chi.nii"),
        ('echo rubbish > "$2/chimap.nii.gz"', "failed", "ValueError: chimap.nii.gz: cannot be read as NIfTI"),
        (
            'head -c 3000 "$1/localfield.nii.gz" > "$2/chimap.nii.gz"',
            "failed",
            r"ValueError: chimap.nii.gz: cannot be read as NIfTI, truncated or damaged \(Compressed",
        ),
        # what a link leads to on the machine that reads it, the folder may never have been shown
        ('ln -s /input/localfield.nii.gz "$2/chimap.nii.gz"', "failed", "ValueError: chimap.nii.gz: is not a plain"),
        ('ln -s "$1/localfield.nii.gz" "$2/chimap.nii.gz"', "failed", "ValueError: chimap.nii.gz: is not a plain file"),
        ('mkdir "$2/chimap.nii.gz"', "failed", "ValueError: chimap.nii.gz: is not a plain file"),
        ('mkfifo "$2/chimap.nii.gz"', "failed", "ValueError: chimap.nii.gz: is not a plain file"),
        ("sleep 600", "timeout", "took longer than its limit of 3 s"),
    ],
)
def test_failures(run, tmp_path, script, status, reason):
    record = run(script, time_limit=3 if "sleep" in script else 60)
    assert record.status == status
    assert re.match(reason, record.reason), record.reason
    assert str(tmp_path) not in record.reason
    assert not list((tmp_path / "out").glob("*.nii.gz"))


def spoilt(name, small):
    """A susceptibility map that is wrong in one way, and its affine."""
    chi, affine = small["truth"]["chi"].copy(), small["params"].grid.affine.copy()
    mask = small["scan"]["mask"]
    if name == "nan":
        chi[mask.nonzero()[0][0], mask.nonzero()[1][0], mask.nonzero()[2][0]] = np.nan
    elif name == "infinite":
        chi[mask] = np.inf
    elif name == "shape":
        chi = chi[1:]
    elif name == "transposed":
        chi = chi.transpose(2, 1, 0)
    elif name == "echoes":
        chi = np.stack([chi, chi], -1)
    elif name == "voxel size":
        affine[:3, :3] *= 2
    elif name == "shifted":
        affine[:3, 3] += 1.0
    elif name == "flipped":
        affine[0] *= -1
    elif name == "zero":
        chi = np.zeros_like(chi)
    elif name == "constant":
        chi = np.where(mask, 0.25, chi).astype(np.float32)
    elif name == "complex":
        chi = chi.astype(np.complex64)
    elif name == "colours":
        chi = np.zeros(chi.shape, [("R", "u1"), ("G", "u1"), ("B", "u1")])
    return nib.Nifti1Image(chi, affine)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nan", "ValueError: chi has 1 NaN or infinite voxels"),
        ("infinite", "ValueError: chi has .* NaN or infinite voxels"),
        ("shape", r"ValueError: chimap.nii.gz has shape \(23, 21, 19\); the scan has \(24, 21, 19\)"),
        ("transposed", r"ValueError: chimap.nii.gz has shape \(19, 21, 24\); the scan has"),
        ("echoes", r"ValueError: chi has shape \(24, 21, 19, 2\)"),
        ("voxel size", r"ValueError: chimap.nii.gz: its affine \(voxel size \[2.0, 2.2, 2.5\]\) moves a corner by"),
        ("shifted", "ValueError: chimap.nii.gz: its affine .* moves a corner by 1 mm"),
        ("flipped", "ValueError: chimap.nii.gz: its affine"),
        ("zero", r"ValueError: chi: constant within the mask \(0\)"),
        ("constant", r"ValueError: chi: constant within the mask \(0.25\)"),
        ("complex", r"ValueError: chimap.nii.gz: .*its voxels are of type complex64; they must be real numbers"),
        ("colours", r"ValueError: chimap.nii.gz: .*; they must be real numbers"),
    ],
)
def test_garbage(run, tmp_path, small, name, reason):
    spoilt(name, small).to_filename(tmp_path / "garbage.nii.gz")
    record = run(f'cp {shlex.quote(str(tmp_path / "garbage.nii.gz"))} "$2/chimap.nii.gz"')
    assert record.status == "failed"
    assert re.match(reason, record.reason), record.reason
    assert not list((tmp_path / "out").glob("*.nii.gz"))


def test_a_log_is_cut(run, tmp_path):
    record = run(f"head -c 4000000 /dev/zero | tr '\\0' x; yes no end | head -n 300000; echo last; {COPY}; exit 3")
    assert record.reason.endswith("(last)")
    assert 1e6 < len(log(tmp_path)) < 1.2e6
    assert log(tmp_path).startswith("xxxx")
    assert log(tmp_path).endswith("no end\nlast\n")
    assert len(re.findall(r"\n… \d+ bytes are left out …\n", log(tmp_path))) == 1


@pytest.mark.parametrize("affine", ["identity", "voxel size", "none"])
def test_a_map_that_does_not_say_where_it_lies_is_on_the_grid(run, tmp_path, small, affine):
    """Many programs write arrays with a bare header; NaN outside the mask is as common."""
    chi, mask = small["truth"]["chi"].copy(), small["scan"]["mask"]
    chi[~mask] = np.nan
    bare = {"identity": np.eye(4), "voxel size": np.diag([*small["params"].grid.voxel_size, 1]), "none": None}[affine]
    nib.Nifti1Image(chi, bare).to_filename(tmp_path / "bare.nii.gz")
    record = run(f'cp {shlex.quote(str(tmp_path / "bare.nii.gz"))} "$2/chimap.nii.gz"')
    assert (record.status, record.reason) == ("ok", "")
    found = folders.read(tmp_path / "out", "chi", small["params"].grid)
    np.testing.assert_array_equal(found, np.where(mask, chi, 0))


def test_an_empty_mask_is_no_mask(run, tmp_path, small):
    empty = nib.Nifti1Image(np.zeros(small["params"].grid.shape, np.uint8), small["params"].grid.affine)
    empty.to_filename(tmp_path / "empty.nii.gz")
    record = run(f'cp {shlex.quote(str(tmp_path / "empty.nii.gz"))} "$2/mask.nii.gz"', stage="brain-extraction")
    assert record.reason == "ValueError: its mask is empty"


def test_a_field_of_zeros_may_give_a_map_of_zeros(run, scan_folder, small):
    grid = small["params"].grid
    folders.write(scan_folder / "truth", {"local_field": np.zeros(grid.shape, np.float32)}, grid)
    assert run(COPY).status == "ok"


def sleepers(seconds):
    """Processes `sleep SECONDS`, a few seconds at most after they should have ended."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        found = [p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == ["sleep", seconds]]
        if all(p.status() == psutil.STATUS_ZOMBIE for p in found):
            return []
        time.sleep(0.1)
    return found


@pytest.mark.parametrize("end", ["ok", "timeout"])
def test_nothing_is_left_running(run, end):
    seconds = f"6{os.getpid()}.{len(end)}"
    ways = ["sleep {} &", "(sleep {} &)", "setsid sleep {} &", "sleep {} > /dev/null 2>&1 &"]
    background = "\n".join(way.format(seconds) for way in ways)
    record = run(f"{background}\n{COPY}\n{'true' if end == 'ok' else f'sleep {seconds}'}", time_limit=4)
    assert record.status == end, record.reason
    assert not sleepers(seconds)


def test_a_killed_step_leaves_nothing(scan_folder, tmp_path):
    seconds = f"8{os.getpid()}.5"
    where = shlex.quote(str(tmp_path / "where"))
    folder = write_folder(tmp_path / "mine", f'echo "$TMPDIR" > {where}\nsleep {seconds} &\nsleep {seconds}')
    spec = json.dumps(step_spec(folder, scan_folder, tmp_path / "out").to_json())
    code = "import json, sys; from qsmbench.run import specs, step; "
    code += "step.run(specs.StepSpec.from_json(json.loads(sys.argv[1]), 'step'))"
    running = subprocess.Popen([sys.executable, "-c", code, spec])
    deadline = time.monotonic() + 30
    while not (tmp_path / "where").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(0.5)
    running.kill()
    running.wait()
    assert not sleepers(seconds)
    scratch = Path((tmp_path / "where").read_text().strip())
    assert not scratch.exists()
    assert not scratch.parent.exists()


GREEDY = 'python3 -c "a = bytearray({} * 2**20); import time; time.sleep(60)"'


@pytest.mark.parametrize(
    "script",
    [
        GREEDY.format(600),
        # neither of them alone is too much
        f"{GREEDY.format(300)} &\n{GREEDY.format(300)}",
    ],
)
def test_a_memory_limit(run, script):
    record = run(script, memory_limit=500)
    assert (record.status, record.reason) == ("memory", "took more memory than its limit of 500 MiB")
    assert record.seconds < 30


def test_within_the_memory_limit(run):
    """What two processes share after a fork counts once."""
    fork = "a = bytearray(250 * 2**20); import os, time; pid = os.fork(); time.sleep(1); pid and os.wait()"
    record = run(f'python3 -c "{fork}"\n{COPY}', memory_limit=500)
    assert (record.status, record.reason) == ("ok", "")


# What is refused before anything runs


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ({"stage": "dipol"}, "algorithm.yml: stage is 'dipol'; choose from field-mapping, bfr, dipole, unwrap"),
        ({"stage": None}, "stage is None; choose from"),
        (
            {"inputs": ["localfeld"]},
            "inputs holds 'localfeld'; choose from phase, magnitude, mask, unwrapped, totalfield",
        ),
        ({"inputs": "localfield"}, "inputs is 'localfield'; it must be a list of artifacts"),
        (
            {"optional_inputs": ["chimap"]},
            "optional_inputs holds 'chimap', which is the result of this stage",
        ),
        ({"run": ""}, "run is ''; it must be a command"),
        ({"run": "bash start.sh"}, r"start\.sh: no such file, but algorithm.yml says run: bash start.sh"),
        ({"parameters": ["threshold"]}, "parameters is .*; it must be a list of mappings with a name each"),
        ({"parameters": [{"name": "mask"}]}, "a parameter is called 'mask', which is the name of an artifact"),
    ],
)
def test_illegal_folders(tmp_path, manifest, message):
    folder = write_folder(tmp_path / "mine", COPY, **manifest)
    with pytest.raises(QsmbenchError, match=message) as caught:
        registry.find(str(folder))
    assert "\n" not in str(caught.value)


def test_other_illegal_folders(tmp_path):
    with pytest.raises(QsmbenchError, match="nowhere: no such folder; a method's path must name a folder with an"):
        registry.find(str(tmp_path / "nowhere"))
    with pytest.raises(QsmbenchError, match=r"algorithm\.yml: No such file"):
        registry.find(str(tmp_path))
    folder = write_folder(tmp_path / "windows", COPY)
    (folder / "run.sh").write_bytes(b"#!/bin/bash\r\ntrue\r\n")
    with pytest.raises(QsmbenchError, match=r"run\.sh: has the line endings of Windows"):
        registry.find(str(folder))
    (folder / "algorithm.yml").write_bytes(b"stage: dipole\r\nrun: bash run.sh\r\n")
    (folder / "run.sh").write_bytes(b"true\n")
    assert registry.find(str(folder)).produces == ("chi",)
    with pytest.raises(QsmbenchError, match="names no image to run in docker; set container: none or bubblewrap"):
        registry.find(str(folder), container="docker")


def test_a_folder_does_not_hide_a_method_of_ours(tmp_path, monkeypatch):
    write_folder(tmp_path / "tkd", COPY)
    write_folder(tmp_path / "other", COPY)
    monkeypatch.chdir(tmp_path)
    assert registry.find("tkd").source.name == "tkd.py"
    assert registry.find("./tkd").source.name == "folder.py"
    assert registry.find("other").name == registry.find("other/algorithm.yml").name == "other"
    assert registry.find("tkd/algorithm.yml").source.name == "folder.py"
    assert registry.find(f"{tmp_path}/tkd").source.name == "folder.py"


def test_a_folder_in_a_study(tmp_path):
    folder = write_folder(tmp_path / "mine", COPY, parameters=[{"name": "lambda", "default": 1}])
    (folder / "weights.bin").write_bytes(b"w")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "x.pyc").write_bytes(b"x")
    sphere = {"phantom": "sphere", "protocol": "brain-3t"}
    study = {"study": "s", "datasets": [sphere], "chains": ["truth.mine"], "memory_limit": 900, "container": "none"}
    study["methods"] = {"mine": {"use": str(folder), "set": {"lambda": 2}}}
    plan = Plan(config.parse(study, "x.yaml"))
    jobs = {j.name: j for j in plan.jobs()}
    spec = jobs["step sphere_brain-3t_seed-0 truth.mine"].spec
    assert (spec["settings"], spec["memory_limit"], spec["container"]) == ({"lambda": 2}, 900, "none")
    method = plan.steps["truth.mine"].method
    names = [f.name for f in code_of([method.source], method.files).files]
    assert {"algorithm.yml", "run.sh", "weights.bin", "folder.py", "contract.py"} <= set(names)
    assert "x.pyc" not in names
    assert "folder.py" not in [f.name for f in code_of([plan.steps["truth"].method.source]).files]
    for change, message in [
        (
            {"container": "lxc"},
            "container is 'lxc': input should be 'none', 'bubblewrap', 'docker', 'podman' or 'apptainer'",
        ),
        ({"memory_limit": 0}, "memory_limit is 0: input should be greater than 0"),
        ({"container": "podman"}, "names no image to run in podman"),
        (
            {"methods": {"mine": {"use": str(folder), "set": {"lamda": 2}}}},
            "unknown setting 'lamda'; choose from lambda",
        ),
        ({"chains": ["romeo.mine"]}, "mine needs local_field, which no earlier step produces"),
    ]:
        with pytest.raises(QsmbenchError, match=message):
            config.parse({**study, **change}, "x.yaml")


def test_what_it_takes_if_it_is_there_need_not_be_there(tmp_path):
    write_folder(tmp_path / "mine", COPY, optional_inputs=["r2prime"])
    (last,) = chains.steps("romeo.fit.vsharp.mine", lambda n: chains.Use(str(tmp_path / n) if n == "mine" else n))[-1:]
    assert last.method.optional == ("r2prime",)


# Containers


@pytest.fixture
def call(tmp_path):
    folder = write_folder(tmp_path / 'a, "b" c=d', COPY)
    made = [tmp_path / name for name in ("in", "out", "tmp")]
    return Call(folder, "bash run.sh", *made, {"QSMCI_TE": "0.004 0.009", "QSMCI_SET_X": "a,b=c 'd' $HOME"})


def mounts(command):
    """Target → (source, rest) of each mount, read as the engines do: as comma-separated values."""
    lines = [command[i + 1] for i, word in enumerate(command) if word == "--mount"]
    fields = [next(csv.reader([line])) for line in lines]
    named = [dict(f.partition("=")[::2] for f in line) for line in fields]
    assert all(m["type"] == "bind" for m in named)
    return {m["target"]: (Path(m["source"]), "readonly" in m) for m in named}


@pytest.mark.parametrize("engine", ["docker", "podman", "apptainer"])
def test_a_container_sees_three_folders_and_no_network(call, engine):
    command = contained(call, engine, "ghcr.io/me/mine:v1", 500)
    assert mounts(command) == {
        "/algo": (call.folder, True),
        "/input": (call.inputs, True),
        "/output": (call.outputs, False),
    }
    assert command[command.index("--network") + 1] == "none"
    image = "docker://ghcr.io/me/mine:v1" if engine == "apptainer" else "ghcr.io/me/mine:v1"
    assert command[command.index(image) :] == [image, "bash", "/algo/run.sh", "/input", "/output"]
    given = command[command.index(image) - 1 :: -1]
    if engine == "apptainer":
        assert {"--containall", "--net", "--no-eval"} <= set(given)
        assert command[0] == "env"
        assert "APPTAINERENV_QSMCI_SET_X=a,b=c 'd' $HOME" in given
        assert command[command.index("--workdir") + 1] == str(call.scratch)
        assert not {"--bind", "-B", "--no-home"} & set(given)
    else:
        assert command[:3] == [engine, "run", "--rm"]
        assert command[command.index("--memory") + 1] == "500m"
        assert command[command.index("--memory-swap") + 1] == "500m"
        assert command[command.index("--cidfile") + 1] == str(call.scratch / "container.cid")
        assert command[command.index("QSMCI_TE=0.004 0.009") - 1] == "--env"
        assert "--privileged" not in command
        rootless = engine == "podman" and os.getuid() != 0  # podman keeps ids without root only, and refuses with
        assert ("--userns=keep-id" if rootless else f"{os.getuid()}:{os.getgid()}") in command


@pytest.mark.parametrize("engine", ["docker", "podman", "apptainer"])
def test_a_container_covers_results_in_the_folder_of_the_method(call, engine):
    """An empty folder lies over them."""
    call.scratch.mkdir()
    results = call.folder / "results, of a study"
    results.mkdir()
    elsewhere = call.scratch / "elsewhere"
    bound = mounts(contained(replace(call, hidden=[results, elsewhere]), engine, "image:1"))
    assert bound.pop("/algo/results, of a study") == (call.scratch / "nothing", True)
    assert set(bound) == {"/algo", "/input", "/output"} and not list((call.scratch / "nothing").iterdir())
    with pytest.raises(QsmbenchError, match="would be shown to the method, but holds results; put them elsewhere"):
        contained(replace(call, hidden=[call.folder]), engine, "image:1")


def test_container_images(call):
    assert "local.sif" in contained(call, "apptainer", "local.sif")
    assert "library://me/mine:1" in contained(call, "apptainer", "library://me/mine:1")
    assert "--memory" not in contained(call, "docker", "x")
    with pytest.raises(
        QsmbenchError, match="container is 'lxc'; choose from none, bubblewrap, docker, podman, apptainer"
    ):
        registry.find(str(call.folder), container="lxc")


@pytest.mark.parametrize(
    ("run_", "words"),
    [
        ("bash run.sh", ["bash", "{}/run.sh"]),
        ("run.sh", ["bash", "{}/run.sh"]),
        ("./run.sh --fast 'a b'", ["bash", "{}/run.sh", "--fast", "a b"]),
        ("python3 -u sub/x.py", ["python3", "-u", "{}/sub/x.py"]),
    ],
)
def test_commands_of_authors(call, run_, words):
    (call.folder / "sub").mkdir()
    (call.folder / "sub" / "x.py").touch()
    other = Call(call.folder, run_, call.inputs, call.outputs, call.scratch, {})
    assert native(other) == [*(w.format(call.folder) for w in words), str(call.inputs), str(call.outputs)]
    assert contained(other, "docker", "x")[-len(words) - 2 : -2] == [w.format("/algo") for w in words]


ENGINE = '''#!{python}
"""An engine that keeps no one in: it runs the command on this machine, in a session of its own, as a daemon would."""
import csv, os, pathlib, subprocess, sys

here = pathlib.Path(__file__).parent
words = sys.argv[1:]
with (here / "calls").open("a") as calls:
    print(*words, file=calls)
if words[0] == "rm":
    os.killpg(int(words[2]), 9)
    sys.exit()
pairs = list(zip(words, words[1:]))
bound = [dict(f.partition("=")[::2] for f in next(csv.reader([b]))) for a, b in pairs if a == "--mount"]
command = words[words.index("image:1") + 1 :]
for m in bound:
    command = [w.replace(m["target"], m["source"], 1) if w.startswith(m["target"]) else w for w in command]
env = dict(b.split("=", 1) for a, b in pairs if a == "--env")
running = subprocess.Popen(command, env={{**os.environ, **env}}, start_new_session=True)
pathlib.Path(words[words.index("--cidfile") + 1]).write_text(str(running.pid))
sys.exit({code} or running.wait())
'''


@pytest.fixture
def engine(tmp_path, monkeypatch):
    """Put an engine called docker into PATH; returns what it was called with."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def make(code=0):
        (folder / "docker").write_text(ENGINE.format(python=sys.executable, code=code))
        (folder / "docker").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        return lambda: (folder / "calls").read_text().splitlines()

    return make


def test_a_container_gives_a_map(run, engine, tmp_path, small):
    calls = engine()
    record = run(f'test "$QSMCI_TE0" = 0.004; {COPY}', container="docker", image="image:1")
    assert (record.status, record.reason) == ("ok", ""), log(tmp_path)
    assert record.peak_memory is None
    assert calls()[0].startswith("run --rm --network none")
    found = folders.read(tmp_path / "out", "chi", small["params"].grid)
    np.testing.assert_array_equal(found, small["truth"]["local_field"])


def test_a_container_ends_with_its_step(run, engine):
    seconds = f"7{os.getpid()}.25"
    calls = engine()
    record = run(f"sleep {seconds}", container="docker", image="image:1", time_limit=4)
    assert record.status == "timeout"
    assert calls()[-1].startswith("rm --force ")
    assert not sleepers(seconds)


def test_a_container_that_took_too_much_memory(run, engine):
    engine(code=137)
    record = run(COPY, container="docker", image="image:1", memory_limit=500)
    assert (record.status, record.reason) == ("memory", "took more memory than its limit of 500 MiB")


def test_an_engine_that_is_not_there(run, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    record = run(COPY, container="apptainer", image="image:1")
    assert record.status == "failed"
    assert record.reason.startswith("apptainer: no such program on this machine")


# Containers that are there: bubblewrap where it is installed, and the engines that `programs.engines` names


@pytest.fixture(params=[*engines().items(), ("bubblewrap", "")], ids=lambda p: p[0])
def place(request):
    if request.param[0] == "bubblewrap":
        need_bubblewrap()
    return request.param


@pytest.fixture
def inside(run, place):
    """Run a script in an engine that is there; returns its record."""
    engine, image = place
    return lambda script, **more: run(script, container=engine, **({"image": image} if image else {}), **more)


def test_inside_it_gives_its_map(inside, tmp_path, small):
    record = inside(f'test "$QSMCI_TE0" = 0.004; {COPY}')
    assert (record.status, record.reason) == ("ok", ""), log(tmp_path)
    found = folders.read(tmp_path / "out", "chi", small["params"].grid)
    np.testing.assert_array_equal(found, small["truth"]["local_field"])


def test_inside_python_and_its_libraries_work(inside, place, tmp_path, small):
    folder = tmp_path / "a method's folder"
    shutil.copytree(DATA / "tkd-python", folder)
    with (folder / "algorithm.yml").open("a") as manifest:
        manifest.write(f"\nimage: {place[1] or 'none'}\n")
    record = inside("")
    assert (record.status, record.reason) == ("ok", ""), log(tmp_path)
    params = small["params"]
    values = {"local_field": small["truth"]["local_field"], "mask": small["scan"]["mask"], **vars(params)}
    (outside,) = registry.find(str(DATA / "tkd-python"))(**values)
    np.testing.assert_allclose(folders.read(tmp_path / "out", "chi", params.grid), outside, atol=2e-6)


def test_bubblewrap_shows_the_python_wherever_it_lies(call, monkeypatch):
    """A virtual environment below /tmp, say, which is another folder inside; but not what else lies in its folder."""
    need_bubblewrap()
    for made in (call.inputs, call.outputs, call.scratch):
        made.mkdir()
    environment = call.scratch.parent / "environment"
    (environment / "lib").mkdir(parents=True)
    for place, content in ((environment, "a result"), (environment / "lib", "found")):
        (place / "told").write_text(content)
    monkeypatch.setattr(sys, "prefix", str(environment))
    for place, content in ((environment, ""), (environment / "lib", "found")):
        looking = replace(call, run=f"cat {shlex.quote(str(place / 'told'))}")
        done = subprocess.run(contained(looking, "bubblewrap", ""), capture_output=True, text=True)
        assert done.stdout == content, done.stderr


LOOK = r"""
for file in "$1"/* "$0"; do if echo x >> "$file"; then echo "wrote $file"; fi; done 2> /dev/null
if touch "$1/new" 2> /dev/null; then echo "wrote in $1"; fi
if test -e {secret}; then echo "saw {secret}"; fi
find {place} -path /proc -prune -o -name "chimap.nii.gz" -print 2> /dev/null || true
grep -E "^ *[a-z0-9]+:" /proc/net/dev | grep -v "lo:" || true
ls /proc | grep -E "^[0-9]+$" | wc -l | awk '$1 > 20 {{print "sees processes of others"}}'
cp "$1/localfield.nii.gz" "$2/chimap.nii.gz"
"""


def test_inside_nothing_else_is_to_be_seen(inside, scan_folder, tmp_path):
    """Inputs cannot be written, the truth is not to be found, there is no network but to itself."""
    secret = scan_folder / "truth" / "chimap.nii.gz"
    assert secret.exists()
    record = inside(LOOK.format(secret=shlex.quote(str(secret)), place="/"))
    assert (record.status, record.reason) == ("ok", ""), log(tmp_path)
    assert log(tmp_path) == ""


def test_without_a_container_the_same_looking_finds(run, scan_folder, tmp_path):
    """What the test before looks for can be found."""
    secret = scan_folder / "truth" / "chimap.nii.gz"
    run(LOOK.format(secret=shlex.quote(str(secret)), place=shlex.quote(str(scan_folder))))
    assert f"saw {secret}" in log(tmp_path)
    assert str(secret) in log(tmp_path).splitlines()


def test_inside_a_limit_of_time_ends_it(inside):
    seconds = f"8{os.getpid()}.25"
    record = inside(f"sleep {seconds} & sleep {seconds}", time_limit=5)
    assert (record.status, record.reason) == ("timeout", "took longer than its limit of 5 s")
    assert not sleepers(seconds)


def test_inside_a_limit_of_memory_ends_it(inside):
    record = inside("python3 -c 'x = bytearray(3 << 30); print(len(x))'", memory_limit=1000)
    assert (record.status, record.reason) == ("memory", "took more memory than its limit of 1000 MiB")


# From the command line, and in a study


@pytest.fixture
def qsmbench(forks):
    """Run `qsmbench` in a folder."""
    return lambda folder, *arguments: forks.run(arguments, folder)


def test_reconstruct_takes_a_folder(scan_folder, small, qsmbench):
    write_folder(scan_folder / "a method's folder", f"echo $QSMCI_SET_K; {COPY}", parameters=[{"name": "k"}])
    arguments = ["truth.mine", "scan", "out", "--truth", "truth", "--method", "mine=a method's folder"]
    done = qsmbench(scan_folder, "reconstruct", *arguments, "--set", "mine.k=[1, 2]", "--memory-limit", "2000")
    assert done.returncode == 0, done.stderr
    found = folders.read(scan_folder / "out", "chi", small["params"].grid)
    np.testing.assert_array_equal(found, small["truth"]["local_field"])
    assert (scan_folder / "out" / "steps" / "truth.mine" / "log.txt").read_text() == "[1, 2]\n"
    for more, message in [
        (["--method", "mine"], "--method 'mine': must be NAME=PATH"),
        (["--method", "yours=here"], "--method yours=…: chain 'truth.mine' has no such step; it has truth, mine"),
        (["--container", "lxc"], "container is 'lxc'; choose from none, bubblewrap, docker, podman, apptainer"),
        (["--container", "docker"], "names no image to run in docker; set container: none or bubblewrap"),
        (["--memory-limit", "0"], "memory_limit is 0; it must be greater than 0"),
        (["--method", "mine=nowhere/at-all"], "nowhere/at-all: no such folder"),
    ]:
        done = qsmbench(scan_folder, "reconstruct", *arguments, *more)
        assert done.returncode == 2, done.stdout
        assert message in " ".join(done.stderr.split())
        assert "Traceback" not in done.stderr


def test_conform_takes_a_container(scan_folder, qsmbench):
    write_folder(scan_folder / "mine", COPY)
    done = qsmbench(scan_folder, "conform", "mine", "--container", "docker")
    assert done.returncode == 2
    assert "names no image to run in docker" in " ".join(done.stderr.split())


def test_a_study_of_folders(tmp_path, qsmbench):
    """Each that fails is a row with its reason, and the study goes on; a change of a file reruns its chains alone."""
    write_folder(tmp_path / "good one", 'cat "$(dirname "$0")/note"; ' + COPY)
    (tmp_path / "good one" / "note").write_text("first\n")
    write_folder(tmp_path / "crash", "echo no licence; exit 3")
    write_folder(tmp_path / "greedy", GREEDY.format(900))
    write_folder(tmp_path / "lazy", "sleep 600")
    names = {"good": "good one", "crash": "crash", "greedy": "greedy", "lazy": "lazy"}
    study = {
        "study": "s",
        "datasets": [{"phantom": "sphere", "protocol": "brain-3t", "set": {"voxel_size": 6}}],
        "chains": ["truth", "truth.tkd", *(f"truth.{n}" for n in names)],
        "methods": {name: {"use": f"./{folder}"} for name, folder in names.items()},
        "time_limit": 10,
        "memory_limit": 800,
    }
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(study))

    def scores():
        done = qsmbench(tmp_path, "run", "s.yaml", "--cores", "2")
        assert done.returncode == 4, done.stderr
        return pd.read_parquet(tmp_path / "results" / "s" / "scores.parquet")

    table = scores()
    assert table[table.metric == "status"].set_index("chain").reason.to_dict() == {
        "truth.crash": "failed: RuntimeError: bash run.sh: exit code 3 (no licence)",
        "truth.greedy": "memory: took more memory than its limit of 800 MiB",
        "truth.lazy": "timeout: took longer than its limit of 10 s",
    }
    good = table[(table.chain == "truth.good") & (table.metric == "correlation") & (table.support == "study")]
    assert np.isfinite(good.value).all()

    def logs():
        folders = (tmp_path / "results" / "s" / "sphere_brain-3t_seed-0" / "chains").iterdir()
        return {f.name: ((f / "log.txt").read_text(), (f / "log.txt").stat().st_mtime_ns) for f in folders}

    before = logs()
    assert before["truth.good"][0] == "first\n"
    (tmp_path / "good one" / "note").write_text("second\n")
    scores()
    after = logs()
    assert after["truth.good"][0] == "second\n"
    assert {n for n in after if after[n] != before[n]} == {"truth.good"}


SEGMENTED = """
python3 - "$1" "$2" <<'END'
import sys, nibabel as nib, numpy as np
labels = nib.load(sys.argv[1] + "/dseg.nii.gz")
values = np.asarray(labels.dataobj).astype(np.float32)
nib.save(nib.Nifti1Image(values, labels.affine), sys.argv[2] + "/chimap.nii.gz")
END
"""


def test_a_segmentation_has_the_numbers_of_the_contract(scan_folder, tmp_path):
    """1 is the caudate nucleus and 8 white matter in QSM-CI, whatever they are in the phantom; an eye has no number."""
    import qsmbench as qb
    from qsmbench.run.chains import Limits
    from qsmbench.study.reconstruct import reconstruct

    truth, grid = scan_folder / "truth", folders.read_params(scan_folder / "scan").grid
    folders.write_regions(truth / "dseg.tsv", [(1, "eye", "x"), (2, "splenium", "wm"), (5, "caudate", "dgm")])
    labels = np.random.default_rng(0).choice([0, 1, 2, 5], grid.shape).astype(np.uint8)
    folders.write(truth, {"labels": labels}, grid)
    shutil.copy(scan_folder / "scan" / "mask.nii.gz", truth)
    folder = write_folder(tmp_path / "mine", SEGMENTED, inputs=["dseg", "params"])
    expected = np.select([labels == 2, labels == 5], [8, 1], 0)
    reconstruct(
        "truth.mine",
        scan_folder / "scan",
        tmp_path / "out",
        truth=truth,
        methods={"mine": str(folder)},
        limits=Limits(60),
        note=print,
    )
    found, _ = volumes.open_volume(tmp_path / "out" / "chimap.nii.gz")
    np.testing.assert_array_equal(found, expected)
    record = json.loads((tmp_path / "out" / "steps" / "truth.mine" / "run.json").read_text())
    assert record["details"]["notes"]["labels"] == "0, since the scheme challenge has no number for them: eye"
    scan = qb.load_scan(scan_folder)
    np.testing.assert_array_equal(qb.reconstruct("truth.mine", scan, methods={"mine": str(folder)}).values, expected)
    assert any(f.name == "label-schemes.yaml" for f in registry.find(str(folder)).files)


def test_a_segmentation_without_a_table_is_skipped(scan_folder, tmp_path):
    from qsmbench.errors import FailedError
    from qsmbench.run.chains import Limits
    from qsmbench.study.reconstruct import reconstruct

    (scan_folder / "truth" / "dseg.tsv").unlink()
    folder = write_folder(tmp_path / "mine", SEGMENTED, inputs=["dseg", "params"])
    with pytest.raises(FailedError, match=r"skipped: .*no table of its regions"):
        reconstruct(
            "truth.mine",
            scan_folder / "scan",
            tmp_path / "out",
            truth=scan_folder / "truth",
            methods={"mine": str(folder)},
            limits=Limits(60),
            note=print,
        )
