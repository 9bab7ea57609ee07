"""A step in a process of its own: whatever a method does, a record of it is left and nothing else stops."""

import resource

import numpy as np
import pytest
from steps import step_spec

from qsmbench.data import folders
from qsmbench.run import step
from qsmbench.run.specs import read_record

HEAD = """
import os, time
import numpy as np
from qsmbench.errors import NotApplicable
from qsmbench.method import method
"""


@pytest.fixture
def run(scan_folder, tmp_path):
    """Run a method given by the body of its function; returns its record."""

    def run(body, produces="'chi'", consumes="local_field, mask", settings=None, limit=60, memory=None):
        file = tmp_path / "mine.py"
        file.write_text(
            f"{HEAD}@method(produces={produces}, reference='test')\ndef mine({consumes}, *, k=1.0):\n    {body}\n"
        )
        limits = {"time_limit": limit, "memory_limit": memory}
        spec = step_spec(file, scan_folder, tmp_path / "out", settings=settings or {}, **limits)
        record = step.run(spec)
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
        ("return 0 * local_field + 0.5", "failed", "ValueError: chi: the same everywhere (0.5)"),
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


def test_a_method_that_takes_too_much_memory(run):
    record = run("big = np.ones(2**27); time.sleep(60)", memory=900)
    assert (record.status, record.reason) == ("memory", "took more memory than its limit of 900 MiB")
    assert record.peak_memory > 800
    assert run("return local_field", memory=900).status == "ok"


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
