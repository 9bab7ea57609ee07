"""A small run of `benchmarks/verdicts.py`: intervals cover what they should, and no difference is invented."""

import importlib.util

import pytest

from qsmbench.paths import data_dir

SCRIPT = data_dir() / "benchmarks" / "verdicts.py"
pytestmark = pytest.mark.skipif(not SCRIPT.is_file(), reason="only in a checkout")


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("coverage_of_intervals", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("n", [5, 20])
def test_coverage_of_intervals(script, n):
    """At 300 studies the standard error is 0.013; the limits are those of the whole table, ± 2.5 of them."""
    found = script.coverage(n, 300)
    for name in (*script.SYMMETRIC, "lognormal 0.7, ratio"):
        assert 0.935 - 0.03 < found[name] < 0.965 + 0.03, name
    assert found["mean by bootstrap-t"] > 0.915 - 0.03
    assert found["pooled seeds"] < 0.85  # what is avoided


def test_equal_chains_and_a_planted_difference(script):
    assert script.equal_chains(12, 40, chains=8) <= 0.05 + 3 * script.margin(0.05, 40)
    found, predicted = script.planted(16, 0.87, 60, chains=8)
    assert 0.3 < predicted < 0.95 and abs(found - predicted) < 0.12
