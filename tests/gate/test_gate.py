"""The gate: every verdict on tables made by hand, files that go round, and the command with its exit codes."""

import json
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats

from qsmbench.data import folders
from qsmbench.data.score_table import COLUMNS
from qsmbench.errors import ExitCode, QsmbenchError
from qsmbench.gate import write
from qsmbench.gate.baseline import SAME, Baseline, fingerprint, of_results, read_baseline
from qsmbench.gate.compare import _judged, _tested, compare, exit_code
from qsmbench.gate.margins import DEFAULTS, read_margins
from qsmbench.run.specs import Record, write_spec

MARGINS = read_margins()
SCANS = ("a", "b", "c", "d")


def rows(chain, values, metric="nrmse", unit="%", artifact="chi", support="study", reason=""):
    return [
        dict(zip(COLUMNS, (scan, chain, artifact, metric, "", support, value, unit, reason), strict=True))
        for scan, value in zip(SCANS, values, strict=False)
    ]


def side(*tables, scans=None, units=None):
    scores = pd.DataFrame([r for t in tables for r in t], columns=list(COLUMNS))
    return Baseline("s", scores, scans or {s: [1.0, 2.0] for s in SCANS}, units or {}, {})


def verdicts(new, old, margins=MARGINS):
    return {(r.chain, r.metric): r.verdict for r in compare(new, old, margins)}


OLD = [20.0, 30.0, 40.0, 50.0]


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        (OLD, "identical"),
        (np.multiply(OLD, 1 + 5e-5), "equal"),
        (np.multiply(OLD, 1 - 5e-5), "equal"),
        (np.multiply(OLD, 1.004), "changed"),
        (np.multiply(OLD, 0.996), "changed"),
        (np.multiply(OLD, 1.011), "worse"),
        (np.multiply(OLD, 0.989), "better"),
        ([20, 30, 40, 50 * 1.031], "worse"),  # one scan, by more than three margins
        ([20, 30, 40, 50 * 1.029], "changed"),
        ([20 * 0.9, 30, 40, 50 * 1.031], "worse"),  # though the mean is better
    ],
)
def test_a_verdict_follows_from_mean_and_worst_scan(values, verdict):
    assert verdicts(side(rows("tv", values)), side(rows("tv", OLD))) == {("tv", "nrmse"): verdict}


@pytest.mark.parametrize(
    ("metric", "before", "after", "verdict"),
    [
        ("correlation", 0.90, 0.897, "worse"),  # 1 − r grows by 3 %
        ("correlation", 0.90, 0.903, "better"),
        ("correlation", 0.9999, 0.99985, "changed"),  # below the floor of 0.005
        ("detrended_slope", 0.83, 0.82, "worse"),
        ("detrended_slope", 1.17, 1.16, "better"),  # towards 1 from either side
        ("detrended_slope", 0.97, 1.03, "equal"),  # as far from it as before
        ("coverage", 90.0, 89.0, "worse"),
        ("nrmse", 0.01, 0.015, "changed"),  # 0.5 % of the floor
    ],
)
def test_an_error_is_the_distance_from_the_best_value(metric, before, after, verdict):
    found = verdicts(side(rows("tv", [after] * 4, metric)), side(rows("tv", [before] * 4, metric)))
    assert found == {("tv", metric): verdict}


def test_only_whole_maps_with_a_best_value_on_the_study_mask_count():
    regional = [{**r, "region": "putamen"} for r in rows("tv", OLD)]
    mean = rows("tv", OLD, "mean", "ppm")
    assert verdicts(side(mean, regional[:0]), side(mean)) == {}


def test_what_is_gone_new_or_of_another_scan():
    old = side(rows("tv", OLD), rows("medi", OLD))
    assert verdicts(side(rows("tv", OLD), rows("mine", OLD)), old) == {
        ("tv", "nrmse"): "identical",
        ("medi", "nrmse"): "missing",
        ("mine", "nrmse"): "new",
    }
    other = {**side().scans, "d": [1.0, 2.0 + 2 * SAME]}
    found = compare(side(rows("tv", [20.0, 30, 40, 999]), scans=other), side(rows("tv", OLD)), MARGINS)
    assert [(r.verdict, r.scan) for r in found] == [("incomparable", "d"), ("identical", "a")]
    gone = compare(side(rows("tv", OLD[:3])), side(rows("tv", OLD)), MARGINS)
    assert [(r.verdict, r.scan) for r in gone] == [("missing", "d"), ("identical", "a")]


def test_a_failure_counts_unless_it_failed_before():
    failed = rows("tv", [np.nan], "status", "", "", "run", "failed: ValueError: no luck")
    (row, kept) = compare(side(failed, rows("tv", [np.nan, *OLD[1:]])), side(rows("tv", OLD)), MARGINS)
    assert (row.verdict, row.scan, row.reason) == ("failed", "a", "failed: ValueError: no luck")
    assert kept.verdict == "identical"
    assert verdicts(side(failed), side(failed)) == {}
    skipped = rows("tv", [np.nan], "status", "", "", "run", "skipped: it needs four echoes")
    assert "failed" not in verdicts(side(skipped, rows("tv", OLD)), side(rows("tv", OLD))).values()


def test_a_constant_in_chi_is_noticed_though_no_score_depends_on_it(results):
    """A map with a mean of 0, to which known constants are added."""
    grid = folders.read_params(results / "a" / "scan").grid
    chi = np.zeros(grid.shape, np.float32)
    chi[5:10, 5:10, 5:10] = np.random.default_rng(0).normal(0.0, 0.1, (5, 5, 5))
    chi[5:10, 5:10, 5:10] -= chi[5:10, 5:10, 5:10].mean()

    def baseline(values):
        folders.write(results / "a" / "chains" / "tv", {"chi": values}, grid)
        return of_results(results)

    old = baseline(chi)
    assert verdicts(baseline(chi + np.float32(1e-7) * (chi != 0)), old)["tv", "offset"] == "equal"
    assert verdicts(baseline(chi - np.float32(0.0006) * (chi != 0)), old)["tv", "offset"] == "worse"
    found = old.scores.set_index("metric")["value"]
    assert abs(found["offset"]) < 1e-8 and found["nrmse"] == 20
    moved = baseline(chi + np.float32(0.03) * (chi != 0))
    assert moved.scores.set_index("metric")["value"]["offset"] == pytest.approx(0.03, abs=1e-6)


# Stochastic chains


def drawn(seed, scans=5, spread=0.005, change=1.0):
    """Scores of two runs of a stochastic chain on the same scans, (scans, 2), the second one times `change`."""
    rng = np.random.default_rng(seed)
    error = rng.uniform(20, 60, (scans, 1)) * np.exp(rng.normal(0, spread, (scans, 2)))
    return error * [1.0, change]


def verdict_of(pairs, tests=1):
    return _tested(("net", "chi", "nrmse"), pairs, list("abcdefgh")[: len(pairs)], "%", MARGINS, tests).verdict


def test_unchanged_stochastic_chains_are_alike_in_all_but_one_percent():
    """2000 null comparisons at a level of 1 %: 20 are expected to differ; 33 is the 99.8 % point of the binomial."""
    found = [verdict_of(drawn(seed, spread=0.03)) for seed in range(2000)]
    assert 7 <= 2000 - found.count("alike") <= 33
    # the same scores would fail a gate that takes every change for one of the code
    plain = [_judged(("net", "chi", "nrmse"), drawn(s, spread=0.03), list("abcde"), "%", MARGINS) for s in range(100)]
    assert sum(r.verdict == "worse" for r in plain) > 30


@pytest.mark.parametrize(("change", "verdict"), [(1.05, "worse"), (0.95, "better")])
@pytest.mark.parametrize("tests", [1, 10])
def test_a_planted_change_of_a_stochastic_chain_is_found_as_often_as_predicted(change, verdict, tests):
    """The power of a t test with 4 degrees of freedom, from the noncentral t distribution; 3.5 standard errors."""
    found = [verdict_of(drawn(seed, spread=0.015, change=change), tests) for seed in range(400)]
    centre = abs(np.log(change)) / (0.015 * np.sqrt(2 / 5))
    predicted = stats.nct.sf(stats.t.ppf(1 - 0.005 / tests, 4), 4, centre)
    assert 0.1 < predicted < 0.8
    assert found.count(verdict) / 400 == pytest.approx(predicted, abs=3.5 * np.sqrt(predicted * (1 - predicted) / 400))


def test_a_change_of_a_stochastic_chain_within_the_margin_is_no_failure():
    found = [verdict_of(drawn(seed, scans=8, spread=0.0005, change=1.005)) for seed in range(50)]
    assert found.count("changed") >= 48


def test_stochastic_chains_are_tested_and_others_are_not():
    noisy = [20.1, 29.8, 40.3, 49.9]  # within the margin on average, and beyond rounding
    old = replace(side(rows("net", OLD), rows("tv", OLD)), stochastic=("net",))
    new = side(rows("net", noisy), rows("tv", OLD))
    found = {r.chain: r for r in compare(new, old, MARGINS)}
    assert found["tv"].verdict == "identical" and found["net"].verdict == "incomparable"
    assert found["net"].reason == "it is stochastic, and has 4 scans; at least 5 are needed"
    assert exit_code([found["net"]]) == ExitCode.FAILED
    fifth = dict(rows("net", [30.0])[0], dataset="e")
    old = replace(side(rows("net", OLD), [fifth], scans={s: [1.0] for s in "abcde"}), stochastic=("net",))
    new = side(rows("net", noisy), [dict(fifth, value=30.1)], scans=old.scans)
    (row,) = compare(new, old, MARGINS)
    before, after = np.array([*OLD, 30.0]), np.array([*noisy, 30.1])
    losses = 2 * (after - before) / (after + before)
    assert row.verdict == "alike" and row.loss == pytest.approx(losses.mean())
    assert row.error == pytest.approx(stats.sem(losses)) and f" ± {100 * row.error:.2g} % (margin" in write.change(row)
    assert write.noteworthy([row]) == []


def test_a_chain_is_stochastic_by_the_records_of_its_steps(results, tmp_path):
    table = pd.read_parquet(results / "scores.parquet")
    more = [table.assign(chain=chain) for chain in ("romeo.net", "romeo.net.tv", "romeo.tv")]
    pd.concat([table, *more]).to_parquet(results / "scores.parquet", index=False)
    for chain, details in (("romeo", {}), ("romeo.net", {"stochastic": True}), ("romeo.net.tv", {})):
        write_spec(results / "a" / "chains" / chain / "run.json", Record(name=chain, status="ok", details=details))
    made = of_results(results)
    assert made.stochastic == ("romeo.net", "romeo.net.tv")
    made.save(tmp_path / "b.parquet")
    assert read_baseline(tmp_path / "b.parquet").stochastic == made.stochastic


def test_times_are_compared_in_units_of_the_machine():
    def timed(seconds, unit):
        return side(rows("tv", [seconds] * 4, "time", "s", "", "run"), units={f"{s} tv": unit for s in SCANS})

    old = timed(10.0, 0.002)
    assert verdicts(timed(20.0, 0.004), old) == {("tv", "time"): "changed"}  # a machine half as fast
    assert verdicts(timed(20.0, 0.002), old) == {("tv", "time"): "slower"}
    memory = [side(rows("tv", [m] * 4, "peak_memory", "MiB", "", "run")) for m in (500, 560, 700)]
    assert verdicts(memory[1], memory[0]) == {("tv", "peak_memory"): "changed"}
    assert verdicts(memory[2], memory[0]) == {("tv", "peak_memory"): "larger"}


def test_exit_codes():
    old = side(rows("tv", OLD), rows("tv", [10.0] * 4, "time", "s", "", "run"))

    def code(*tables, fail_on=("worse",)):
        return exit_code(compare(side(*tables), old, MARGINS), fail_on)

    slow = rows("tv", [99.0] * 4, "time", "s", "", "run")
    assert code(rows("tv", OLD), slow) == ExitCode.OK
    assert code(rows("tv", OLD), slow, fail_on=("time",)) == ExitCode.SLOWER
    assert code(rows("tv", np.multiply(OLD, 1.1)), slow, fail_on=("time",)) == ExitCode.WORSE
    assert code(rows("tv", np.multiply(OLD, 1.004))) == ExitCode.OK
    assert code(rows("tv", np.multiply(OLD, 1.004)), fail_on=("change",)) == ExitCode.WORSE
    assert code(rows("other", OLD)) == ExitCode.FAILED


def test_margins_are_stated_with_reasons(tmp_path):
    content = yaml.safe_load(DEFAULTS.read_text())
    assert all(m["reason"] for m in content["metrics"].values())
    content["metrics"]["nrmse"]["margin"] = 0.5
    (tmp_path / "m.yaml").write_text(yaml.safe_dump(content))
    wide = read_margins(tmp_path / "m.yaml")
    assert verdicts(side(rows("tv", np.multiply(OLD, 1.1))), side(rows("tv", OLD)), wide) == {
        ("tv", "nrmse"): "changed"
    }
    content["metrics"]["nrmse"]["margin"] = -1
    (tmp_path / "m.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(QsmbenchError, match=r"metrics.nrmse.margin is -1"):
        read_margins(tmp_path / "m.yaml")


# Files


def test_a_baseline_is_read_as_it_was_written(tmp_path):
    old = replace(side(rows("tv", OLD), units={"a tv": 0.1}), versions={"qsmbench": "1"})
    old.save(tmp_path / "deep" / "b.parquet")
    found = read_baseline(tmp_path / "deep" / "b.parquet")
    pd.testing.assert_frame_equal(found.scores, old.scores)
    assert (found.scans, found.units, found.versions) == (old.scans, old.units, old.versions)


def test_what_is_no_baseline(tmp_path):
    with pytest.raises(QsmbenchError, match="no such file; write it with qsmbench baseline RESULTS"):
        read_baseline(tmp_path / "b.parquet")
    (tmp_path / "b.parquet").write_text("no")
    with pytest.raises(QsmbenchError, match="is not a baseline"):
        read_baseline(tmp_path / "b.parquet")
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "b.parquet")
    with pytest.raises(QsmbenchError, match="is not a baseline"):
        read_baseline(tmp_path / "b.parquet")


def test_a_fingerprint_knows_a_scan_up_to_rounding(scan_folder, small):
    before = fingerprint(scan_folder / "scan")
    grid, scan = small["params"].grid, small["scan"]

    def changed(**volumes):
        folders.write(scan_folder / "other", {**scan, **volumes}, grid)
        folders.write_params(scan_folder / "other", small["params"])
        found = fingerprint(scan_folder / "other")
        return len(found) == len(before) and np.allclose(found, before, rtol=0, atol=SAME)

    rng = np.random.default_rng(0)
    assert changed()
    rounding = scan["phase"] + 1e-6 * rng.standard_normal(scan["phase"].shape)
    assert changed(phase=np.angle(np.exp(1j * rounding)))  # also where it wraps
    assert changed(magnitude=3 * scan["magnitude"])  # in arbitrary units
    assert not changed(phase=np.angle(np.exp(1j * (scan["phase"] + 0.02 * rng.standard_normal(scan["phase"].shape)))))
    assert not changed(phase=-scan["phase"])
    assert not changed(phase=scan["phase"][::-1])
    smaller = scan["mask"].copy()
    smaller[:, :, : grid.shape[2] // 2] = False
    assert not changed(mask=smaller)
    assert fingerprint(scan_folder / "nowhere") == []


def test_reports_name_what_is_worse_and_where(tmp_path):
    found = compare(
        side(rows("tv", [20, 30, 40, 60]), rows("l2", OLD)), side(rows("tv", OLD), rows("l2", OLD)), MARGINS
    )
    write.junit(found, tmp_path / "j.xml")
    suite = ElementTree.parse(tmp_path / "j.xml").getroot()
    assert suite.get("tests") == "2" and suite.get("failures") == "1"
    (failure,) = suite.iter("failure")
    assert failure.get("type") == "worse" and "35 → 37.5 %" in failure.text and failure.text.endswith("; d")
    write.markdown(found, tmp_path / "s.md", "s")
    text = (tmp_path / "s.md").read_text()
    assert "2 scores: 1 worse, 1 identical" in text
    assert "| worse | `tv` | chi nrmse | 35 → 37.5 %, +5 % (margin 1 %), worst +20 % | d |" in text
    assert "l2" not in text


def test_a_history_grows_and_is_plotted(tmp_path):
    from qsmbench.gate.plot import plot

    file = tmp_path / "h.csv"
    for commit, factor in (("one", 1.0), ("two", 1.1)):
        write.history(compare(side(rows("tv", np.multiply(OLD, factor))), side(rows("tv", OLD)), MARGINS), file, commit)
    kept = write.read_history(file)
    assert [(r["commit"], r["verdict"], float(r["value"])) for r in kept] == [
        ("one", "identical", 35.0),
        ("two", "worse", pytest.approx(38.5)),
    ]
    with pytest.raises(QsmbenchError, match="contains commit 'two' already"):
        write.history([], file, "two")
    assert plot(file, tmp_path / "h.svg", "nrmse").read_text().count("<path") > 3
    with pytest.raises(QsmbenchError, match=r"has no 'nrms'; choose from nrmse \(did you mean nrmse\?\)"):
        plot(file, tmp_path / "h.svg", "nrms")


# The command


@pytest.fixture(autouse=True)
def working_folder(monkeypatch, tmp_path):
    """Files are named relative to an empty folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def results(tmp_path, scan_folder):
    """A study's folder with one scan and the scores of one chain."""
    study = tmp_path / "results" / "s"
    (study / "a").mkdir(parents=True)
    (scan_folder / "scan").rename(study / "a" / "scan")
    table = pd.DataFrame(rows("tv", [20.0]), columns=list(COLUMNS)).assign(group="a", seed=0)
    table.to_parquet(study / "scores.parquet", index=False)
    (study / "config.yaml").write_text("study: s\n")
    (study / "versions.json").write_text(json.dumps({"qsmbench": "1"}))
    return study


def test_the_command(command, results, tmp_path):
    code, out, _ = command("baseline", results, "b.parquet")
    assert code == 0 and "1 scans, 1 scores" in out
    code, out, _ = command("check", results, "--baseline", "b.parquet")
    assert code == 0 and out.strip() == "1 scores: 1 identical"
    table = pd.read_parquet(results / "scores.parquet")
    table.assign(value=22.0).to_parquet(results / "scores.parquet", index=False)
    options = ("--junit", "j.xml", "--markdown", "m.md", "--history", "h.csv", "--commit", "abc")
    code, out, _ = command("check", results, "--baseline", "b.parquet", *options)
    assert code == 1 and "1 scores: 1 worse" in out and "worse" in (tmp_path / "m.md").read_text()
    assert (tmp_path / "j.xml").is_file()
    assert command("history", "h.csv", "h.png")[0] == 0 and (tmp_path / "h.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("baseline", "nowhere", "b"), "nowhere/scores.parquet: no such file"),
        (("check", "results/s", "--baseline", "nowhere"), "nowhere: no such file; write it with qsmbench baseline"),
        (("check", "results/s", "--baseline", "b", "--fail-on", "slow"), "--fail-on is 'slow'; choose from worse"),
        (("check", "results/s", "--baseline", "b", "--pictures", "p"), "--pictures needs --old"),
        (("check", "results/s", "--baseline", "b", "--history", "h"), "--history needs --commit"),
        (("history", "nowhere", "h.png"), "nowhere: no such file; qsmbench check --history writes it"),
    ],
)
def test_bad_usage_leaves_with_two(command, results, arguments, message):
    code, _, err = command(*arguments)
    assert code == 2 and message in " ".join(err.split()) and err.count("\n") == 1


def test_a_baseline_of_a_failed_chain_says_so(command, results, tmp_path):
    table = pd.read_parquet(results / "scores.parquet")
    failed = pd.DataFrame(rows("tkd", [np.nan], "status", "", "", "run", "failed: ValueError: no luck"))
    pd.concat([table, failed.assign(group="a", seed=0)]).to_parquet(results / "scores.parquet", index=False)
    code, _, err = command("baseline", results, "b.parquet")
    assert code == 4 and (tmp_path / "b.parquet").is_file()
    assert "1 results failed, which the baseline does not guard (tkd on a: failed: ValueError" in " ".join(err.split())
