"""Whether the statistics keep what they promise: coverage of intervals, false and missed differences.

    python benchmarks/verdicts.py [--studies 4000] [--families 400]

Studies are simulated with nested seeds: subjects differ, and each has several scans that differ in their noise.

- coverage: how often the nominal 95 % interval contains the true mean. For errors, which are lognormal, it is the
  interval of the ratio of two chains; for other scores that of the difference. `pooled seeds` treats every seed as a
  subject, as one must not; `mean by …` is that of the mean of lognormal errors themselves.
- families: 44 equal chains, compared in all 946 pairs: how often any chain is called better than another.
- power: one of 44 chains with a planted difference: how often it is found, and how often this was predicted.
"""

import argparse
import math

import numpy as np
import pandas as pd
from scipy import stats

from qsmbench.analysis.columns import column
from qsmbench.analysis.comparison import BETTER, WORSE, all_pairs, compare, compare_family
from qsmbench.analysis.intervals import bootstrap_t, t_interval
from qsmbench.analysis.power import power
from qsmbench.analysis.subjects import Sample

NS = (5, 10, 20, 50)
SEEDS = 3
NRMSE, CORRELATION = column("nrmse", "%"), column("correlation", "")
SYMMETRIC = {
    "normal": lambda rng, size: rng.normal(0, 0.05, size),
    "uniform": lambda rng, size: rng.uniform(-0.08, 0.08, size),
    "Student t, 5 d.f.": lambda rng, size: 0.04 * rng.standard_t(5, size),
}


def nested(values, noise, rng, metric):
    """A sample of chains: (subjects, chains) values, or their logarithms for errors, plus the noise of each seed."""
    n, chains = values.shape
    subject = np.repeat(np.arange(n), SEEDS)
    rows = values[subject] + rng.normal(0, noise, (subject.size, chains))
    table = pd.DataFrame(np.exp(rows) if metric is NRMSE else rows, columns=[f"chain-{i}" for i in range(chains)])
    return Sample(metric, "chi", "study", table, subject, subject, np.full(subject.size, "x", object))


def covered(low, high, true):
    return low <= true <= high


def coverage(n, studies, seed=0):
    """Coverage of each kind of interval with n subjects, by name."""
    rng = np.random.default_rng([seed, n])
    found = dict.fromkeys((*SYMMETRIC, "lognormal 0.7, ratio", "pooled seeds", "mean by bootstrap-t", "mean by t"), 0)
    for _ in range(studies):
        for name, draw in SYMMETRIC.items():
            s = nested(0.8 + draw(rng, (n, 2)), 0.01, rng, CORRELATION)
            i = compare(s, "chain-0", "chain-1").interval
            found[name] += covered(i.low, i.high, 0.0)
            if name == "normal":
                every = (s.values["chain-0"] - s.values["chain-1"]).to_numpy()
                found["pooled seeds"] += covered(*t_interval(every), 0.0)
        errors = nested(rng.normal(3, 0.7, (n, 2)), 0.05, rng, NRMSE)
        i = compare(errors, "chain-0", "chain-1").interval
        found["lognormal 0.7, ratio"] += covered(i.low, i.high, 1.0)
        values = np.exp(rng.normal(0, 0.7, n))
        true = math.exp(0.7**2 / 2)
        found["mean by bootstrap-t"] += covered(*bootstrap_t(values, resamples=999), true)
        found["mean by t"] += covered(*t_interval(values), true)
    return {name: count / studies for name, count in found.items()}


def equal_chains(n, studies, chains=44, spread=0.1, seed=0):
    """Share of studies of equal chains in which any is called better than another."""
    rng = np.random.default_rng([seed, n])
    false = 0
    for _ in range(studies):
        level = rng.normal(3, 0.3, (n, 1))  # of the subject: hard for all chains
        s = nested(level + rng.normal(0, spread, (n, chains)), 0.02, rng, NRMSE)
        found = compare_family(s, all_pairs(list(s.values)))
        false += any(c.verdict in (BETTER, WORSE) for c in found)
    return false / studies


def planted(n, ratio, studies, chains=44, spread=0.1, seed=0):
    """Power: found and predicted, of the comparison of a better chain with one of the others, among all pairs."""
    rng = np.random.default_rng([seed, n, 1])
    noise, hits = 0.02, 0
    for _ in range(studies):
        values = rng.normal(3, 0.3, (n, 1)) + rng.normal(0, spread, (n, chains))
        values[:, 0] += math.log(ratio)
        s = nested(values, noise, rng, NRMSE)
        found = compare_family(s, all_pairs(list(s.values))[: chains - 1], family=chains * (chains - 1) // 2)
        hits += sum(c.verdict == BETTER for c in found) / (chains - 1)
    pair_spread = math.sqrt(2 * (spread**2 + noise**2 / SEEDS))
    return hits / studies, power(ratio, pair_spread, n, chains * (chains - 1) // 2)


def margin(share, studies):
    """Standard error of a share."""
    return math.sqrt(max(share * (1 - share), 0.25 / studies) / studies)


def main():
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=4000, help="simulated studies for each coverage")
    parser.add_argument("--families", type=int, default=400, help="simulated studies of 44 chains")
    args = parser.parse_args()
    print(f"coverage of nominal 95 % intervals, {SEEDS} seeds per subject, {args.studies} studies")
    rows = {n: coverage(n, args.studies) for n in NS}
    print(f"{'':24s}" + "".join(f"   n={n:<4d}" for n in NS))
    for name in rows[NS[0]]:
        print(f"{name:24s}" + "".join(f"{rows[n][name]:9.3f}" for n in NS), flush=True)
    print(f"\n44 equal chains, 946 pairs, {args.families} studies: share with any false difference (at most 0.05)")
    for n in (10, 16, 20, 50):
        share = equal_chains(n, args.families)
        upper = stats.beta.ppf(0.95, share * args.families + 1, args.families * (1 - share)) if share < 1 else 1
        print(f"n={n:<4d} {share:7.3f}   (95 % upper bound {upper:.3f})", flush=True)
    print(f"\none of 44 chains planted, {args.families} studies: power found and predicted")
    for n, ratio in ((16, 0.9), (16, 0.8), (16, 0.7), (32, 0.85)):
        found, predicted = planted(n, ratio, args.families)
        print(f"n={n:<4d} ratio {ratio:.2f} {found:9.3f} {predicted:9.3f}", flush=True)


if __name__ == "__main__":
    main()
