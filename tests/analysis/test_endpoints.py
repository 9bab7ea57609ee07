"""Endpoints of scenarios on tables made by hand, whose answers are known."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from qsmbench.analysis import endpoints as e
from qsmbench.data.endpoints import METRIC_OF, OF_A_SCAN, OVER_SCANS
from qsmbench.data.source_table import PlacedSource
from qsmbench.errors import QsmbenchError
from qsmbench.metrics import names

COLUMNS = ("dataset", "chain", "artifact", "metric", "region", "support", "value", "unit")


def trial(rows, scans, regions=("nigra",), controls=("control",)):
    """Scores as (dataset, chain, metric, region, value)."""
    table = [(d, c, "chi", m, r, "study", v, "ppm") for d, c, m, r, v in rows]
    return e.Trial(pd.DataFrame(table, columns=COLUMNS), scans, regions, controls)


def groups(values, region="nigra", chain="tv", ages=None, metric="mean"):
    """A trial of regional means: case → subject → value or values of its seeds."""
    rows, scans = [], {}
    for case, subjects in values.items():
        for subject, seeds in subjects.items():
            for i, value in enumerate(np.atleast_1d(seeds)):
                name = f"{case}-{subject}-{i}"
                rows.append((name, chain, metric, region, float(value)))
                age = ages[case] if ages else math.nan
                scans[name] = e.Scan(str(subject), case, f"{case}-{subject}", age)
    return rows, scans


def one(found, **where):
    (value,) = (v for v in found if all(getattr(v, k) == w for k, w in where.items()))
    return value


RNG = np.random.default_rng(0)
CONTROL, PATIENT = RNG.normal(0.10, 0.01, 12), RNG.normal(0.127, 0.012, 15)


@pytest.fixture
def parkinson():
    values = {"control": dict(enumerate(CONTROL)), "patient": {100 + i: v for i, v in enumerate(PATIENT)}}
    return trial(*groups(values))


def test_every_endpoint_of_the_table_is_computed():
    assert set(e.FUNCTIONS) == set(OVER_SCANS)
    assert set(OF_A_SCAN) <= set(names())
    assert {*METRIC_OF.values()} <= set(names())
    assert set(METRIC_OF) <= set(e.FUNCTIONS)


def test_an_unknown_endpoint_is_refused(parkinson):
    with pytest.raises(QsmbenchError, match=r"endpoint 'group_shft' is unknown; .*did you mean group_shift"):
        e.endpoint(parkinson, "group_shft")


def test_shift_of_groups(parkinson):
    found = one(e.endpoint(parkinson, "group_shift"))
    pooled = math.sqrt((11 * CONTROL.var(ddof=1) + 14 * PATIENT.var(ddof=1)) / 25)
    d = (PATIENT.mean() - CONTROL.mean()) / pooled
    assert found.value == pytest.approx(d * (1 - 3 / 99), rel=1e-12)
    assert found.low < d < found.high
    assert (found.chain, found.region, found.case, found.n, found.unit) == ("tv", "nigra", "patient", 12, "")


def test_auc_of_groups(parkinson):
    found = one(e.endpoint(parkinson, "group_auc"))
    u = stats.mannwhitneyu(PATIENT, CONTROL).statistic
    assert found.value == pytest.approx(u / (12 * 15))
    assert 0.5 < found.low < found.value < found.high <= 1


def test_side_auc_is_that_of_the_asymmetry():
    values = {"control": {1: 0.0, 2: 0.02, 3: 0.01}, "severe": {4: 0.2, 5: 0.015}}
    found = one(e.endpoint(trial(*groups(values, region="", metric="oef_asymmetry")), "side_auc"))
    assert (found.value, found.case, found.n) == (pytest.approx(5 / 6), "severe", 2)


def test_groups_of_veins_are_no_regions():
    """Each group is a row, although the scenario names regions of its own."""
    rows, scans = groups({"normal": {1: 0.5, 2: 0.7}}, region="diameter 1–2 voxels", metric="vein_recall_by_diameter")
    found = one(e.endpoint(trial(rows, scans), "vein_recall_by_diameter"))
    assert (found.region, found.value) == ("diameter 1–2 voxels", pytest.approx(0.6))
    assert not e.endpoint(trial(*groups({"normal": {1: 0.5}}, region="putamen", metric="bias")), "bias")


@pytest.mark.parametrize(("shift", "value"), [(1.0, 1.0), (-1.0, 0.0)])
def test_auc_at_the_ends_has_an_interval(shift, value):
    area, low, high = e.auc_interval(np.arange(5) / 100 + shift, np.arange(5) / 100)
    assert area == value
    assert high - low > 0.2
    assert (low, high)[value == 1] == value


def test_auc_without_difference_is_a_half():
    values = np.array([1.0, 1.0, 1.0])
    area, low, high = e.auc_interval(values, values)
    assert area == 0.5 and low < 0.5 < high


def test_coverage_of_the_intervals():
    """Of shift and AUC, for two normal groups of ten whose means differ by one standard deviation."""
    rng = np.random.default_rng(1)
    area, shift = 0, 0
    true_area = stats.norm.cdf(1 / math.sqrt(2))
    for _ in range(600):
        a, b = rng.normal(1, 1, 10), rng.normal(0, 1, 10)
        _, low, high = e.auc_interval(a, b)
        area += low <= true_area <= high
        _, low, high = e.hedges(a, b)
        shift += low <= 1 <= high
    assert 0.92 <= area / 600 <= 0.99
    assert 0.92 <= shift / 600 <= 0.99


def test_seeds_are_no_subjects(parkinson):
    """Each subject scanned three times: the same shift, from as many subjects."""
    values = {
        "control": {i: [v - 0.001, v, v + 0.001] for i, v in enumerate(CONTROL)},
        "patient": {100 + i: [v] for i, v in enumerate(PATIENT)},
    }
    again = e.endpoint(trial(*groups(values)), "group_shift")
    assert one(again).value == pytest.approx(one(e.endpoint(parkinson, "group_shift")).value)
    assert one(again).n == 12


def test_one_subject_is_no_group():
    found = one(e.endpoint(trial(*groups({"control": {1: 0.1}, "patient": {1: 0.2}})), "group_shift"))
    assert math.isnan(found.value) and "needs two subjects" in found.note


def test_two_controls():
    values = {"child": {1: 0.02, 2: 0.03}, "adult": {1: 0.1, 2: 0.13}, "nbia": {3: 0.1, 4: 0.12}}
    found = e.endpoint(trial(*groups(values), controls=("child", "adult")), "group_auc")
    assert {v.case: v.value for v in found} == {"nbia against child": 1.0, "nbia against adult": 0.375}


def test_smallest_shift_is_found_with_its_power():
    """A difference of that size between two normal groups is significant in 80 % of all studies."""
    rng = np.random.default_rng(0)
    n, sd = 12, 0.01
    control = rng.normal(0, sd, n)
    control *= sd / control.std(ddof=1)
    size = one(e.endpoint(trial(*groups({"control": dict(enumerate(control)), "patient": dict(enumerate(control))})),
                          "smallest_shift")).value  # fmt: skip
    a, b = rng.normal(size, sd, (4000, n)), rng.normal(0, sd, (4000, n))
    assert np.mean(stats.ttest_ind(a, b, axis=1).pvalue < 0.05) == pytest.approx(0.8, abs=0.03)


def test_slope_against_age():
    ages = {f"age-{a}": float(a) for a in (30, 50, 70)}
    values = {c: {s: 0.1 + 0.02 * s + (0.001 + 0.0001 * s) * a for s in (0, 1, 2)} for c, a in ages.items()}
    found = one(e.endpoint(trial(*groups(values, ages=ages), controls=("age-30",)), "age_slope"))
    assert found.value == pytest.approx(0.0011)
    low, high = stats.t.interval(0.95, 2, 0.0011, np.std([0.001, 0.0011, 0.0012], ddof=1) / math.sqrt(3))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert (found.unit, found.n) == ("ppm/year", 3)


def test_slope_over_people_of_one_age_each():
    rng = np.random.default_rng(0)
    age, noise = rng.uniform(20, 80, 20), rng.normal(0, 0.01, 20)
    y = 0.05 + 0.001 * age + noise
    slope, low, high = e.slope_interval(age, y, np.arange(20))
    known = stats.linregress(age, y)
    assert slope == pytest.approx(known.slope)
    assert high - slope == pytest.approx(stats.t.ppf(0.975, 18) * known.stderr)
    assert low < 0.001 < high


def test_unknown_ages_have_no_slope():
    found = one(e.endpoint(trial(*groups({"a": {1: 0.1}, "b": {1: 0.2}})), "age_slope"))
    assert math.isnan(found.value) and found.note == "no age is known"


def deposited(recovered, noise=0.0, subjects=4):
    """Gadolinium at four doses; the chain finds a share of it, with its noise."""
    rng = np.random.default_rng(3)
    doses = {"doses-0": 0.0, "doses-5": 0.005, "doses-10": 0.01, "doses-30": 0.03}
    base = rng.normal(0.1, 0.02, subjects)
    rows, scans = [], {}
    for case, dose in doses.items():
        for s in range(subjects):
            name = f"{case}-{s}"
            scans[name] = e.Scan(str(s), case, name)
            rows.append((name, "truth", "mean", "nigra", base[s] + dose))
            rows.append(
                (name, "tv", "mean", "nigra", 0.8 * base[s] + recovered * dose + noise * (-1) ** s * (dose > 0))
            )
    return trial(rows, scans, controls=("doses-0",))


def test_dose_and_response():
    found = e.endpoint(deposited(0.7), "dose_slope")
    assert one(found, chain="tv").value == pytest.approx(0.7)
    assert one(found, chain="truth").value == pytest.approx(1)
    noisy = one(e.endpoint(deposited(0.7, 0.002), "dose_slope"), chain="tv")
    assert noisy.low < 0.7 < noisy.high and noisy.n == 4


def test_saturation_falls_by_what_susceptibility_rises():
    """0.98 to 0.85 in the aorta raises χ of blood of Hct 0.42 by 0.187 ppm; a chain that finds half of it says 6.5."""
    chi = {y: 0.42 * (3.43 * (1 - y) - 0.10) for y in (0.98, 0.85)}
    rows, scans = [], {}
    for s in range(3):
        for case, y in (("control", 0.98), ("hold", 0.85)):
            name = f"{case}-{s}"
            scans[name] = e.Scan(str(s), case, name)
            rows += [(name, "truth", "mean", "aorta", chi[y] - 0.1 * s), (name, "tv", "mean", "aorta", chi[y] / 2 + s)]
    found = e.endpoint(trial(rows, scans, regions=("aorta",)), "saturation_change")
    assert one(found, chain="truth").value == pytest.approx(-13)
    half = one(found, chain="tv")
    assert (half.value, half.case, half.n, half.unit) == (pytest.approx(-6.5), "hold", 3, "points")
    assert half.low <= -6.5 + 1e-9 and half.high >= -6.5 - 1e-9


@pytest.mark.parametrize(("noise", "told"), [(0.0, 0.005), (0.003, 0.01), (0.1, math.nan)])
def test_smallest_dose(noise, told):
    found = one(e.endpoint(deposited(0.7, noise), "smallest_dose"), chain="tv")
    assert found.value == pytest.approx(told, nan_ok=True)
    assert found.unit == "ppm"


def test_contrast_of_two_regions():
    rows, scans = [], {"a": e.Scan("1", "adult", "a"), "b": e.Scan("2", "adult", "b")}
    for name, (true, made) in {"a": ((0.1, 0.06), (0.07, 0.05)), "b": ((0.12, 0.07), (0.08, 0.05))}.items():
        for region, t, m in zip(("nigra", "stn"), true, made, strict=True):
            rows += [(name, "truth", "mean", region, t), (name, "tv", "mean", region, m)]
    found = e.endpoint(trial(rows, scans, ("nigra", "stn"), ("adult",)), "region_contrast")
    assert one(found, chain="tv").value == pytest.approx((0.02 / 0.04 + 0.03 / 0.05) / 2)
    assert one(found, chain="truth").value == pytest.approx(1)
    assert one(found, chain="tv").region == "nigra − stn"


def lesion(index, chi, diameter=3.0, **more):
    volume = math.pi / 6 * diameter**3
    given = {"kind": "iron", "place": "in", "dose": "", "name": "dot", "region": "white", "inside": 1.0,
             "x": 0.0, "y": 0.0, "z": 0.0, "shell": 0.0, "part_of": 0, "by": "scenario"}  # fmt: skip
    return PlacedSource(**{"index": index, "volume": volume, "chi_total": chi * volume, **given, **more})


def lesions(metric, by_scan, sources, cases=None):
    """A trial of scores of sources: dataset → index → value."""
    rows = [(d, "tv", metric, f"source {i}", v) for d, its in by_scan.items() for i, v in its.items()]
    cases = cases or dict.fromkeys(by_scan, "many")
    scans = {d: e.Scan(d.split("-")[0], cases[d], d, math.nan, tuple(sources[d])) for d in by_scan}
    return trial(rows, scans, ("dot",))


def test_signs_by_size():
    sources = [lesion(1, 0.4, 2), lesion(2, -0.4, 2), lesion(3, 0.4, 5), lesion(4, -0.4, 5), lesion(5, 0.0, 5)]
    t = lesions(
        "lesion_contrast",
        {"1": {1: 0.1, 2: 0.2, 3: 0.3, 4: -0.2, 5: 0.1}, "2": {1: 0.1, 2: -0.2, 3: 0.3, 4: math.nan, 5: 0.1}},
        dict.fromkeys(("1", "2"), sources),
    )
    right = {v.case: v.value for v in e.endpoint(t, "sign_accuracy_by_size")}
    assert right == {"many, 1.5–2.5 mm": (50 + 100) / 2, "many, 4–6 mm": (100 + 50) / 2}
    area = {v.case: v.value for v in e.endpoint(t, "sign_auc_by_size")}
    assert area == {"many, 1.5–2.5 mm": (0 + 1) / 2, "many, 4–6 mm": 1}
    assert one(e.endpoint(t, "sign_auc_by_size"), case="many, 4–6 mm").note == "6 lesions"


def test_detection_and_errors_by_size():
    sources = {"1": [lesion(1, 0.4, 1), lesion(2, 0.4, 12), lesion(3, 0.4, 12)]}
    found = e.endpoint(lesions("lesion_detected", {"1": {1: 0.0, 2: 1.0, 3: 0.0}}, sources), "sensitivity_by_size")
    assert {v.case: (v.value, v.unit) for v in found} == {"many, < 1.5 mm": (0, "%"), "many, ≥ 10 mm": (50, "%")}
    found = e.endpoint(lesions("lesion_chi_error", {"1": {1: -20, 2: -5, 3: -7}}, sources), "chi_error_by_size")
    assert {v.case: v.value for v in found} == {"many, < 1.5 mm": -20, "many, ≥ 10 mm": -6}
    found = e.endpoint(lesions("lesion_volume_ratio", {"1": {1: 2, 2: math.nan, 3: 1.5}}, sources),
                       "volume_ratio_by_size")  # fmt: skip
    assert {v.case: v.value for v in found} == {"many, < 1.5 mm": 2, "many, ≥ 10 mm": 1.5}


@pytest.mark.parametrize("diameter", [0.1, 1.5, 3.999, 4, 10, 500])
def test_every_diameter_has_a_class(diameter):
    assert "mm" in e.size_class(diameter)


def rims(subjects):
    """Rims of 0.01 … 0.04 against 20 plaques without of 0 … 0.019, of each subject."""
    with_rim = [lesion(i, 0.1) for i in (1, 2, 3, 4)] + [
        lesion(10 + i, 0.05, shell=1.0, part_of=i) for i in (1, 2, 3, 4)
    ]
    without = [lesion(i, 0.1) for i in range(1, 21)]
    by_scan, sources, cases = {}, {}, {}
    for s in subjects:
        by_scan |= {
            f"{s}-rim": {i: 0.01 * i for i in (1, 2, 3, 4)},
            f"{s}-young": {i: 0.001 * (i - 1) for i in range(1, 21)},
        }
        sources |= {f"{s}-rim": with_rim, f"{s}-young": without}
        cases |= {f"{s}-rim": "rim", f"{s}-young": "young"}
    return lesions("rim_contrast", by_scan, sources, cases)


def test_rims():
    area = one(e.endpoint(rims("a"), "rim_auc"))
    assert area.value == pytest.approx((10.5 + 20 * 3) / 80)  # 0.01 exceeds ten of twenty and ties with one
    assert math.isnan(area.low) and "one subject" in area.note
    assert "4 lesions with a rim, 20 without" in area.note
    found = one(e.endpoint(rims("abc"), "rim_sensitivity"))
    assert (found.value, found.n) == (75, 3)  # one of twenty may exceed: the threshold is 0.018
    assert (found.low, found.high) == (75, 75)


def test_without_rims_there_is_a_reason():
    t = lesions("rim_contrast", {"1": {1: 0.1}}, {"1": [lesion(1, 0.1)]})
    assert "needs lesions with a rim" in one(e.endpoint(t, "rim_auc")).note


def test_metrics_of_a_scan_are_averaged_by_case():
    rows, scans = groups({"few": {1: [40, 60], 2: 80}, "many": {1: 30}}, region="", metric="lesion_sensitivity")
    found = e.endpoint(trial(rows, scans), "lesion_sensitivity")
    few = one(found, case="few")
    assert (few.value, few.n) == (65, 2)  # the mean of 50 and 80
    assert one(found, case="many").note == "one scan: no interval"


def test_scores_of_lesions_are_averaged_by_name():
    sources = {"1": [lesion(1, 0.4, name="bleed"), lesion(2, -0.4, name="dot"), lesion(3, 0.4, name="dot")]}
    t = lesions("lesion_contrast", {"1": {1: 0.1, 2: 0.2, 3: 0.4}}, sources)
    assert one(e.endpoint(t, "lesion_contrast")).value == pytest.approx(0.3)  # `bleed` is no region of the scenario


def test_true_means_are_those_of_the_truth():
    table = pd.DataFrame(
        [("a", "tv", "chi", m, "nigra", "study", v, "ppm") for m, v in (("mean", 0.08), ("bias", -0.02))],
        columns=COLUMNS,
    )
    made = e.with_truth(table)
    (row,) = made[made["chain"] == "truth"].to_dict("records")
    assert (row["metric"], row["region"]) == ("mean", "nigra")
    assert row["value"] == pytest.approx(0.1)
    again = e.with_truth(made)
    assert len(again) == len(made)
    texts = {c: "category" for c in COLUMNS if c != "value"}  # as a study's table is read
    assert len(e.with_truth(table.astype(texts))) == len(made)
