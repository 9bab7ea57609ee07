"""`qsmbench plan`: counts and rough costs of a study that has not run."""

import pytest

from qsmbench import cli
from qsmbench.data.bids import write_megre
from qsmbench.errors import QsmbenchError
from qsmbench.run.specs import Record, write_spec
from qsmbench.study import config, estimate
from qsmbench.study.datasets import Measured
from qsmbench.study.plan import Plan


def plan(tmp_path, **change):
    content = {
        "study": "s",
        "datasets": [{"phantom": "sphere", "protocol": "brain-3t", "seeds": [0, 1], "over": {"snr": [30, 100]}}],
        "chains": ["truth", "truth.tkd", "romeo.fit"],
        "results": str(tmp_path),
    }
    return Plan(config.parse({**content, **change}, "x.yaml"))


def test_counts(tmp_path):
    found = estimate.estimate(plan(tmp_path), 2)
    assert found.counts == {
        "simulations": 2,
        "scans": 4,
        "steps": 16,
        "scores": 12,
        "jobs": 2 + 4 * (1 + 4 + 3 + 2) + 2,
    }
    assert found.counts["jobs"] == len(list(plan(tmp_path).jobs())) and found.done == 0


def test_a_measured_scan_has_the_voxels_of_its_volumes(tmp_path, small):
    """A BIDS dataset, a folder with a table of echoes, and one that holds neither."""
    root, table = tmp_path / "bids", "echo_time\tfield_strength\tphase\tmagnitude\n"
    anat = write_megre(root, small["scan"]["phase"], small["scan"]["magnitude"], small["params"])
    for e, te in enumerate(small["params"].te):
        files = [str(anat / f"sub-01_echo-{e + 1}_part-{part}_MEGRE.nii.gz") for part in ("phase", "mag")]
        table += "\t".join([str(te), "3", *files]) + "\n"
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "echoes.tsv").write_text(table)
    for folder in (root, tmp_path / "flat"):
        found = estimate.millions_of_voxels(Measured(bids=folder))
        assert found == pytest.approx(24 * 21 * 19 / 1e6)
        assert estimate.estimate(plan(tmp_path, datasets=[{"bids": str(folder)}], chains=["zero"]), 1).disk > 0
    with pytest.raises(QsmbenchError, match="nowhere: holds no gradient-echo scan that can be read"):
        estimate.estimate(plan(tmp_path, datasets=[{"bids": str(tmp_path / "nowhere")}], chains=["zero"]), 1)


def test_costs_grow_with_voxels_scans_and_fewer_cores(tmp_path):
    small, one = plan(tmp_path), estimate.estimate(plan(tmp_path), 1)
    fine = [{**small.study.datasets[0].model_dump(), "set": {"voxel_size": 0.5}}]
    large = estimate.estimate(plan(tmp_path, datasets=fine), 1)
    assert large.seconds > 2 * one.seconds and large.disk > 2 * one.disk and large.memory > one.memory
    assert estimate.estimate(small, 2).seconds < one.seconds
    assert estimate.estimate(plan(tmp_path, chains=["truth", "romeo.fit", "tgv_qsm"]), 1).seconds > one.seconds


def test_all_methods_have_a_recorded_cost():
    from qsmbench.run import registry

    known = estimate.committed_costs()
    without = [m for m in registry.names() if registry.is_own(m) and f"step {m}" not in known]
    controls = {"true_mask", "true_total_field", "true_local_field", "true_veins"}  # which copy a file
    assert set(without) <= controls | {"cosmos", "bipolar", "magnitude_mask", "quality_mask", "erode", "erode_noisy"}
    assert {"simulate", "noise", "score", "common", "pictures"} <= known.keys()


def test_own_records_come_first(scan_folder):
    study = scan_folder / "s"
    dataset = study / "g_seed-0"
    dataset.mkdir(parents=True)
    (scan_folder / "scan").rename(dataset / "scan")
    write_spec(dataset / "scan.json", Record("noise", "ok", seconds=3.0))
    step = Record("step", "ok", seconds=2.0, peak_memory=150.0, details={"method": "tkd", "wall": 2.5})
    write_spec(dataset / "chains" / "truth.tkd" / "run.json", step)
    write_spec(dataset / "chains" / "truth.tv" / "run.json", Record("step", "failed"))
    found = estimate.recorded(study)
    million = 24 * 21 * 19 / 1e6
    assert found["step tkd"][:2] == pytest.approx((2.5 / million, 50 / million)) and "step tv" not in found
    assert found["noise"].seconds == pytest.approx(3 / million) and found["noise"].disk > 0


def test_the_command_prints_them(tmp_path, monkeypatch, capsys):
    file = tmp_path / "x.yaml"
    text = "study: s\ndatasets: [{phantom: sphere, protocol: brain-3t}]\nchains: [truth, mine]\n"
    method = "@method(produces='chi', reference='x')\ndef mine(mask):\n    return mask\n"
    (tmp_path / "mine.py").write_text(f"from qsmbench.method import method\n\n{method}")
    file.write_text(f"{text}methods: {{mine: {{use: {tmp_path / 'mine.py'}}}}}\n")
    monkeypatch.setattr("sys.argv", ["qsmbench", "plan", str(file), "--cores", "2"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    out = capsys.readouterr().out
    assert not end.value.code and "s: 1 simulation, 1 scan, 2 steps, 2 scores, 10 jobs" in out
    assert "on 2 cores: 1 min" in out and "No recorded duration: mine" in out
    assert not (tmp_path / "results").exists()
