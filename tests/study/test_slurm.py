"""A study on a real Slurm cluster, whose jobs and controller are killed: the result is that of one machine."""

import hashlib
import os
import subprocess
import sys
import time

import pandas as pd
import psutil
import pytest
import yaml

from qsmbench.data.score_table import RUN_ROWS
from qsmbench.paths import data_dir
from tests import slurm_cluster

STUDY = {
    "study": "s",
    "datasets": [{"phantom": "sphere", "protocol": "brain-3t", "set": {"voxel_size": 8}, "over": {"radius": [30, 35]}}],
    "chains": ["zero", "truth.slow", "romeo.fit.vsharp.tkd"],
    "methods": {"slow": {"use": "slow.py"}},
}

SLOW = '''"""A step that lasts until it has been killed."""

import time
from pathlib import Path

from qsmbench.method import method
from qsmbench.methods.inversion.l2 import l2


@method(produces="chi", reference="none")
def slow(local_field, mask, grid):
    """Wait while there is the file HOLD, and divide."""
    while Path("HOLD").exists():
        time.sleep(0.1)
    return l2(local_field, mask, grid)
'''


def able():
    """Whether a cluster can be started here."""
    return os.getuid() == 0 and not slurm_cluster.missing()


pytestmark = pytest.mark.skipif(
    not able() and not os.environ.get("QSMBENCH_TEST_ALL"), reason="needs slurm-wlm and munge, and root"
)


@pytest.fixture
def cluster(tmp_path):
    (tmp_path / "cluster").mkdir()
    with slurm_cluster.Cluster(tmp_path / "cluster", cpus=2) as found:
        yield found
    for process in psutil.process_iter(["cmdline"]):
        assert str(tmp_path) not in " ".join(process.info["cmdline"] or []), "a job was left behind"


def quick_profile(folder):
    """The profile of the project for a small node, with frequent checks."""
    given = yaml.safe_load((data_dir() / "configs" / "profiles" / "slurm" / "config.yaml").read_text())
    given |= {"set-threads": ["simulate=1", "scan=1"], "latency-wait": 5, "default-resources": ["mem_mb=500"]}
    given |= {"slurm-init-seconds-before-status-checks": 1, "seconds-between-status-checks": 1}
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(given))
    return folder


def run(folder, *arguments, environment):
    """Start `qsmbench run` in a folder."""
    command = [sys.executable, "-m", "qsmbench.cli", "run", "s.yaml", *map(str, arguments)]
    with (folder / "messages.txt").open("ab") as log:
        return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=environment)


def wait_for(condition, seconds=300):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, condition
        time.sleep(0.2)
    return found


def maps(study):
    """The digest of each map of a study."""
    files = sorted(study.glob("*/chains/*/*.nii.gz"))
    return {str(f.relative_to(study)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def scores(study):
    table = pd.read_parquet(study / "scores.parquet")
    return table[~table["metric"].isin(RUN_ROWS)].reset_index(drop=True)


def test_a_study_survives_a_killed_job_and_a_restarted_controller(cluster, tmp_path):
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(STUDY))
    hold = tmp_path / "hold"
    (tmp_path / "slow.py").write_text(SLOW.replace("HOLD", str(hold)))
    local = run(tmp_path, "--cores", 2, "--results", "local", environment=dict(os.environ))
    assert local.wait(200) == 0, (tmp_path / "messages.txt").read_text()

    profile = quick_profile(tmp_path / "profile")
    hold.touch()
    running = run(tmp_path, "--profile", profile, "--results", "slurm", environment=cluster.environment)
    try:
        waiting = (tmp_path / "slurm" / "s").glob
        wait_for(lambda: len(list(waiting("*_seed-0/chains/.making-truth.slow-*"))) == 2)
        # a job that the controller had not yet saved would be lost to Slurm itself: none is submitted meanwhile
        cluster.kill_controller()
        cluster.start_controller()
        (job, _) = cluster.running()
        cluster.ask("scancel", "--signal=KILL", "--full", job)
        wait_for(lambda: job not in cluster.running())
        hold.unlink()
        wait_for(lambda: running.poll() is not None)
    finally:
        running.kill()
        running.wait()
    assert running.returncode == 0, (tmp_path / "messages.txt").read_text()
    assert maps(tmp_path / "slurm" / "s") == maps(tmp_path / "local" / "s") and maps(tmp_path / "local" / "s")
    pd.testing.assert_frame_equal(scores(tmp_path / "slurm" / "s"), scores(tmp_path / "local" / "s"))
    assert (tmp_path / "slurm" / "s" / "report" / "index.html").is_file()
    done = cluster.ask("scontrol", "show", "job")
    assert "JobState=COMPLETED" in done and ("JobState=FAILED" in done or "JobState=CANCELLED" in done)
