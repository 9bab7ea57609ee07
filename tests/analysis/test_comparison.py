"""Intervals and paired comparisons, against SciPy, statsmodels, closed forms and tables made by hand."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW

from qsmbench.analysis import comparison as c
from qsmbench.analysis.columns import column
from qsmbench.analysis.intervals import NOISE, NOTHING, SUBJECTS, bootstrap_t, mean_interval, t_interval
from qsmbench.analysis.subjects import Sample, conditions, sample, subject_means, subjects

NRMSE, CORRELATION = column("nrmse", "%"), column("correlation", "")


def drawn(n, ratios, seeds=1, spread=0.1, noise=0.0, seed=0, metric=NRMSE):
    """Scores of chains a, b, … whose errors are `ratios` times that of the subject, with lognormal scatter."""
    rng = np.random.default_rng(seed)
    subject = np.repeat(np.arange(n), seeds)
    levels = 40 * np.exp(rng.normal(0, 0.3, n))[subject]
    own = rng.normal(0, spread, (n, len(ratios)))[subject]
    values = levels[:, None] * np.array(ratios) * np.exp(own + rng.normal(0, noise, (subject.size, len(ratios))))
    table = pd.DataFrame(values, columns=list("abcdefgh"[: len(ratios)]))
    return Sample(metric, "chi", "study", table, subject, subject, np.full(subject.size, "x", object))


def test_scans_of_a_subject_are_averaged_seeds_first():
    values = np.array([1.0, 3.0, 10.0, 5.0])  # subject 0: two seeds of group 0, one of group 1; subject 1: group 2
    means, found = subject_means(values, np.array([0, 0, 1, 2]), np.array([0, 0, 0, 1]))
    assert means.tolist() == [6.0, 5.0] and found.tolist() == [0, 1]


def test_repeated_noise_adds_no_subjects():
    few, rows = drawn(8, (1.0, 1.1)), np.repeat(np.arange(8), 50)
    again = Sample(NRMSE, "chi", "study", few.values.iloc[rows], rows, rows, np.full(400, "x", object))
    one, fifty = c.compare(few, "a", "b"), c.compare(again, "a", "b")
    assert fifty.interval.scans == 400 and fifty.interval.n == 8
    assert fifty.interval.low == pytest.approx(one.interval.low) and fifty.p == one.p


def test_the_interval_is_that_of_students_t_over_the_logarithms():
    s = drawn(12, (1.0, 1.2))
    logs = np.log(s.values["a"] / s.values["b"])
    low, high = DescrStatsW(logs).tconfint_mean()
    found = c.compare(s, "a", "b")
    assert found.ratio and found.interval.covers == SUBJECTS
    assert (found.interval.low, found.interval.high) == pytest.approx((math.exp(low), math.exp(high)))
    assert found.interval.estimate == pytest.approx(stats.gmean(s.values["a"] / s.values["b"]))
    assert found.p == stats.wilcoxon(logs).pvalue
    g = logs.mean() / logs.std(ddof=1) * (1 - 3 / (4 * 11 - 1))
    assert found.effect == pytest.approx(g)


def test_scores_with_another_best_value_are_subtracted():
    s = drawn(9, (1.0, 1.0), metric=CORRELATION)
    table = pd.DataFrame({"a": np.linspace(0.8, 0.9, 9), "b": np.linspace(0.7, 0.82, 9)})
    s = Sample(CORRELATION, "chi", "study", table, s.subject, s.group, s.condition)
    found = c.compare(s, "a", "b")
    assert not found.ratio and found.verdict == "better"
    assert found.interval.estimate == pytest.approx(-(table["a"] - table["b"]).mean())
    slope = Sample(column("dgm_slope", ""), "chi", "study", table + 0.5, s.subject, s.group, s.condition)
    assert c.compare(slope, "a", "b").interval.estimate == pytest.approx(
        ((table["a"] - 0.5).abs() - (table["b"] - 0.5).abs()).mean()
    )


def test_an_error_of_zero_is_subtracted_since_it_has_no_logarithm():
    s = drawn(9, (1.0, 1.0))
    s.values.loc[0, "a"] = 0.0
    assert not c.compare(s, "a", "b").ratio


def test_one_subject_has_an_interval_of_its_noise_alone():
    s = drawn(1, (1.0, 1.2), seeds=5, noise=0.1)
    found = c.compare(s, "a", "b")
    low, high = t_interval(np.log(s.values["a"] / s.values["b"]).to_numpy())
    assert found.interval.covers == NOISE and found.verdict == c.ONE_SUBJECT and math.isnan(found.p)
    assert (found.interval.low, found.interval.high) == pytest.approx((math.exp(low), math.exp(high)))
    assert "of the noise alone" in c.sentence(found)
    single = c.compare(drawn(1, (1.0, 1.2)), "a", "b")
    assert single.interval.covers == NOTHING and math.isnan(single.interval.low)
    assert "no interval" in c.sentence(single)


def test_noise_within_groups_is_pooled():
    values, group = np.array([1.0, 3.0, 10.0, 14.0]), np.array([0, 0, 1, 1])
    found = mean_interval(values, group, np.zeros(4, int))
    error = math.sqrt((2 + 8) / 2 * (1 / 2 + 1 / 2)) / 2
    assert found.estimate == 7.0 and found.degrees == 2
    assert found.high - 7 == pytest.approx(stats.t.ppf(0.975, 2) * error)


def test_bootstrap_t_follows_skewness_and_is_reproducible():
    values = np.exp(np.random.default_rng(3).normal(0, 1, 12))
    low, high = bootstrap_t(values)
    assert bootstrap_t(values) == (low, high)
    student = t_interval(values)
    assert high > student[1] and low > student[0]  # towards the long tail
    assert bootstrap_t(np.full(6, 2.0)) == (2.0, 2.0)
    small = values[:4]
    assert bootstrap_t(small)[0] <= t_interval(small)[0] and bootstrap_t(small)[1] >= t_interval(small)[1]


@pytest.mark.parametrize(("comparisons", "n"), [(1, 6), (10, 9), (43, 11), (946, 16)])
def test_smallest_n_that_can_reach_the_level(comparisons, n):
    assert c.subjects_needed(comparisons) == n
    assert stats.wilcoxon(np.arange(1, n + 1)).pvalue <= 0.05 / comparisons < stats.wilcoxon(np.arange(1, n)).pvalue


def test_below_it_there_is_no_p_but_that_n():
    found = c.compare(drawn(5, (1.0, 3.0)), "a", "b")
    assert math.isnan(found.p) and found.verdict == c.UNDECIDED
    assert "would need at least 6 subjects" in c.sentence(found)
    assert c.sentence(found).startswith("Whether a and b differ in NRMSE cannot be tested: that of a is ")
    family = c.compare_family(drawn(10, (1.0, 3.0)), [("a", "b")], family=43)[0]
    assert "43 comparisons would need at least 11 subjects" in c.sentence(family)


def test_holm_is_that_of_statsmodels():
    p = np.random.default_rng(0).uniform(0, 0.05, 12)
    assert c.holm(p) == pytest.approx(multipletests(p, method="holm")[1])
    assert c.holm([0.01, math.nan, 0.02]) == pytest.approx([0.03, math.nan, 0.04], nan_ok=True)
    assert c.holm([0.01], 5) == pytest.approx([0.05])


def test_a_family_adjusts_over_all_its_pairs():
    s = drawn(12, (1.0, 1.3, 1.5))
    pairs = c.all_pairs(list("abc"))
    found = c.compare_family(s, pairs)
    raw = [stats.wilcoxon(np.log(s.values[x] / s.values[y])).pvalue for x, y in pairs]
    assert [f.p_adjusted for f in found] == pytest.approx(multipletests(raw, method="holm")[1])
    assert {f.family for f in found} == {3}


def test_equivalence_is_two_one_sided_tests():
    s = drawn(20, (1.0, 1.0), spread=0.02, seed=4)
    found = c.compare(s, "a", "b", margin=0.05)
    logs, bound = np.log(s.values["a"] / s.values["b"]), math.log(1.05)
    p = DescrStatsW(logs).ttost_mean(-bound, bound)[0]
    assert found.p_equivalence == pytest.approx(p) and found.verdict == c.EQUIVALENT
    assert "equivalent in NRMSE within ±5 %" in c.sentence(found)
    assert c.compare(drawn(20, (1.0, 1.0), spread=0.5), "a", "b").verdict == c.UNDECIDED


def test_same_scores_are_identical_and_no_scan_is_said():
    s = drawn(8, (1.0, 1.0))
    s.values["b"] = s.values["a"]
    assert c.compare(s, "a", "b").verdict == c.IDENTICAL
    s.values["b"] = np.nan
    assert c.sentence(c.compare(s, "a", "b")) == "a and b have no scan in common with a NRMSE."


def test_only_scans_of_both_are_compared():
    s = drawn(9, (1.0, 1.1))
    whole = c.compare(s.where(np.arange(9) > 2), "a", "b")
    s.values.loc[[0, 1], "a"], s.values.loc[2, "b"] = np.nan, np.nan
    assert c.compare(s, "a", "b") == whole and whole.interval.n == 6


def test_the_sentence_has_the_numbers():
    s = drawn(16, (1.0, 1.25), spread=0.03)
    said = c.sentence(c.compare(s, "a", "b"))
    ratio = stats.gmean(s.values["a"] / s.values["b"])
    assert said.startswith(f"a is better than b by {100 * (1 - ratio):.1f} % in NRMSE (95 % interval ")
    assert "16 subjects, 16 scans" in said and "signed-rank p = 3.1e-05" in said
    other = c.compare(s, "b", "a")
    assert c.sentence(other).startswith(f"b is worse than a by {100 * (1 / ratio - 1):.1f} %")
    assert c.compare(s, "a", "b").swapped().interval.low == pytest.approx(other.interval.low)


def factors(**columns):
    n = max(len(v) for v in columns.values())
    return pd.DataFrame(columns, index=[f"d{i}" for i in range(n)])


def test_scenarios_of_one_subject_are_one_cluster():
    f = factors(
        group=["g0", "g1", "g2", "g3"], phantom=["head", "head", "head", "sphere"], subject=["1", "1", "2", "1"]
    )
    assert subjects(f) == ["head 1", "head 1", "head 2", "sphere 1"]
    assert subjects(factors(group=["m0", "m1"])) == ["m0", "m1"]
    assert subjects(factors(group=["m0"], phantom=[""], subject=["A"])) == [" A"]


def test_conditions_are_all_factors_but_subject_and_seed():
    f = factors(
        group=["g0", "g0", "g1", "g2", "real"],
        phantom=["head"] * 4 + [""],
        scenario=["", "", "", "parkinson", ""],
        case=["", "", "", "patient", ""],
        subject=["0", "0", "1", "0", "A"],
        protocol=["brain-3t"] * 4 + [""],
        orientation=["0"] * 4 + [""],
        seed=[0, 1, 0, 0, None],
        snr=[30.0, 30.0, 30.0, 30.0, np.nan],
    )
    assert conditions(f) == ["head_brain-3t_snr-30"] * 3 + ["g2", "real"]


def test_sample_of_a_table():
    rows = [(d, k, "chi", m, "", s, v) for d, k, m, s, v in [
        ("d0", "x", "nrmse", "study", 1.0), ("d0", "y", "nrmse", "study", 2.0), ("d1", "x", "nrmse", "study", np.nan),
        ("d1", "y", "nrmse", "study", 4.0), ("d1", "y", "nrmse", "common", 9.0), ("d1", "y", "xsim", "study", 9.0),
    ]]  # fmt: skip
    table = pd.DataFrame(rows, columns=["dataset", "chain", "artifact", "metric", "region", "support", "value"])
    s = sample(table, factors(group=["g", "h"], phantom=["head"] * 2, subject=["1", "2"]), NRMSE)
    assert s.values.to_numpy() == pytest.approx(np.array([[1, 2], [np.nan, 4]]), nan_ok=True)
    assert s.subject.tolist() == [0, 1] and s.group.tolist() == [0, 1]


def test_two_differences_have_no_standardised_effect():
    """The correction for small samples is 0 there, whatever they are."""
    assert np.isnan(c.hedges(np.array([0.1, 0.3])))
    assert c.hedges(np.array([0.1, 0.2, 0.3])) == pytest.approx(2 * (1 - 3 / 7))
