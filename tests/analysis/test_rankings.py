"""Rankings, robustness, power, agreement and the mixed model, against closed forms and tables made by hand."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from qsmbench.analysis import rankings as r
from qsmbench.analysis.agreement import agreement
from qsmbench.analysis.columns import column
from qsmbench.analysis.intervals import t_interval
from qsmbench.analysis.mixed import mixed
from qsmbench.analysis.power import power, subjects_for
from qsmbench.analysis.robustness import curves
from qsmbench.analysis.subjects import Sample
from qsmbench.errors import FailedError, QsmbenchError

NRMSE = column("nrmse", "%")


def of(values, subject=None, group=None, condition=None, chains="abcdefgh", metric=NRMSE):
    values = np.asarray(values, float)
    subject = np.arange(len(values)) if subject is None else np.asarray(subject)
    group = subject if group is None else np.asarray(group)
    condition = np.full(len(values), "x", object) if condition is None else np.array(condition, object)
    return Sample(
        metric, "chi", "study", pd.DataFrame(values, columns=list(chains[: values.shape[1]])), subject, group, condition
    )


# Where means and ranks disagree: b is best on two of three subjects, a on average.
DISAGREE = np.array([[10.0, 9.0, 30.0], [10.0, 9.0, 30.0], [10.0, 20.0, 30.0]])


def test_rules_that_disagree():
    assert r.ranks(DISAGREE, "aggregate_then_rank").tolist() == [1, 2, 3]
    assert r.ranks(DISAGREE, "rank_then_aggregate").tolist() == [2, 1, 3]
    with pytest.raises(QsmbenchError, match="rule is 'x'; choose from aggregate_then_rank"):
        r.ranks(DISAGREE, "x")


def test_ties_share_their_rank():
    same = np.array([[1.0, 1.0, 2.0], [2.0, 2.0, 3.0]])
    for rule in ("aggregate_then_rank", "rank_then_aggregate"):
        assert r.ranks(same, rule).tolist() == [1.5, 1.5, 3]


def test_test_then_rank_counts_significant_wins():
    rng = np.random.default_rng(0)
    values = rng.normal([1.0, 1.0, 2.0], 0.01, (12, 3))  # a and b are alike, both beat c
    assert r.ranks(values, "test_then_rank").tolist() == [1.5, 1.5, 3]
    assert r.ranks(values[:4], "test_then_rank").tolist() == [2, 2, 2]  # too few subjects to tell


def test_intervals_of_ranks_come_from_resampled_subjects():
    found = r.ranking(DISAGREE, list("abc"))
    assert found.chains == ["a", "b", "c"] and found.low.tolist() == [1, 1, 3] and found.high.tolist() == [2, 2, 3]
    assert r.ranking(DISAGREE, list("abc")).tau == found.tau < 1
    clear = r.ranking(np.arange(12.0).reshape(4, 3), list("abc"))
    assert clear.tau == pytest.approx(1) and (clear.low == clear.high).all()
    one = r.ranking(DISAGREE[:1], list("abc"))
    assert np.isnan(one.low).all() and math.isnan(one.tau)


def test_kendalls_tau_is_that_of_scipy():
    rng = np.random.default_rng(1)
    rank, again = rng.integers(0, 5, 9).astype(float), rng.integers(0, 5, (20, 9)).astype(float)
    assert r._mean_tau(rank, again) == pytest.approx(np.mean([stats.kendalltau(rank, x).statistic for x in again]))


def test_a_missing_score_counts_as_the_worst_and_is_named():
    values = DISAGREE.copy()
    values[0, 0] = np.nan
    found = r.ranking(values, list("abc"))
    assert found.incomplete == ["a"] and found.chains[0] == "b"


def test_chains_not_shown_to_be_worse_are_tied_with_the_first():
    rng = np.random.default_rng(0)
    level = rng.normal(3, 0.3, (20, 1))
    s = of(np.exp(level + rng.normal(0, 0.05, (20, 3)) + np.log([1.0, 1.01, 1.5])))
    ranking = r.ranking(r.subject_losses(s, list("abc")), list("abc"))
    assert r.tied_with_first(ranking.chains, r.compare_all(s, list("abc"))) == ranking.chains[:2]
    assert set(ranking.chains[:2]) == {"a", "b"}


def test_families_and_weighted_scores():
    error = of(DISAGREE)
    xsim = of([[0.9, 0.8, 0.1]] * 3, metric=column("xsim", ""))
    assert r.mean_ranks([error, xsim], list("abc")).tolist() == [[1.5, 1.5, 3], [1.5, 1.5, 3], [1, 2, 3]]
    found = r.weighted({"nrmse": error, "xsim": xsim}, {"nrmse": 3, "xsim": 1}, list("abc"))
    # ranks: NRMSE (2, 1, 3) twice, (1, 2, 3) once; XSIM (1, 2, 3): a 0.75·5/3 + 0.25, b 0.75·4/3 + 0.5: equal
    assert found.ranking.chains[2] == "c" and found.ranking.rank[0] == found.ranking.rank[1] == 1.5
    assert found.first[:2].sum() == pytest.approx(1, abs=0.01) and found.first.min() == 0
    assert found.least.tolist()[:2] == [1, 1] and found.most.tolist() == [2, 2, 3]
    with pytest.raises(QsmbenchError, match="weight of hfen: is not scored; choose from nrmse"):
        r.weighted({"nrmse": error}, {"hfen": 1}, list("abc"))
    names = r.in_families([column("xsim", ""), NRMSE, column("time", "s")])
    assert {k: [c.metric for c in v] for k, v in names.items()} == {
        "error": ["nrmse"],
        "structure": ["xsim"],
        "cost": ["time"],
    }


def test_robustness_curve_and_envelope():
    snr, subject = np.tile([100, 50, 20, 10], 3), np.repeat(np.arange(3), 4)
    error = np.tile([40.0, 42.0, 50.0, 43.0], 3) * np.repeat([1.0, 2.0, 3.0], 4)
    s = of(error[:, None], subject, np.arange(12))
    factors = pd.DataFrame({"snr": snr}, index=s.values.index)
    (curve,) = curves(s, factors, "snr", tolerance=0.1)
    assert [p.level for p in curve.points] == [10, 20, 50, 100] and curve.best == 100
    assert [p.change.estimate for p in curve.points] == pytest.approx([43 / 40, 50 / 40, 42 / 40, 1])
    assert curve.envelope == [50, 100]  # 10 is within the tolerance, but beyond a level that is not
    assert curve.points[0].value.estimate == pytest.approx(stats.gmean([43, 86, 129]))
    with pytest.raises(QsmbenchError, match="factor 'x' is unknown; choose from snr"):
        curves(s, factors, "x")
    with pytest.raises(QsmbenchError, match="has 1 level"):
        curves(s, factors.assign(snr=1), "snr")


def test_power_is_that_of_the_test():
    # At the smallest n, the signed-rank test rejects only if all differences have the same sign.
    n, ratio, spread = 16, 0.8, 0.15
    same = stats.norm.cdf(math.log(1 / ratio) / spread) ** n
    assert power(ratio, spread, n, 946) == pytest.approx(same, abs=0.015)
    assert power(ratio, spread, 15, 946) == 0
    assert power(1.0, 0.1, 20) == pytest.approx(0.05, abs=0.015)
    needed = subjects_for(0.9, 0.1)
    assert power(0.9, 0.1, needed) >= 0.8 > power(0.9, 0.1, needed - 1)
    assert abs(needed - 11) <= 2  # a paired t test needs 10
    assert subjects_for(0.999, 1.0, most=50) is None


def test_rankings_of_two_groups_agree_or_not():
    first = of(np.exp(np.random.default_rng(0).normal(0, 0.01, (6, 5))) * [1, 2, 3, 4, 5])
    same = agreement(first, of(first.values.to_numpy() * 2))
    assert same.tau == pytest.approx(1) and same.low > 0.9 and same.subjects == (6, 6) and same.chains == list("abcde")
    reverse = agreement(first, of(first.values.to_numpy()[:, ::-1]))
    assert reverse.tau == pytest.approx(-1)
    few = of(first.values.to_numpy()[:, :4], chains="cdex")
    assert agreement(first, few).chains == ["c", "d", "e"]
    with pytest.raises(FailedError, match="2 chains have scores"):
        agreement(first, of(first.values.to_numpy()[:, :2]))


def test_the_mixed_model_of_balanced_data_is_the_mean_over_conditions():
    rng = np.random.default_rng(0)
    n, k, seeds = 12, 2, 3
    subject, scan = np.repeat(np.arange(n), k * seeds), np.repeat(np.arange(n * k), seeds)
    condition = np.tile(np.repeat(["x", "y"], seeds), n)
    d = rng.normal(0, 0.1, n)[subject] + rng.normal(0, 0.05, n * k)[scan] + rng.normal(0, 0.02, subject.size)
    d += np.where(condition == "x", -0.2, -0.1)
    s = of(np.exp(np.stack([3 + d, 3 + 0 * d], 1)), subject, scan, condition)
    found = mixed(s, "a", "b")
    means = pd.Series(d).groupby(subject).mean().to_numpy()
    assert found.ratio and math.log(found.overall.estimate) == pytest.approx(means.mean(), abs=1e-4)
    assert (math.log(found.overall.low), math.log(found.overall.high)) == pytest.approx(t_interval(means), abs=2e-3)
    by_condition = {c: d[condition == c].mean() for c in ("x", "y")}
    assert {c: math.log(i.estimate) for c, i in found.conditions.items()} == pytest.approx(by_condition, abs=1e-4)
    assert found.noise == pytest.approx(0.02, rel=0.2) and found.scan == pytest.approx(0.05, rel=0.4)
    assert found.subject == pytest.approx(0.1, rel=0.5)
    with pytest.raises(FailedError, match="2 subjects have both a and b"):
        mixed(s.where(subject < 2), "a", "b")
