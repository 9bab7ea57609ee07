"""The warm process: jobs are forked from it, and it knows nothing of what they do."""

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml
from steps import step_spec

from qsmbench.run.specs import Job, read_record, write_spec
from qsmbench.study import ask
from qsmbench.study.config import load
from qsmbench.study.plan import Plan
from qsmbench.study.warm import WarmProcess

WATCHER = """
import os, sys

def note(event, arguments):
    if event in ("open", "import", "exec", "subprocess.Popen", "socket.connect"):
        print(os.getpid(), event, arguments[0], file=watched, flush=True)

watched = open(os.environ["WATCHED"], "a", encoding="utf-8")
sys.addaudithook(note)
"""

MINE = """
import sys
from qsmbench.method import method

@method(produces="chi", reference="test")
def mine(local_field, mask):
    assert "qsmbench.study.warm" not in sys.modules
    return local_field
"""


def words(record: Path, study: Path) -> list[str]:
    return [sys.executable, "-I", "-S", ask.__file__, str(study), str(record)]


def ask_for(record: Path, study: Path | None = None, **more) -> subprocess.Popen:
    return subprocess.Popen(words(record, study or record.parents[2]), **more)


def job_of(folder: Path, scan_folder: Path, method: str, **more) -> Path:
    """Write the job of a step, as a study's plan does; return the record that it will write."""
    out = folder / "chains" / "mine"
    spec = step_spec(method, scan_folder, out, **{"own_code": True, **more})
    settings, code = {"method": method}, {"code": "", "versions": {}, "artifacts": {}}
    job = Job(
        name="step mine",
        spec=spec.to_json(),
        settings=settings,
        record=str(out / "run.json"),
        targets=[],
        before=[],
        inputs={},
        code=code,
    )
    write_spec(Path(ask.job_file(str(folder), job.record)), job)
    return Path(job.record)


@pytest.fixture
def warm():
    process = WarmProcess(["qsmbench.methods.inversion.tkd"])
    yield process
    process.stop()


def test_a_job_is_forked_from_it(warm, scan_folder, tmp_path):
    asked = ask_for(job_of(tmp_path, scan_folder, "tkd"))
    assert asked.wait(60) == 0
    record = read_record(tmp_path / "chains" / "mine" / "run.json")
    assert record is not None and record.ok and list(record.products) == ["chimap.nii.gz"]


def test_without_it_a_job_does_itself(scan_folder, tmp_path, monkeypatch):
    monkeypatch.setenv(ask.ADDRESS, f"{os.getpid()}:{tmp_path / 'nothing'}")
    assert ask_for(job_of(tmp_path, scan_folder, "tkd")).wait(60) == 0
    assert read_record(tmp_path / "chains" / "mine" / "run.json").ok


def test_a_job_of_another_process_does_itself(warm, scan_folder, tmp_path):
    """A cluster hands on the environment: a job that it starts must not run in the warm process of the study."""
    record = job_of(tmp_path, scan_folder, "tkd")
    script = f"{shlex.join(words(record, tmp_path))} & wait $!"
    os.kill(warm.pid, signal.SIGSTOP)  # it would never answer
    try:
        assert subprocess.run(["bash", "-c", script], timeout=60, check=False).returncode == 0
    finally:
        os.kill(warm.pid, signal.SIGCONT)


def test_a_job_survives_it(warm, scan_folder, tmp_path):
    os.kill(warm.pid, signal.SIGSTOP)
    asked = ask_for(job_of(tmp_path, scan_folder, "tkd"))
    time.sleep(0.5)
    os.kill(warm.pid, signal.SIGKILL)
    assert asked.wait(60) == 0
    assert read_record(tmp_path / "chains" / "mine" / "run.json").ok


def test_a_job_that_cannot_be_done_says_so(warm, tmp_path):
    asked = ask_for(tmp_path / "no.json", tmp_path, stderr=subprocess.PIPE, text=True)
    _, said = asked.communicate(timeout=60)
    assert asked.returncode == 1
    assert "no.json: cannot be read" in said


def ask_for_a_long_job(warm, scan_folder, tmp_path):
    """What asks for a job that would take ten minutes, and the processes of the job."""
    (tmp_path / "mine.py").write_text(MINE.replace("return", "import time; time.sleep(600); return"))
    asked = ask_for(job_of(tmp_path, scan_folder, str(tmp_path / "mine.py"), own_code=False))
    process = psutil.Process(warm.pid)
    return asked, wait_for(lambda: len(f := process.children(recursive=True)) >= 2 and f)


def test_a_job_ends_with_whoever_asked(warm, scan_folder, tmp_path):
    asked, family = ask_for_a_long_job(warm, scan_folder, tmp_path)
    asked.kill()
    asked.wait()
    _, left = psutil.wait_procs(family, timeout=30)
    assert not left
    assert asked_again_works(scan_folder, tmp_path)


def asked_again_works(scan_folder, tmp_path):
    (tmp_path / "again").mkdir()
    return ask_for(job_of(tmp_path / "again", scan_folder, "tkd")).wait(60) == 0


@pytest.mark.parametrize("sent", [b"", b"abc", (1000).to_bytes(ask.LENGTH) + b"abc"])
def test_a_request_that_is_cut_short_does_no_harm(warm, scan_folder, tmp_path, sent):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.environ[ask.ADDRESS].partition(":")[2])
        connection.send(sent)
    assert ask_for(job_of(tmp_path, scan_folder, "tkd")).wait(60) == 0
    assert psutil.Process(warm.pid).status() != psutil.STATUS_ZOMBIE


def test_nothing_of_it_is_left_when_its_study_is_killed(tmp_path):
    script = "import os, signal; from qsmbench.study.warm import WarmProcess; w = WarmProcess([]);"
    script += "print(w.pid, os.environ['QSMBENCH_WARM'].partition(':')[2], flush=True); os.killpg(0, signal.SIGKILL)"
    command = [sys.executable, "-c", script]
    killed = subprocess.run(command, capture_output=True, text=True, check=False, start_new_session=True, timeout=60)
    pid, address = killed.stdout.split()
    wait_for(lambda: not psutil.pid_exists(int(pid)) and not Path(address).parent.exists())


def test_jobs_end_with_it(warm, scan_folder, tmp_path):
    asked, family = ask_for_a_long_job(warm, scan_folder, tmp_path)
    warm.stop()
    asked.kill()
    asked.wait()
    _, left = psutil.wait_procs(family, timeout=30)
    assert not left


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
def test_it_has_one_thread(warm, scan_folder, tmp_path):
    assert ask_for(job_of(tmp_path, scan_folder, "tkd")).wait(60) == 0
    assert len(list(Path(f"/proc/{warm.pid}/task").iterdir())) == 1


def test_it_opens_nothing_of_a_study(tmp_path, monkeypatch):
    """A scan, a truth, a specification, others' code: all of it is opened by forks."""
    (tmp_path / "secret_module.py").write_text("")
    (tmp_path / "mine.py").write_text(f"{MINE}\nimport secret_module\n")
    (tmp_path / "watcher.py").write_text(WATCHER)
    monkeypatch.setenv("WATCHED", str(tmp_path / "watched.txt"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]))
    dataset = {"phantom": "sphere", "protocol": "brain-3t", "seeds": [0], "set": {"voxel_size": 16}}
    study = {"study": "s", "datasets": [dataset], "chains": ["truth", "truth.tkd", "truth.mine"]}
    study |= {"methods": {"mine": {"use": str(tmp_path / "mine.py")}}, "results": str(tmp_path / "results")}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    plan = Plan(load(tmp_path / "study.yaml"))
    plan.folder.mkdir(parents=True)
    warm = WarmProcess(["watcher", *plan.own_modules()])
    try:
        for job in plan.prepare():
            assert ask_for(Path(job.record), plan.folder).wait(120) == 0
            assert read_record(Path(job.record)).ok, job.name
    finally:
        warm.stop()
    lines = [line.split(maxsplit=2) for line in (tmp_path / "watched.txt").read_text().splitlines()]
    assert lines
    its_own = [(event, what) for pid, event, what in lines if int(pid) == warm.pid]
    study_files = [what for _, what in its_own if str(tmp_path) in what or "secret" in what]
    assert study_files == []
    of_forks = [what for pid, _, what in lines if int(pid) != warm.pid]
    assert any("magnitude" in what for what in of_forks)  # the watcher does see them
    assert not any(event == "socket.connect" for event, _ in its_own)
