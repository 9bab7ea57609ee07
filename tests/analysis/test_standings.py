"""`qsmbench rank`: ranks by every rule, and whether they carry over to other scans."""

import numpy as np
import pandas as pd
import pytest
from invented_study import write_study
from scipy import stats

from qsmbench.analysis import standings
from qsmbench.analysis.agreement import kendall
from qsmbench.analysis.columns import column
from qsmbench.analysis.overview import overview
from qsmbench.analysis.results import read_study
from qsmbench.data.score_table import COLUMNS

NRMSE = column("nrmse", "%")
CHAINS = ["romeo.a", "romeo.b", "romeo.c", "romeo.d"]


def study(folder, errors, subjects=8, spread=0.01):
    """A study of chains on several subjects of each phantom: phantom → error of each chain, give or take `spread`."""
    rng, rows = np.random.default_rng(0), []
    for phantom, levels in errors.items():
        for subject in range(subjects):
            name = f"{phantom}-{subject}"
            about = {"dataset": name, "group": name, "phantom": phantom, "subject": subject, "seed": 0}
            for chain, level in {"zero": 100, **dict(zip(CHAINS, levels, strict=False)), "truth.x": 9}.items():
                value = level * np.exp(rng.normal(0, spread))
                row = (name, chain, "chi", "nrmse", "", "study", value, "%", "")
                rows.append({**about, **dict(zip(COLUMNS, row, strict=True))})
    return write_study(folder, pd.DataFrame(rows), pictures=False)


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    """Two kinds of heads: the same order but for the last pair of chains, which changes places."""
    errors = {"head": [40, 44, 48, 53], "other": [50, 54, 62, 58]}
    return study(tmp_path_factory.mktemp("r") / "heads", errors)


def test_each_rule_ranks_the_chains_that_compete(heads):
    sample = read_study(heads).sample(NRMSE)
    parts = standings.ranked_together(sample)
    assert parts == {"chains": CHAINS, "isolated chains": ["truth.x"]}
    found = standings.by_rules(sample.where(np.arange(len(sample.values)) < 8), CHAINS)
    table = standings.table(found).set_index("chain")
    assert table.index.tolist() == CHAINS
    for rule in ("aggregate_then_rank", "rank_then_aggregate"):
        assert table[rule].tolist() == table[f"{rule}_low"].tolist() == table[f"{rule}_high"].tolist() == [1, 2, 3, 4]
    # every chain beats those after it: 1/2⁸ on 12 ordered pairs is 0.047 by Holm; wins are 3, 2, 1, 0
    assert table["test_then_rank"].tolist() == [1, 2, 3, 4] and "test_then_rank_low" not in table
    assert standings.silent(found) == ""


def test_too_few_subjects_for_tests_are_named(heads):
    sample = read_study(heads).sample(NRMSE)
    found = standings.by_rules(sample.where(np.arange(len(sample.values)) < 7), CHAINS)
    assert found["test_then_rank"].rank.tolist() == [2.5] * 4  # 1/2⁷ on 12 ordered pairs is 0.094
    assert "7 subjects are too few for tests of 4 chains, which need 8." in standings.silent(found)


def test_rankings_that_carry_over_say_how_well(heads):
    """Of six pairs five are in the same order: τ = (5 − 1) / 6."""
    sample = read_study(heads).sample(NRMSE)
    phantoms = ["head"] * 8 + ["other"] * 8
    said = standings.between(sample, phantoms)
    assert said[0].startswith(
        "The rankings of 4 chains by NRMSE on head and on other agree with Kendall's τ = 0.67 (95 %"
    )
    assert "over 8 and 8 subjects" in said[0] and "cannot be said: 1 chains have scores" in said[1]
    assert said[0] in overview(read_study(heads), "chi", NRMSE, "study").sentences
    alone = sample.where(np.array(phantoms) == "head")
    assert standings.between(alone, phantoms[:8]) == []


def test_many_rankings_at_once_have_the_tau_of_each():
    """SciPy's τ-b of each pair, with ties; NaN where one has no order."""
    rng = np.random.default_rng(0)
    first, second = (stats.rankdata(rng.integers(0, 5, (50, 7)), axis=1) for _ in range(2))
    first[0] = 4
    expected = [stats.kendalltau(a, b).statistic for a, b in zip(first, second, strict=True)]
    assert np.isnan(expected[0])
    np.testing.assert_allclose(kendall(first, second), expected, atol=1e-12)


def test_the_command(heads, tmp_path, command):
    other = study(tmp_path / "reversed", {"head": [53, 48, 44, 40]})
    code, out, told = command("rank", heads, "--between", "phantom", "--to", other, "--csv", tmp_path / "r.csv")
    assert code == 0, told
    said = " ".join(out.split())
    assert "4 chains by NRMSE, 16 subjects" in said and "on head and on other agree with Kendall's τ = 0.67" in said
    assert "on heads and on reversed agree with Kendall's τ = −1.00 (95 % interval −1.00 to −" in said
    table = pd.read_csv(tmp_path / "r.csv")
    assert table["chain"].tolist() == [*CHAINS, "truth.x"] and set(table["kind"]) == {"chains", "isolated chains"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--metric", "nrmes"), "has no such score of chi; choose from nrmse (did you mean nrmse?)"),
        (("--between", "protocol"), "--between protocol: choose from phantom"),
        (("--support", "all"), "--support all: choose from study, common"),
    ],
)
def test_bad_usage_leaves_with_two(heads, command, options, message):
    code, _, told = command("rank", heads, *options)
    assert code == 2 and message in " ".join(told.split()) and told.count("\n") == 1
