"""Long random series of edits, damages and kills: after each run a study equals a clean one of the same description.

Everything happens to a copy of the package, so that its own code can be edited, too. What is run again after each
change is compared with what has to be.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

from qsmbench.paths import data_dir

pytestmark = pytest.mark.slow

METHOD = """
{comment}
from gains import GAIN
from qsmbench.method import method

@method(produces="chi", reference="test")
def mine(local_field, mask):
    return GAIN * local_field
"""
DATASET = "sphere_brain-3t_seed-0"
GROUP = "sphere_brain-3t"
MINE, TKD, ZERO, FIT = "truth.mine", "truth.tkd", "zero", "romeo.fit"
GATHERED = {f"{DATASET}/common", f"{DATASET}/pictures", "tables", "report"}


class Lab:
    """A study, the package that runs it, and what of both can be changed."""

    def __init__(self, folder):
        self.folder = folder
        self.package = folder / "package"
        for name in ("qsmbench", "phantoms", "configs"):
            shutil.copytree(data_dir() / name, self.package / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(data_dir() / "Snakefile", self.package)
        self.work = folder / "work"
        (self.work / "beside").mkdir(parents=True)
        self.place = folder / "results"
        self.gain, self.comment, self.threshold, self.voxel, self.seeds = 1.0, "", 0.15, 12, [0]
        self.factor, self.scale = 1, 1.0  # of the operations and of a metric, in the package
        self.clean = {}
        self.write()

    def write(self):
        (self.work / "beside" / "mine.py").write_text(METHOD.format(comment=f"# {self.comment}"))
        (self.work / "beside" / "gains.py").write_text(f"GAIN = {self.gain}\n")
        content = {
            "study": "s",
            "datasets": [
                {"phantom": "sphere", "protocol": "brain-3t", "seeds": self.seeds, "set": {"voxel_size": self.voxel}}
            ],
            "chains": ["truth", ZERO, TKD, MINE, FIT],
            "methods": {
                "mine": {"use": str(self.work / "beside" / "mine.py")},
                "tkd": {"set": {"threshold": self.threshold}},
            },
        }
        (self.work / "s.yaml").write_text(yaml.safe_dump(content))
        self.patch("ops/kernels/dipole.py", "\n_FACTOR = ", f"{self.factor}\n")
        self.patch("metrics/nrmse.py", "\n_SCALE = ", f"{self.scale}\n")

    def patch(self, file, begin, end):
        """End a file of the package with a line of ours; the file changes only if the line does."""
        path = self.package / "qsmbench" / file
        text = path.read_text().split(begin)[0].rstrip("\n") + "\n"
        if file.endswith("nrmse.py"):
            text = text.replace("return 100 * (", "return 100 * _SCALE * (")
        if path.read_text() != text + begin + end:
            path.write_text(text + begin + end)

    @property
    def study(self):
        return self.place / "s"

    def start(self, results=None, cwd=None):
        command = [sys.executable, "-m", "qsmbench.cli", "run", str(self.work / "s.yaml"), "--cores", "2"]
        return subprocess.Popen(
            [*command, "--results", str(results or self.place)],
            cwd=cwd or self.work,
            env={**os.environ, "PYTHONPATH": str(self.package), "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, results=None, cwd=None):
        running = self.start(results, cwd)
        out, err = running.communicate(timeout=600)
        assert running.returncode == 0, (out, err)

    def state(self):
        return json.dumps([self.gain, self.threshold, self.voxel, self.seeds, self.scale])

    def expected(self):
        """The volumes and scores of a clean study of the same description."""
        if self.state() not in self.clean:
            place = self.folder / "clean"
            shutil.rmtree(place, ignore_errors=True)
            self.run(place, self.folder)
            self.clean[self.state()] = contents(place / "s")
        return self.clean[self.state()]


def contents(study):
    """Digests of all volumes and pictures, and the scores without what the run took."""
    files = sorted([*study.rglob("*.nii.gz"), *study.rglob("*.webp"), *study.rglob("*.tsv")])
    digests = {str(f.relative_to(study)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}
    scores = pd.read_parquet(study / "scores.parquet")
    scores = scores[~scores.metric.isin(["time", "peak_memory"])].drop(columns="orientation")
    return digests, scores.to_json(orient="records")


def records(study):
    """What tells one run of a job from another: nobody takes the same time twice."""
    found = {}
    for file in study.rglob("*.json"):
        content = json.loads(file.read_text()) if not file.is_relative_to(study / ".jobs") else {}
        if isinstance(content, dict) and content.get("kind") == "record" and ".former" not in file.name:
            name = str(file.relative_to(study).with_suffix(""))
            found[name] = (content["seconds"], content["details"].get("wall"), content["status"])
    return found


def step(chain):
    return f"{DATASET}/chains/{chain}/run"


def score(chain):
    return f"{DATASET}/scores/{chain}"


EVERYTHING = None


def edit_gain(lab, rng):
    lab.gain = 3.0 - lab.gain
    lab.write()
    return {step(MINE), score(MINE), *GATHERED}


def edit_gain_with_an_old_time(lab, rng):
    expected = edit_gain(lab, rng)
    for name in ("mine.py", "gains.py"):
        os.utime(lab.work / "beside" / name, (1e9, 1e9))
    return expected


def edit_comment(lab, rng):
    lab.comment = str(rng.random())
    lab.write()
    return set()


def touch(lab, rng):
    for file in [lab.work / "beside" / "mine.py", lab.package / "phantoms" / "sphere.yaml"]:
        os.utime(file)
    return set()


def edit_threshold(lab, rng):
    lab.threshold = 0.35 - lab.threshold
    lab.write()
    return {step(TKD), score(TKD), *GATHERED}


def edit_operation(lab, rng):
    """A change of code that leaves the numbers as they are: those who use it run again, and no one after them."""
    lab.factor += 1
    lab.write()
    # the metric data_consistency rests on it
    scores = {score(c) for c in ("truth", ZERO, TKD, MINE, FIT)}
    return {step(TKD), *scores, f"{DATASET}/common", "tables", "report"}


def edit_metric(lab, rng):
    lab.scale = 3.0 - lab.scale
    lab.write()
    scores = {score(c) for c in ("truth", ZERO, TKD, MINE, FIT)}
    return {*scores, f"{DATASET}/common", "tables", "report"}


def edit_voxel_size(lab, rng):
    lab.voxel = 22 - lab.voxel
    lab.write()
    return EVERYTHING


def delete_product(lab, rng):
    (lab.study / DATASET / "chains" / TKD / "chimap.nii.gz").unlink()
    return {step(TKD), "tables", "report"}  # they tell what it took


def truncate_product(lab, rng):
    file = lab.study / DATASET / "chains" / FIT / "totalfield.nii.gz"
    file.write_bytes(file.read_bytes()[:-7])
    return {step(FIT), "tables", "report"}


def corrupt_product_secretly(lab, rng):
    file = lab.study / DATASET / "chains" / MINE / "chimap.nii.gz"
    stat, content = file.stat(), bytearray(file.read_bytes())
    content[len(content) // 2] ^= 255
    file.write_bytes(content)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    return {step(MINE), "tables", "report"}


def delete_truth(lab, rng):
    (lab.study / GROUP / "truth" / rng.choice(["chimap.nii.gz", "dseg.tsv", "params.json"])).unlink()
    return {f"{GROUP}/simulation"}


def delete_scan(lab, rng):
    shutil.rmtree(lab.study / DATASET / "scan")
    return {f"{DATASET}/scan"}


def delete_record(lab, rng):
    (lab.study / DATASET / "chains" / MINE / "run.json").unlink()
    return {step(MINE), "tables", "report"}


def damage_record(lab, rng):
    (lab.study / DATASET / "scores" / f"{MINE}.json").write_text("{")
    return {score(MINE)}


def delete_scores(lab, rng):
    (lab.study / DATASET / "scores" / f"{ZERO}.parquet").unlink()
    return {score(ZERO)}


def delete_picture(lab, rng):
    (lab.study / DATASET / "pictures" / f"{TKD}.webp").unlink()
    return {f"{DATASET}/pictures"}


def delete_tables(lab, rng):
    (lab.study / rng.choice(["scores.parquet", "scores.csv", "datasets.csv"])).unlink()
    return {"tables"}


def delete_report(lab, rng):
    (lab.study / "report" / "index.html").unlink()
    return {"report"}


def forget_snakemake(lab, rng):
    for place in (lab.work, lab.folder):
        shutil.rmtree(place / ".snakemake", ignore_errors=True)
    return set()


def forget_digests(lab, rng):
    (lab.study / ".jobs" / "contents.json").unlink()
    return set()


def move_study(lab, rng):
    """A copy has other times, in another order."""
    place = lab.folder / f"moved-{rng.random()}"
    shutil.copytree(lab.place, place, copy_function=shutil.copy)
    shutil.rmtree(lab.place)
    lab.place = place
    return set()


def change_directory(lab, rng):
    return "elsewhere"


def nothing(lab, rng):
    return set()


ACTIONS = [
    *(edit_gain, edit_gain_with_an_old_time, edit_comment, touch, edit_threshold, edit_operation, edit_metric),
    *(edit_voxel_size, delete_product, truncate_product, corrupt_product_secretly, delete_truth, delete_scan),
    *(delete_record, damage_record, delete_scores, delete_picture, delete_tables, delete_report, forget_snakemake),
    *(forget_digests, move_study, change_directory, nothing),
]
STEPS = int(os.environ.get("QSMBENCH_SERIES", "100"))


def ran(lab, before):
    after = records(lab.study)
    return {name for name in after if after[name] != before.get(name)}


def test_a_random_series_of_changes(tmp_path):
    """Each action at least twice, then at random; some interrupted in between."""
    rng = random.Random(0)
    lab = Lab(tmp_path)
    lab.run()
    assert contents(lab.study) == lab.expected()
    actions = ACTIONS * 2 + rng.choices(ACTIONS, k=max(0, STEPS - 2 * len(ACTIONS)))
    rng.shuffle(actions)
    for number, action in enumerate(actions[:STEPS]):
        before = records(lab.study)
        expected = action(lab, rng)
        cwd = None
        if expected == "elsewhere":
            cwd, expected = lab.folder, set()
        lab.run(cwd=cwd)
        where = f"step {number}: {action.__name__}"
        assert contents(lab.study) == lab.expected(), where
        found = ran(lab, before)
        assert found == (set(records(lab.study)) if expected is EVERYTHING else expected), where


def descendants(marker):
    """Processes whose command line tells of the study."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if marker in line and int(folder.name) != os.getpid():
            found.append(line)
    return found


@pytest.fixture
def interruptible():
    """A shell starts what it runs in the background so that it ignores SIGINT, and that is inherited."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("seed", range(20))
def test_a_run_that_is_ended_at_a_random_point(tmp_path, seed):
    """It ends within 10 s, leaves no process, and the next run gives what an undisturbed one gives."""
    rng = random.Random(seed)
    lab = Lab(tmp_path)
    lab.voxel = 6
    lab.write()
    how = [signal.SIGKILL, signal.SIGINT, signal.SIGTERM][seed % 3]
    running = lab.start()
    time.sleep(rng.uniform(1, 30))
    if running.poll() is None:
        start = time.monotonic()
        os.kill(running.pid, how)
        code = running.wait(timeout=10)
        assert time.monotonic() - start < 10
        assert code == (-how if how == signal.SIGKILL else 128 + how)
        deadline = time.monotonic() + 10
        while (left := descendants(str(tmp_path))) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert not left
    running.stdout.close()
    running.stderr.close()
    lab.run()
    assert contents(lab.study) == lab.expected()
    assert not list(lab.study.rglob(".making-*"))
