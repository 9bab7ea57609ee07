"""What jobs ask a cluster for, and the jobs of a scan that are run together."""

import json
import subprocess
import sys

import pytest
import yaml

from qsmbench.errors import QsmbenchError
from qsmbench.study import batch, workflow
from qsmbench.study.config import parse
from qsmbench.study.estimate import BASE_MEMORY, estimate
from qsmbench.study.needs import LEAST_MEMORY, LEAST_MINUTES, Needs
from qsmbench.study.plan import Plan

SPHERE = {"phantom": "sphere", "protocol": "brain-3t", "set": {"voxel_size": 8}}
CHAINS = ["truth", "zero", "truth.tkd", "truth.l2", "romeo.fit.vsharp.tkd"]


def plan_of(folder, chains=CHAINS, **dataset):
    study = {"study": "s", "datasets": [{**SPHERE, **dataset}], "chains": chains, "results": str(folder)}
    return Plan(parse(study, "s"))


def test_needs_grow_with_voxels_cores_and_attempts(tmp_path):
    coarse, fine = (Needs(plan_of(tmp_path, set={"voxel_size": v})) for v in (2, 1))
    name = "sphere_brain-3t_seed-0"
    for needs in (coarse, fine):
        assert needs.scan_memory(name, 4) > needs.scan_memory(name, 1) > LEAST_MEMORY + BASE_MEMORY
        assert needs.scan_memory(name, 4, 2) == 2 * needs.scan_memory(name, 4)
        assert needs.scan_minutes(name, 1) >= needs.scan_minutes(name, 4) >= LEAST_MINUTES
        assert needs.scan_minutes(name, 1, 3) == 4 * needs.scan_minutes(name, 1)
    extra = [needs.scan_memory(name, 1) - LEAST_MEMORY - 2 * BASE_MEMORY for needs in (coarse, fine)]
    assert extra[1] == pytest.approx(8 * extra[0], rel=0.25)  # a margin of voxels around the sphere
    assert fine.simulation_memory("sphere_brain-3t") > 4 * (coarse.simulation_memory("sphere_brain-3t") - LEAST_MEMORY)


def test_each_position_of_the_object_takes_the_time_of_a_simulation(tmp_path):
    motion = {"poses": 6, "translate": 1, "rotate": 1}
    still, moving = (plan_of(tmp_path, set={"voxel_size": 0.5}, set_protocol={"motion": m}) for m in (None, motion))
    group = "sphere_brain-3t"
    least = [Needs(plan).simulation_minutes(group) - LEAST_MINUTES for plan in (still, moving)]
    assert least[1] == pytest.approx(6 * least[0], abs=6)
    seconds = [estimate(plan, 1).seconds for plan in (still, moving)]
    assert seconds[1] > seconds[0]
    organs = {"duration": 18, "respiration": {"states": 4}, "peristalsis": {"sd": 2}}
    assert plan_of(tmp_path, set_protocol=organs).positions(group) == 1 + 4 + 2


def test_simulations_share_the_processors_if_several_are_left_and_fit(tmp_path, monkeypatch):
    group = "sphere_brain-3t_radius-30"
    plan = plan_of(tmp_path, over={"radius": [30, 32, 34, 36]})
    assert [Needs(plan).simulation_threads(group, cores) for cores in (1, 2, 4, 8, 9)] == [1, 1, 1, 2, 2]
    for made in list(plan.groups)[1:]:
        record = plan.folder / plan.simulation(made)
        record.parent.mkdir(parents=True)
        record.touch()
    assert Needs(plan).simulation_threads(group, 8) == 8  # a single one is left
    needs = Needs(plan_of(tmp_path / "other", over={"radius": [30, 32, 34, 36]}))
    for times, threads in ((0.5, 8), (1.5, 8), (2.5, 4), (3.5, 3), (100, 2)):
        room = times * needs.simulation_memory(group)
        monkeypatch.setattr("qsmbench.study.needs.memory_there", lambda room=room: room)
        assert needs.simulation_threads(group, 8) == threads


def test_all_jobs_of_a_scan_are_run_together(tmp_path):
    plan = plan_of(tmp_path)
    plan.prepare()
    name = "sphere_brain-3t_seed-0"
    assert plan.before_scan(name) == [str(plan.simulation("sphere_brain-3t"))]
    own = {job.record for job in batch._pending(plan.folder, name)}
    every = {job.record for job in plan.jobs()}
    outside = {str(plan.simulation("sphere_brain-3t")), str(plan.tables), str(plan.report)}
    assert own == every - outside
    simulate = plan.job_file(plan._jobs[str(plan.simulation("sphere_brain-3t"))])
    subprocess.run([sys.executable, "-P", "-m", "qsmbench.study.jobs", str(simulate)], check=True)
    assert batch.main(plan.folder, name, 2) == 0
    records = plan.records()
    assert all(records[r] is not None and records[r].ok for r in own), records
    assert not list(batch._pending(plan.folder, name))
    assert all((plan.folder / name / "logs" / f"{log}.txt").is_file() for log in ("noise", "truth.tkd", "score_truth"))


def test_a_scan_whose_simulation_is_missing_is_reported(tmp_path):
    plan = plan_of(tmp_path, ["zero"])
    plan.prepare()
    assert batch.main(plan.folder, "sphere_brain-3t_seed-0", 1) == 1


def test_logs_have_the_names_of_the_snakefile(tmp_path):
    plan = plan_of(tmp_path)
    logs = {batch._log(job).relative_to(plan.folder).as_posix() for job in plan.jobs()}
    text = (workflow.data_dir() / "Snakefile").read_text()
    for log in ("noise", "common", "pictures", "score_{chain}", "{chain}"):
        assert f"/logs/{log}.txt" in text
        example = log.replace("{chain}", "truth.tkd")
        assert f"sphere_brain-3t_seed-0/logs/{example}.txt" in logs


def test_profiles_are_found_by_name_and_by_path(tmp_path, monkeypatch):
    found = workflow.profile_folder("slurm")
    given = yaml.safe_load((found / "config.yaml").read_text())
    assert given["executor"] == "slurm" and given["slurm-status-command"] == "squeue"
    own = tmp_path / "mine"
    own.mkdir()
    (own / "config.yaml").write_text("executor: htcondor-of-mars\n")
    with pytest.raises(QsmbenchError, match="snakemake-executor-plugin-htcondor-of-mars"):
        workflow.profile_folder(str(own))
    (own / "config.yaml").write_text("cores: 3\n")
    assert workflow.profile_folder(str(own)) == own
    with pytest.raises(QsmbenchError, match="did you mean slurm"):
        workflow.profile_folder("slrum")


def test_a_local_profile_runs_a_study(tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "config.yaml").write_text("cores: 2\n")
    study = {"study": "s", "datasets": [SPHERE], "chains": ["zero"], "results": str(tmp_path / "r")}
    (tmp_path / "s.yaml").write_text(json.dumps(study))
    code, _, told = command("run", "s.yaml", "--profile", "local")
    assert code == 0, told
