"""A step in a process of its own: whatever a method does, a record of it is left and nothing else stops."""

import contextlib
import os
import resource
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from steps import step_spec

from qsmbench.data import folders
from qsmbench.run import registry, step
from qsmbench.run.call import refuse_constant
from qsmbench.run.specs import read_record

HEAD = """
import os, time
import numpy as np
from qsmbench.errors import NotApplicable
from qsmbench.method import method
"""


@pytest.fixture(params=[False, True], ids=["new process", "fork"])
def run(scan_folder, tmp_path, request):
    """Run a method given by the body of its function, in a new process or in a fork; returns its record."""
    fork = request.param

    def run(body, produces="'chi'", consumes="local_field, mask", settings=None, limit=60, memory=None, further=""):
        file = tmp_path / "mine.py"
        file.write_text(
            f"{HEAD}@method(produces={produces}, reference='test'{further})\n"
            f"def mine({consumes}, *, k=1.0):\n    {body}\n"
        )
        limits = {"time_limit": limit, "memory_limit": memory}
        spec = step_spec(file, scan_folder, tmp_path / "out", settings=settings or {}, own_code=fork, **limits)
        record = step.run(spec, fork=fork)
        assert read_record(tmp_path / "out" / "run.json") == record
        return record

    return run


def test_a_method_that_works(run, tmp_path, small):
    # the largest of all children so far: a step's process has one, this one may have had others
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**10
    record = run("return k * local_field", settings={"k": 2.0})
    assert (record.status, record.reason) == ("ok", "")
    assert 0 <= record.seconds < 1
    assert 20 < record.peak_memory <= max(2000, round(before, 1))
    assert np.array_equal(folders.read(tmp_path / "out", "chi"), 2 * small["truth"]["local_field"])


def test_what_a_method_declares_is_recorded(run):
    declared = run("return k * local_field", consumes="local_field, mask, grid", settings={"k": 2.0}).details[
        "declared"
    ]
    assert declared["references"] == "test" and declared["optional"] == []
    assert list(declared["takes"]) == ["local_field", "mask", "grid"] and list(declared["gives"]) == ["chi"]
    assert declared["takes"]["grid"] == "voxel size and direction of B0"
    assert declared["settings"] == {"k": [1.0, ""]}  # the default, whatever it was set to


def test_an_input_with_a_default_is_optional(run, tmp_path, small):
    record = run("return local_field if r2 is None else r2", consumes="local_field, mask, r2=None")
    assert (record.status, record.details["declared"]["optional"]) == ("ok", ["r2"])
    assert np.array_equal(folders.read(tmp_path / "out", "chi"), small["truth"]["local_field"])


def test_the_truth_of_fat_is_optional_for_a_phantom_without_fat(scan_folder, tmp_path):
    spec = step_spec("noisy", scan_folder, tmp_path / "out")
    spec = replace(spec, inputs={**spec.inputs, "signal_fat_fraction": str(scan_folder / "truth")})
    record = step.run(spec)
    assert (record.status, record.reason) == ("ok", "")


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ("raise RuntimeError('no luck')", "failed", "RuntimeError: no luck"),
        ("raise RuntimeError('a\\x1b[31m b\\n c')", "failed", "RuntimeError: a [31m b c"),
        ("pass", "failed", "ValueError: returned nothing instead of chi"),
        ("raise NotApplicable('needs eight echoes')", "skipped", "truth.mine: needs eight echoes"),
        ("return local_field[1:]", "failed", "ValueError: chi has shape (23, 21, 19); the scan has (24, 21, 19)"),
        ("return local_field * np.nan", "failed", f"ValueError: chi has {24 * 21 * 19} NaN or infinite voxels"),
        ("return 'a map'", "failed", "ValueError: chi is of type <U5; it must be real numbers"),
        ("return local_field, mask", "failed", "ValueError: returned 2 arrays instead of 1: ('chi',)"),
        ("return 0 * local_field + 0.5", "failed", "ValueError: chi: constant within the mask (0.5)"),
        ("return np.ones(2**46)", "memory", "Unable to allocate 512. TiB"),
        ("os.abort()", "failed", "crashed: killed by SIGABRT"),
        ("os._exit(3)", "failed", "crashed: exit code 3"),
    ],
)
def test_a_method_that_does_not(run, tmp_path, body, status, reason):
    record = run(body)
    assert record.status == status
    assert record.reason.startswith(reason)
    assert not (tmp_path / "out" / "chimap.nii.gz").exists()


def test_a_method_that_hangs(run):
    record = run("time.sleep(600)", limit=3)
    assert (record.status, record.reason) == ("timeout", "took longer than its limit of 3 s")


def test_a_method_that_takes_too_much_memory(run, request):
    own = round(psutil.Process().memory_info().rss / 2**20)  # a fork begins with all that this process has
    limit = 700 + (own if "fork" in request.node.name else 200)
    record = run("big = np.ones(2**27); time.sleep(60)", memory=limit)
    assert (record.status, record.reason) == ("memory", f"took more memory than its limit of {limit} MiB")
    assert record.peak_memory > limit - 100
    assert run("return local_field", memory=limit).status == "ok"


def test_a_stochastic_method_is_recorded_as_one(run, tmp_path, scan_folder):
    body = "return np.random.default_rng().random() * local_field"
    assert "stochastic" not in run(body).details
    assert run(body, further=", stochastic=True").details["stochastic"] is True


def test_an_empty_mask(run):
    record = run("return local_field, mask & False", produces="('local_field', 'mask')")
    assert record.reason == "ValueError: its mask is empty"


def test_a_file_that_cannot_be_imported(run, tmp_path):
    record = run("return (")
    assert record.status == "failed"
    assert "SyntaxError" in record.reason


def test_what_it_left_before_is_gone(run, tmp_path):
    assert run("return local_field").status == "ok"
    assert run("raise RuntimeError('no luck')").status == "failed"
    assert not (tmp_path / "out" / "chimap.nii.gz").exists()


def test_missing_artifact_is_no_failure(run, tmp_path):
    record = run("return water", consumes="water")
    assert (record.status, record.reason) == ("skipped", "truth.mine: this dataset has no water")


@pytest.mark.parametrize("fork", [False, True])
def test_what_a_method_leaves_running_is_ended(scan_folder, tmp_path, fork):
    file, pids = tmp_path / "mine.py", tmp_path / "pids"
    file.write_text(f"""{HEAD}
import subprocess, sys
@method(produces="chi", reference="test")
def mine(local_field, mask):
    for new_session in (False, True):
        left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=new_session)
        with open({str(pids)!r}, "a") as f:
            f.write(f"{{left.pid}} ")
    return local_field
""")
    record = step.run(step_spec(file, scan_folder, tmp_path / "out", own_code=fork), fork=fork)
    assert record.status == "ok"
    end = time.monotonic() + 5  # a killed process takes a moment
    while left_over(pids) and time.monotonic() < end:
        time.sleep(0.05)
    assert not left_over(pids)


def left_over(pids):
    """Those processes of a list that still run."""
    running = []
    for pid in map(int, pids.read_text().split()):
        with contextlib.suppress(psutil.NoSuchProcess):
            running += [pid] if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE else []
    return running


def test_what_a_forked_method_changes_stays_there(scan_folder, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(f"""{HEAD}
@method(produces="chi", reference="test")
def mine(local_field, mask):
    os.environ["LEFT"] = "behind"
    os.chdir("/")
    np.left = "behind"
    os.write(1, b"a line\\n")
    return local_field
""")
    here = Path.cwd()
    assert step.run(step_spec(file, scan_folder, tmp_path / "out", own_code=True), fork=True).status == "ok"
    assert ("LEFT" in os.environ, Path.cwd(), hasattr(np, "left")) == (False, here, False)
    assert (tmp_path / "out" / "log.txt").read_text() == "a line\n"


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_others_code_never_runs_in_a_fork(scan_folder, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(f"""{HEAD}
@method(produces="chi", reference="test")
def mine(local_field, mask):
    if os.environ["TMPDIR"].encode() not in open("/proc/self/environ", "rb").read():
        raise RuntimeError("this process was forked")
    return local_field
""")
    spec = step_spec(file, scan_folder, tmp_path / "out", own_code=False)
    record = step.run(spec, fork=True)
    assert (record.status, record.reason) == ("ok", "")
    forked = step.run(replace(spec, own_code=True), fork=True)
    assert forked.reason == "RuntimeError: this process was forked"


def test_a_map_of_yes_and_no_may_vary_and_must_not_be_constant():
    """The mask of veins is such a map: true in some voxels is fine, true in none is not."""
    veins, mask = registry.find("veins"), np.ones((3, 3, 3), bool)
    chi = np.arange(27.0).reshape(3, 3, 3)
    found = {"vein": chi > 20, "vein_diameter": np.where(chi > 20, 2.0, 0.0)}
    refuse_constant(veins, found, {"chi": chi, "mask": mask})
    nothing = {name: np.zeros_like(volume) for name, volume in found.items()}
    with pytest.raises(ValueError, match="constant within the mask"):
        refuse_constant(veins, nothing, {"chi": chi, "mask": mask})
