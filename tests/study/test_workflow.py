"""Whole studies, small ones, through Snakemake: what runs, what runs again, and what a failing method leaves."""

import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import yaml

from qsmbench.data import folders
from qsmbench.data.bids import write_megre
from qsmbench.data.volumes import save_volume

METHODS = """
import time
from qsmbench.method import method

@method(produces="chi", reference="test")
def {name}(local_field, mask):
    {body}
"""

BODIES = {
    "half": "return 0.5 * local_field",
    "crashing": "raise RuntimeError('no luck')",
    "hanging": "open(__file__ + '.started', 'w').close(); time.sleep(600)",
    "cropping": "return local_field[1:]",
}


class Sandbox:
    """A folder in which studies are run by the command, as a user would."""

    name = "s"

    def __init__(self, folder, forks):
        self.folder, self.forks = folder, forks
        for name, body in BODIES.items():
            (folder / f"{name}.py").write_text(METHODS.format(name=name, body=body))

    def study(self, chains, datasets=None, **more):
        methods = {n: {"use": f"{n}.py"} for n in BODIES if any(n in c for c in chains)}
        sphere = {"phantom": "sphere", "protocol": "brain-3t", "seeds": [0, 1], "set": {"voxel_size": 6}}
        content = {"study": self.name, "datasets": datasets or [sphere], "chains": chains, "methods": methods, **more}
        (self.folder / "s.yaml").write_text(yaml.safe_dump(content))

    def command(self, *arguments):
        return [sys.executable, "-m", "qsmbench.cli", *arguments]

    def run(self, *arguments):
        """Run `qsmbench` with `arguments`, by default the study."""
        return self.forks.run(arguments or ("run", "s.yaml", "--cores", "2"), self.folder)

    def scores(self):
        return pd.read_parquet(self.folder / "results" / self.name / "scores.parquet")

    def runs(self):
        """When each step was run."""
        found = (self.folder / "results" / self.name).glob("*/chains/*/run.json")
        return {f"{f.parts[-4]}/{f.parts[-2]}": f.stat().st_mtime_ns for f in found}


@pytest.fixture
def sandbox(tmp_path, forks):
    return Sandbox(tmp_path, forks)


def flat(text):
    return " ".join(text.split())


def value(scores, chain, metric, support="study"):
    rows = scores[(scores.chain == chain) & (scores.metric == metric) & (scores.support == support)]
    return rows.value.tolist()


def start(sandbox):
    """A run in the background, once `truth.hanging` hangs: the step before it is done, and recorded as done."""
    running = subprocess.Popen(
        sandbox.command("run", "s.yaml", "--cores", "2"),
        cwd=sandbox.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    deadline = time.monotonic() + 120
    while not (sandbox.folder / "hanging.py.started").exists():
        assert time.monotonic() < deadline and running.poll() is None
        time.sleep(0.2)
    return running


ONE = [{"phantom": "sphere", "protocol": "brain-3t", "set": {"voxel_size": 6}}]
TRUTH = "sphere_brain-3t_seed-0/truth"


def test_a_study_with_methods_that_fail(sandbox):
    chains = ["truth", "zero", "truth.tkd", "truth.half", "truth.crashing", "truth.hanging", "truth.cropping"]
    sandbox.study(chains, time_limit=25)  # which is that of the scores, too, and the first of them compiles its loops
    done = sandbox.run()
    assert done.returncode == 4, done.stderr
    assert "s: 6 of 14 results failed (truth.crashing on sphere_brain-3t_seed-0: failed: " in flat(done.stderr)
    assert "index.html" in done.stdout
    scores = sandbox.scores()
    assert scores.columns.tolist() == [
        *("dataset", "chain", "artifact", "metric", "region", "support", "value", "unit", "reason"),
        *("group", "phantom", "scenario", "case", "subject", "protocol", "seed", "orientation", "voxel_size"),
    ]
    assert set(scores.group) == {"sphere_brain-3t"}
    assert scores.groupby("dataset").seed.first().tolist() == [0, 1]
    assert pd.read_csv(sandbox.folder / "results/s/datasets.csv").voxel_size.tolist() == [6, 6]
    assert sorted(scores.dataset.unique()) == ["sphere_brain-3t_seed-0", "sphere_brain-3t_seed-1"]
    for support in ("study", "common"):
        assert value(scores, "truth", "nrmse", support) == [0.0, 0.0]
        assert value(scores, "zero", "nrmse", support) == [100.0, 100.0]
        assert all(5 < v < 95 for v in value(scores, "truth.tkd", "nrmse", support))
    reasons = scores[scores.metric == "status"].set_index("chain").reason.to_dict()
    assert reasons == {
        "truth.crashing": "failed: RuntimeError: no luck",
        "truth.hanging": "timeout: took longer than its limit of 25 s",
        "truth.cropping": reasons["truth.cropping"],
    }
    assert reasons["truth.cropping"].startswith("failed: ValueError: chi has shape")
    assert scores[scores.metric == "status"].value.isna().all()
    page = (sandbox.folder / "results/s/report/index.html").read_text()
    assert "no luck" in page
    csv = pd.read_csv(sandbox.folder / "results/s/scores.csv")
    assert len(csv) == len(scores)

    # nothing to do the second time
    before = sandbox.runs()
    assert sandbox.run().returncode == 4
    assert sandbox.runs() == before

    # a change of one method reruns the chains that use it, and no other
    (sandbox.folder / "half.py").write_text(METHODS.format(name="half", body="return 0.25 * local_field"))
    assert sandbox.run().returncode == 4
    after = sandbox.runs()
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {f"sphere_brain-3t_seed-{s}/truth.half" for s in (0, 1)}
    assert value(sandbox.scores(), "truth.half", "detrended_nrmse") == pytest.approx(
        value(scores, "truth.half", "detrended_nrmse"), rel=1e-5
    )
    assert value(sandbox.scores(), "truth.half", "nrmse") != value(scores, "truth.half", "nrmse")


def test_an_interrupted_study_goes_on(sandbox):
    sandbox.study(["truth", "zero", "truth.hanging"], ONE, time_limit=600)
    running = start(sandbox)
    os.killpg(running.pid, signal.SIGINT)
    assert running.wait(timeout=10) == 130
    before = sandbox.runs()
    assert not any(name.endswith("hanging") for name in before)
    (sandbox.folder / "hanging.py").write_text(METHODS.format(name="hanging", body="return local_field"))
    done = sandbox.run()
    assert done.returncode == 0, done.stderr
    # `zero` may have ended with the signal, unrecorded, and would then rightly run again
    assert sandbox.runs()[TRUTH] == before[TRUTH]
    assert value(sandbox.scores(), "zero", "nrmse") == [100.0]


def test_several_orientations_are_reconstructed_together(sandbox):
    """Each step before COSMOS runs on every orientation, other chains on the first alone."""
    turned = {
        "phantom": "sphere",
        "protocol": "brain-3t",
        "set": {"voxel_size": 6},
        "set_protocol": {"orientations": [[0, 0, 0], [40, 0, 0], [0, 40, 0]]},
        "orientation": "all",
    }
    chains = ["truth.cosmos", "truth.tkd", "romeo.fit.vsharp.cosmos", "zero"]
    sandbox.study(chains, datasets=[turned])
    done = sandbox.run()
    assert done.returncode == 0, done.stderr
    dataset = sandbox.folder / "results" / "s" / "sphere_brain-3t_orientation-all_seed-0"
    places = {f.parent.name for f in (dataset / "chains" / "romeo.fit.vsharp").rglob("localfield.nii.gz")}
    assert places == {"romeo.fit.vsharp", "orientation-1", "orientation-2"}
    assert not list((dataset / "chains" / "truth.tkd").glob("orientation-*"))
    directions = {tuple(folders.read_params(f).grid.b0_dir) for f in (dataset / "scan").glob("orientation-*")}
    assert len(directions) == 2
    scores = sandbox.scores()
    assert value(scores, "truth.cosmos", "nrmse")[0] < 0.5 * value(scores, "truth.tkd", "nrmse")[0]
    assert value(scores, "romeo.fit.vsharp.cosmos", "nrmse")[0] < 100


def test_a_measured_scan(sandbox, small):
    """No truth: data consistency, and a reason where a chain asks for the truth."""
    root = sandbox.folder / "bids"
    write_megre(root, small["scan"]["phase"], small["scan"]["magnitude"], small["params"])
    chains = ["romeo.fit", "romeo.fit.pdf.tkd", "truth.tkd", "zero"]
    sandbox.study(chains, datasets=[{"bids": "bids"}])
    done = sandbox.run()
    assert done.returncode == 0, done.stderr  # a chain that is left out for a stated reason is no failure
    scores = sandbox.scores()
    assert all(0 < v < 100 for v in value(scores, "romeo.fit.pdf.tkd", "data_consistency"))
    nrmse = scores[(scores.chain == "romeo.fit.pdf.tkd") & (scores.metric == "nrmse")]
    assert nrmse.value.isna().all()
    assert (nrmse.reason == "there is no truth").all()
    status = scores[(scores.chain == "truth.tkd") & (scores.metric == "status")]
    assert status.reason.tolist() == ["skipped: truth: this dataset has no chi"]
    assert (sandbox.folder / "results/s/bids/pictures/romeo.fit.pdf.tkd.webp").is_file()


def test_plain_snakemake_runs_the_same(sandbox):
    from qsmbench.paths import data_dir

    sandbox.study(["zero"])
    snakemake = [sys.executable, "-m", "snakemake", "--snakefile", str(data_dir() / "Snakefile")]
    done = subprocess.run(
        [*snakemake, "--configfile", "s.yaml", "--cores", "2", "--quiet"],
        cwd=sandbox.folder,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert value(sandbox.scores(), "zero", "nrmse") == [100.0, 100.0]
    before = sandbox.runs()
    assert sandbox.run().returncode == 0
    assert sandbox.runs() == before


def test_any_folder_holds_results(sandbox):
    """Braces are wildcards to Snakemake, the rest is syntax to shells; and a method runs where it was called from."""
    place = 'a{b} {chain} [χ] "it\'s" 50% $HOME;&#*\n'
    body = "open('called', 'w').close(); return 0.5 * local_field"
    (sandbox.folder / "half.py").write_text(METHODS.format(name="half", body=body))
    sandbox.study(["truth.half"], [{**ONE[0], "set": {"voxel_size": 12}}], results=place)
    done = sandbox.run()
    assert done.returncode == 0, done.stderr
    scores = pd.read_parquet(sandbox.folder / place / "s" / "scores.parquet")
    assert 5 < value(scores, "truth.half", "nrmse")[0] < 150
    assert (sandbox.folder / "called").exists() and not (sandbox.folder / place / "s" / "called").exists()
    (sandbox.folder / "profile").mkdir()
    (sandbox.folder / "profile" / "config.yaml").write_text("executor: local\n")
    done = sandbox.run("run", "s.yaml", "--profile", "profile", "--results", "a{b}")
    assert done.returncode == 2 and "--profile needs results in a folder without braces" in flat(done.stderr)


QUEUE = """
import os
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.settings import CommonSettings

no = ("job_deploy_sources", "pass_default_storage_provider_args", "pass_default_resources_args")
no += ("pass_envvar_declarations_to_cmd", "auto_deploy_default_storage_provider", "implies_no_shared_fs")
common_settings = CommonSettings(non_local_exec=True, **dict.fromkeys(no, False))

class Executor(RemoteExecutor):
    def run_job(self, job):
        os.write(1, f"submitted {job.name} with {job.threads} threads".encode())
        os._exit(7)

    async def check_active_jobs(self, jobs):
        for job in jobs:
            yield job

    def cancel_jobs(self, jobs):
        pass
"""


def test_a_cluster_needs_no_cores(sandbox):
    """An executor like that for Slurm, which submits the first job and stops."""
    from qsmbench.paths import data_dir

    plugin = sandbox.folder / "snakemake_executor_plugin_queue"
    plugin.mkdir()
    (plugin / "__init__.py").write_text(QUEUE)
    sandbox.study(["zero"])
    snakemake = [sys.executable, "-m", "snakemake", "--snakefile", str(data_dir() / "Snakefile")]
    path = os.pathsep.join([str(sandbox.folder), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [*snakemake, "--configfile", "s.yaml", "--executor", "queue", "--jobs", "2", "--quiet"],
        cwd=sandbox.folder,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert (done.returncode, done.stdout) == (7, "submitted simulate with 8 threads"), done.stderr


def test_a_phantom_that_cannot_be_made(sandbox):
    """An invalid description ends the study before anything runs."""
    sandbox.study(["zero"], datasets=[{"phantom": "sphere", "protocol": "brain-3t", "set": {"voxel_size": -1}}])
    done = sandbox.run()
    assert done.returncode == 2
    assert "voxel_size" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


def test_simulate_reconstruct_score(sandbox):
    """The verbs one by one, on a scan of their own."""
    run = sandbox.run
    assert run("simulate", "sphere", "scan", "--seed", "3", "--set", "voxel_size=6").returncode == 0
    done = run("reconstruct", "romeo.fit.pdf.tkd", "scan/scan", "maps", "--set", "tkd.threshold=0.25")
    assert done.returncode == 0, done.stderr
    assert (sandbox.folder / "maps" / "chimap.nii.gz").is_file()
    done = run("score", "maps", "scan/truth", "--csv", "scores.csv")
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(sandbox.folder / "scores.csv").set_index("metric")
    assert 0 < table.loc["nrmse", "value"] < 100


def test_a_bids_simulation_is_a_scan(sandbox):
    assert sandbox.run("simulate", "sphere", "bids", "--format", "bids", "--set", "voxel_size=6").returncode == 0
    done = sandbox.run("reconstruct", "romeo.fit", "bids", "maps")
    assert done.returncode == 0, done.stderr
    grid = folders.read_params(sandbox.folder / "maps" / "scan").grid
    field = folders.read(sandbox.folder / "maps", "total_field", grid)
    assert np.isfinite(field).all()
    assert (sandbox.folder / "bids/derivatives/truth/sub-01/anat/sub-01_Chimap.nii.gz").is_file()


def test_a_damaged_scan_stops_no_other(sandbox, small):
    """It is a row with its reason, said in a line; scores and report of the others are made."""
    magnitude = small["scan"]["magnitude"].copy()
    magnitude[3, 3, 3, 1] = np.nan
    write_megre(sandbox.folder / "bids", small["scan"]["phase"], magnitude, small["params"])
    sphere = {"phantom": "sphere", "protocol": "brain-3t", "set": {"voxel_size": 6}}
    sandbox.study(["zero"], datasets=[{"bids": "bids"}, sphere])
    done = sandbox.run()
    assert done.returncode == 4
    said = flat(done.stderr)
    assert "1 of 2 datasets failed (bids: " in said
    reason = "sub-01_echo-2_part-mag_MEGRE.nii.gz: 1 of 9576 voxels are NaN or infinite"
    assert reason in said
    assert "Exception" not in said
    assert "Traceback" not in said
    scores = sandbox.scores()
    assert value(scores, "zero", "nrmse") == [100.0]
    (row,) = scores[scores.dataset == "bids"].to_dict("records")
    assert (row["metric"], row["support"], row["chain"]) == ("status", "run", "")
    assert reason in row["reason"] and row["reason"].startswith("failed: ")
    assert reason in (sandbox.folder / "results/s/report/index.html").read_text()


def test_the_subjects_of_a_folder_of_any_name(sandbox, small):
    """Each is a dataset of its own; one that is damaged costs no other, and a name of a folder is made safe."""
    place = sandbox.folder / "MEGRE (copy) {x}+[1].v2"
    for label in ("01", "02", "03"):
        write_megre(place, small["scan"]["phase"], small["scan"]["magnitude"], small["params"], subject=label)
        mask = small["scan"]["mask"].astype(np.float32) * 0.9 + 0.05
        save_volume(sandbox.folder / f"mask-{label}.nii.gz", np.where(mask > 0.5, mask, 0), small["params"].grid.affine)
    next(place.glob("sub-02/anat/*echo-2_part-phase*.nii.gz")).write_bytes(b"x")
    (sandbox.folder / "mask-03.nii.gz").unlink()
    dataset = {"bids": place.name, "subjects": "all", "mask": "mask-{subject}.nii.gz", "phase_unit": "rad"}
    sandbox.study(["romeo.fit"], datasets=[dataset])
    done = sandbox.run()
    assert done.returncode == 4
    name = "MEGRE-copy-x-+-1-.v2_sub-"
    assert f"2 of 3 datasets failed ({name}02: " in flat(done.stderr)
    scores = sandbox.scores()
    assert set(scores.dataset) == {f"{name}{label}" for label in ("01", "02", "03")}
    assert (scores[scores.dataset == f"{name}01"].metric == "time").any()
    (row,) = scores[scores.dataset == f"{name}03"].to_dict("records")
    assert "mask-03.nii.gz: no such file" in row["reason"]
    assert (sandbox.folder / "results/s/report/index.html").is_file()
    assert sandbox.run().returncode == 4  # and what is up to date is reused


def test_a_killed_study_goes_on_and_a_running_one_is_left_alone(sandbox):
    """Killed, not interrupted: nothing could be tidied up."""
    sandbox.name = "killed"
    sandbox.study(["truth", "zero", "truth.hanging"], ONE, time_limit=600)
    running = start(sandbox)

    def workers():
        processes = subprocess.run(
            ["ps", "-A", "-ww", "-o", "args"], capture_output=True, text=True
        ).stdout.splitlines()
        return [p for p in processes if "qsmbench.run.worker" in p and "results/killed/" in p]

    assert workers()
    done = sandbox.run()
    assert done.returncode == 2
    assert "another run is using this study" in " ".join(done.stderr.split())
    os.killpg(running.pid, signal.SIGKILL)
    running.wait(timeout=60)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and workers():
        time.sleep(0.2)
    assert not workers()
    before = sandbox.runs()
    (sandbox.folder / "hanging.py").write_text(METHODS.format(name="hanging", body="return local_field"))
    done = sandbox.run()
    assert done.returncode == 0, done.stderr
    assert sandbox.runs()[TRUTH] == before[TRUTH]


KILLERS = {
    "leaving": "import os; os._exit(0)",
    "crashing_at_import": "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
    "stopping": "raise KeyboardInterrupt",
    "exiting": "import sys; sys.exit(0)",
    "broken": "def mine(",
    "empty": "mine = 3",
}


def test_what_a_file_does_as_it_is_imported_ends_only_its_own_row(sandbox):
    for name, text in KILLERS.items():
        (sandbox.folder / f"{name}.py").write_text(text)
    sandbox.study(["zero"], ONE)
    content = yaml.safe_load((sandbox.folder / "s.yaml").read_text())
    content["methods"] = {name: {"use": f"{name}.py"} for name in KILLERS}
    content["chains"] = ["zero", *KILLERS, "romeo.leaving.tkd"]
    (sandbox.folder / "s.yaml").write_text(yaml.safe_dump(content))
    done = sandbox.run()
    assert done.returncode == 4
    assert "7 of 8 results failed (" in flat(done.stderr)
    scores = sandbox.scores()
    assert value(scores, "zero", "nrmse") == [100.0]
    reasons = scores[scores.metric == "status"].set_index("chain").reason
    assert reasons["leaving"] == "failed: leaving.py: cannot be imported: the process ended (exit code 0)"
    assert "killed by SIGSEGV" in reasons["crashing_at_import"]
    assert "KeyboardInterrupt" in reasons["stopping"]
    assert "SystemExit" in reasons["exiting"]
    assert "SyntaxError" in reasons["broken"]
    assert "declares no method 'empty'" in reasons["empty"]
    assert reasons["romeo.leaving.tkd"].startswith("skipped: romeo.leaving: leaving.py: cannot be imported")


@pytest.mark.parametrize("name", ["leaving", "crashing_at_import", "stopping"])
def test_conform_says_that_a_file_cannot_be_imported(sandbox, name):
    (sandbox.folder / f"{name}.py").write_text(KILLERS[name])
    done = sandbox.run("conform", f"{name}.py")
    assert done.returncode == 4
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_file_that_never_ends_as_it_is_imported(tmp_path, monkeypatch):
    from qsmbench import probe
    from qsmbench.run import registry

    monkeypatch.setattr(probe, "TIME_LIMIT", 3)
    (tmp_path / "looping.py").write_text("while True: pass")
    start = time.monotonic()
    assert registry.describe(str(tmp_path / "looping.py")).broken.endswith("cannot be imported: took longer than 3 s")
    assert time.monotonic() - start < 10


def test_a_chain_may_end_in_anything(sandbox):
    """A mask is scored as one, an unwrapped phase is not, and neither stops the others."""
    sandbox.study(["truth", "truth.tkd", "magnitude_mask", "romeo", "r2star_log"], ONE)
    done = sandbox.run()
    assert done.returncode == 0, done.stderr
    scores = sandbox.scores()
    assert 0 < value(scores, "magnitude_mask", "dice")[0] <= 1
    assert value(scores, "r2star_log", "nrmse")[0] > 0
    assert scores[scores.chain == "romeo"].metric.tolist() == ["time", "peak_memory", "not_scored"]
    assert scores[(scores.chain == "romeo") & (scores.metric == "not_scored")].reason.iloc[0] != ""
    pictures = {f.stem for f in (sandbox.folder / "results/s/sphere_brain-3t_seed-0/pictures").iterdir()}
    assert {"truth", "truth.tkd", "magnitude_mask", "r2star_log"} <= pictures


def test_a_run_from_elsewhere_sees_what_has_changed(sandbox):
    """The study's folder alone knows what each result was made from."""
    sandbox.study(["zero", "truth.tkd"], ONE)
    assert sandbox.run().returncode == 0
    before, old = sandbox.runs(), value(sandbox.scores(), "truth.tkd", "nrmse")
    shutil.rmtree(sandbox.folder / ".snakemake")
    elsewhere = sandbox.folder / "elsewhere"
    elsewhere.mkdir()
    content = yaml.safe_load((sandbox.folder / "s.yaml").read_text())
    content["results"] = str(sandbox.folder / "results")
    command = sandbox.command("run", str(sandbox.folder / "s.yaml"), "--cores", "2")
    for setting, expected in ((0.15, set()), (0.3, {"sphere_brain-3t_seed-0/truth.tkd"})):
        content["methods"] = {"tkd": {"set": {"threshold": setting}}} if setting != 0.15 else {}
        (sandbox.folder / "s.yaml").write_text(yaml.safe_dump(content))
        done = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr
        after = sandbox.runs()
        assert {name for name in after if after[name] != before[name]} == expected
    assert value(sandbox.scores(), "truth.tkd", "nrmse") != old


def test_a_job_whose_study_was_changed_meanwhile_leaves_nothing(sandbox):
    """An orphan of a killed run must not overwrite what a later run makes."""
    from dataclasses import replace

    from qsmbench.run.specs import read_job, write_spec

    sandbox.study(["zero"], ONE)
    assert sandbox.run().returncode == 0
    folder = sandbox.folder / "results" / "s"
    record, file = folder / "sphere_brain-3t" / "simulation.json", folder / ".jobs" / "sphere_brain-3t/simulation.json"
    job = read_job(file)
    record.unlink()
    orphan = subprocess.Popen(
        [sys.executable, "-m", "qsmbench.study.jobs", str(file.relative_to(sandbox.folder))],
        cwd=sandbox.folder,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not list(folder.rglob(".making-*")):
        assert orphan.poll() is None
        time.sleep(0.01)
    write_spec(file, replace(job, settings={**job.settings, "set": {"voxel_size": 5}}))
    _, said = orphan.communicate(timeout=60)
    assert orphan.returncode == 1
    assert "was changed or removed while the job ran" in said
    assert not record.exists()
    assert not list(folder.rglob(".making-*"))


def test_rerun_and_force(sandbox):
    sandbox.study(["zero", "truth.tkd"], ONE)
    assert sandbox.run().returncode == 0
    before = sandbox.runs()
    assert sandbox.run("run", "s.yaml", "--rerun", "truth.tkd").returncode == 0
    after = sandbox.runs()
    assert {name.partition("/")[2] for name in after if after[name] != before[name]} == {"truth", "truth.tkd"}
    assert sandbox.run("run", "s.yaml", "--force").returncode == 0
    again = sandbox.runs()
    assert all(again[name] != after[name] for name in after)
    done = sandbox.run("run", "s.yaml", "--rerun", "truth.nothing")
    assert done.returncode == 2
    assert "--rerun truth.nothing: the study has no such chain; choose from zero, truth.tkd" in flat(done.stderr)


def test_a_reconstruction_is_scored_by_its_own_maps(sandbox):
    """Also after it was copied, and never by those of another run."""
    assert sandbox.run("simulate", "sphere", "scan", "--set", "voxel_size=6").returncode == 0
    arguments = ("reconstruct", "truth.tkd", "scan/scan", "maps", "--truth", "scan/truth", "--set")

    def nrmse(folder):
        done = sandbox.run("score", folder, "scan/truth", "--csv", "scores.csv")
        assert done.returncode == 0, done.stderr
        return pd.read_csv(sandbox.folder / "scores.csv").set_index("metric").loc["nrmse", "value"]

    assert sandbox.run(*arguments, "tkd.threshold=0.05").returncode == 0
    first = nrmse("maps")
    shutil.copytree(sandbox.folder / "maps", sandbox.folder / "copy")
    assert sandbox.run(*arguments, "tkd.threshold=0.6").returncode == 0
    assert nrmse("copy") == first != nrmse("maps")
    shutil.copy(sandbox.folder / "scan/truth/chimap.nii.gz", sandbox.folder / "maps")
    assert nrmse("maps") == 0


def test_a_simulation_leaves_nothing_of_an_earlier_one(sandbox):
    simulate = ("simulate", "sphere", "scan", "--set", "voxel_size=8", "--protocol")
    assert sandbox.run(*simulate, "cosmos-3t").returncode == 0
    assert list((sandbox.folder / "scan" / "scan").glob("orientation-*"))
    assert sandbox.run(*simulate, "brain-3t").returncode == 0
    assert not list(sandbox.folder.glob("scan/*/orientation-*"))


@pytest.mark.parametrize(
    ("datasets", "message"),
    [
        ([{**ONE[0], "seeds": [0, 0]}], "0 is listed twice"),
        ([{"bids": "a (b)"}, {"bids": "a [b]"}], "two datasets are called 'a-b'; give one of them a name"),
        ([ONE[0], {"bids": "x/sphere_brain-3t_seed-0"}], "two scans are called 'sphere_brain-3t_seed-0'"),
        (["head"], "datasets"),
        ([{"bids": "x/report"}], "a dataset is called 'report', which is a reserved folder name"),
    ],
)
def test_names_that_cannot_be(sandbox, datasets, message):
    sandbox.study(["zero"], datasets=datasets)
    done = sandbox.run()
    assert done.returncode == 2
    assert message in flat(done.stderr)
    assert "Traceback" not in done.stderr


def test_a_metric_that_never_returns_holds_up_nothing(sandbox):
    """It is one of another package's; the limit of a step is the limit of its scores, too."""
    code = "while True: pass"
    head = (
        "from qsmbench.metrics import metric\n\n@metric(unit='', best=0.0, higher_is_better=False, reference='test')\n"
    )
    (sandbox.folder / "slow.py").write_text(f"{head}def slow(estimate, truth, mask):\n    {code}\n")
    info = sandbox.folder / "theirs-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[qsmbench.metrics]\nslow = slow:slow\n")
    sandbox.study(["zero"], ONE, time_limit=6)
    path = os.pathsep.join([str(sandbox.folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        sandbox.command("run", "s.yaml", "--cores", "2"),
        cwd=sandbox.folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 4
    assert "scoring timeout: score sphere_brain-3t_seed-0 zero: took longer than its limit of 6 s" in flat(done.stderr)
    assert (sandbox.folder / "results/s/report/index.html").is_file()


def test_chains_that_end_in_an_image_without_a_truth_are_shown_and_not_refused(sandbox):
    """Each has a time, a picture and the reason why it is not scored; the others are scored as ever."""
    images = ["swi", "swi.minip", "laplacian.clear_swi", "t2star_weighted", "truth.tswi", "truth.zero.smwi"]
    sandbox.study([*images, "truth", "laplacian"], ONE)
    done = sandbox.run()
    assert done.returncode == 0, done.stdout + done.stderr
    scores, folder = sandbox.scores(), sandbox.folder / "results" / "s"
    for chain in images:
        rows = scores[scores.chain == chain].set_index("metric")
        assert "no truth of its own" in rows.loc["not_scored", "reason"], chain
        assert rows.loc["time", "value"] > 0
        assert (folder / "sphere_brain-3t_seed-0" / "pictures" / f"{chain}.webp").is_file()
    assert value(scores, "truth", "nrmse") == [0]
    page = (folder / "report" / "index.html").read_text()
    assert all(chain in page for chain in images)


def test_a_measured_scan_with_planted_sources(sandbox, small):
    """A second dataset, whose differences are scored against the planted χ; the method adds nothing of the scan."""
    root = sandbox.folder / "bids"
    write_megre(root, small["scan"]["phase"], small["scan"]["magnitude"], small["params"])
    source = {"source": "iron", "chi": 0.8, "at": [2.0, 1.0, 0.0], "radii": 3, "name": "bleed"}
    chains = ["romeo.fit.pdf.tkd", "zero"]
    sandbox.study(chains, datasets=[{"bids": "bids", "plant": [source]}])
    done = sandbox.run()
    assert done.returncode == 0, done.stdout + done.stderr
    scores = sandbox.scores()
    planted = scores[scores.dataset == "bids_planted"].set_index(["chain", "metric", "support", "region"])["value"]
    assert planted["zero", "nrmse", "study", ""] == 100
    assert 0 < planted["romeo.fit.pdf.tkd", "nrmse", "study", ""] < 100
    assert planted["romeo.fit.pdf.tkd", "mean", "study", "bleed"] > 0.2
    plain = scores[(scores.dataset == "bids") & (scores.metric == "nrmse")]
    assert plain.value.isna().all()
    assert "bids_planted" in (sandbox.folder / "results/s/report/index.html").read_text()
    assert sandbox.run().returncode == 0
