"""The process that runs the steps of a chain: what comes of a step is what `step.run` gives, and nothing is left."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from steps import step_spec

from qsmbench.run import step
from qsmbench.run.host import StepHost
from qsmbench.run.specs import StepSpec

MINE = """
import os, sys, time
from qsmbench.method import method

@method(produces="chi", reference="test")
def mine(local_field, mask):
    {body}
    return local_field
"""

ASK = """
import json, sys
from qsmbench.run.host import StepHost
from qsmbench.run.specs import StepSpec

with StepHost() as host:
    host.run(StepSpec.from_json(json.loads(sys.argv[1]), "test"))
"""


@pytest.fixture
def mine(scan_folder, tmp_path):
    """Return the specification of a step with a method of the given body."""

    def spec(body):
        (tmp_path / "mine.py").write_text(MINE.format(body=body))
        return step_spec(tmp_path / "mine.py", scan_folder, tmp_path / "out")

    return spec


def test_steps_are_as_without_it(scan_folder, tmp_path):
    """Methods of this package run in its forks; others' do not know of it."""
    with StepHost() as host:
        for method in ("tkd", "l2"):
            spec = step_spec(method, scan_folder, tmp_path / "out", own_code=True)
            found = host.run(spec)
            assert found.ok and found.products == step.run(spec).products
        assert host._process.poll() is None
    assert host._process.returncode == 0


def test_others_code_has_the_environment_of_the_one_who_asks(mine, monkeypatch, tmp_path):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    told = "print(os.environ['OMP_NUM_THREADS'], 'qsmbench.run.host' in sys.modules)"
    with StepHost() as host:
        record = host.run(mine(told))
    assert record.ok
    assert (tmp_path / "out" / "log.txt").read_text() == "7 False\n"


def test_a_failing_step_stops_no_other(mine, scan_folder, tmp_path):
    with StepHost() as host:
        assert host.run(mine("os.kill(os.getpid(), 9)")).reason.startswith("crashed: killed by SIGKILL")
        assert host.run(mine("raise RuntimeError('no luck')")).reason == "RuntimeError: no luck"
        unknown = step_spec("nosuch", scan_folder, tmp_path / "out", own_code=True)
        assert "nosuch" in host.run(unknown).reason
        assert host.run(step_spec("tkd", scan_folder, tmp_path / "out", own_code=True)).ok


def test_a_host_that_was_killed_is_told(scan_folder, tmp_path):
    with StepHost() as host:
        spec = step_spec("tkd", scan_folder, tmp_path / "out", own_code=True)
        assert host.run(spec).ok
        host._process.kill()
        host._process.wait()
        for _ in range(2):
            assert host.run(spec).reason == "the process that runs the steps has ended"


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGINT])
def test_it_ends_with_the_one_who_asks(mine, tmp_path, by):
    spec: StepSpec = mine(f"open({str(tmp_path / 'started')!r}, 'w').close(); time.sleep(600)")
    asking = subprocess.Popen(
        [sys.executable, "-c", ASK, json.dumps(spec.to_json())],
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "started").exists():
        assert time.monotonic() < deadline and asking.poll() is None
        time.sleep(0.05)
    family = psutil.Process(asking.pid).children(recursive=True)
    assert len(family) == 3  # the host, its fork, and the process of the method
    os.kill(asking.pid, by)
    asking.wait(30)
    _, left = psutil.wait_procs(family, timeout=30)
    assert not left
