"""Verdicts on hand-made values with known answers."""

import math

import numpy as np
import pytest

from qsmbench.review import decide
from qsmbench.review.decide import CONTRADICTED, SUPPORTED, UNDECIDED


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([0.99, 1.0, 1.01, 1.0], SUPPORTED),
        ([1.49, 1.5, 1.51, 1.5], CONTRADICTED),
        ([0.5, 1.0, 1.5, 1.0], UNDECIDED),  # the interval reaches beyond the margin
        ([1.0, 1.0], UNDECIDED),  # too few, however equal
        ([], UNDECIDED),
    ],
)
def test_tolerance(values, verdict):
    assert decide.tolerance(np.array(values), (0.9, 1.1)).verdict == verdict


def test_a_margin_may_be_open():
    values = np.array([5.0, 6.0, 7.0])
    assert decide.tolerance(values, (0, None)).verdict == SUPPORTED
    assert decide.tolerance(values, (None, 0)).verdict == CONTRADICTED


def test_tolerance_interval_is_students():
    part = decide.tolerance(np.array([1.0, 2.0, 3.0]), (None, None))
    reach = 4.302652729911275 / math.sqrt(3)  # t of 2 degrees of freedom, standard deviation 1
    assert (part.low, part.high) == pytest.approx((2 - reach, 2 + reach))


@pytest.mark.parametrize(
    ("differences", "margin", "verdict"),
    [
        ([1.0, 1.1, 0.9, 1.0], 0.0, SUPPORTED),
        ([-1.0, -1.1, -0.9, -1.0], 0.0, CONTRADICTED),
        ([0.01, -0.01, 0.0, 0.005], 0.05, CONTRADICTED),  # equivalent
        ([1.0, -1.0, 0.5, -0.2], 0.05, UNDECIDED),
        ([1.0, math.nan, math.nan], 0.0, UNDECIDED),
    ],
)
def test_better(differences, margin, verdict):
    assert decide.better(np.array(differences), margin).verdict == verdict


def test_groups_against_half_of_the_published_shift():
    rng = np.random.default_rng(1)
    controls = rng.normal(0, 1, 40)
    assert decide.groups(rng.normal(2, 1, 40), controls, published=2.0).verdict == SUPPORTED
    assert decide.groups(rng.normal(0, 1, 40), controls, published=2.0).verdict == CONTRADICTED
    few = decide.groups(np.array([0.5, 1.5, 2.0]), np.array([0.0, 1.0, 0.4]), published=2.0)
    assert few.verdict == UNDECIDED
    assert "subjects per group" in few.note


def test_groups_need_three_subjects_each():
    part = decide.groups(np.array([9.0, 10.0]), np.array([0.0, 1.0, 2.0]))
    assert (part.verdict, part.n) == (UNDECIDED, 2)
    assert math.isnan(part.effect)


def people(prefix, values):
    return {f"{prefix}{i}": float(v) for i, v in enumerate(values)}


def test_better_groups():
    rng = np.random.default_rng(0)
    controls, patients = rng.normal(0, 1, 30), rng.normal(3, 1, 30)
    good = {"c": people("c", controls), "p": people("p", patients)}
    noise = {"c": people("c", rng.normal(size=30)), "p": people("p", rng.normal(size=30))}
    pair = ("p", "c")
    assert decide.better_groups(pair, pair, good, noise, 0.05).verdict == SUPPORTED
    assert decide.better_groups(pair, pair, noise, good, 0.05).verdict == CONTRADICTED
    assert decide.better_groups(pair, pair, good, good, 0.05).verdict == UNDECIDED  # no spread: says nothing


def test_better_groups_uses_the_subjects_that_have_both():
    a = {"p": people("p", [1, 2, 3, 4]), "c": people("c", [0, 0, 0, 0])}
    b = {"p": people("p", [1, 2]), "c": people("c", [0, 0, 0, 0])}
    part = decide.better_groups(("p", "c"), ("p", "c"), a, b, 0.05)
    assert (part.verdict, part.n) == (UNDECIDED, 2)


def test_slope_over_subjects():
    x = np.tile([0.0, 1.0], 4)
    y = np.array([0, 1.0, 1, 1.98, 2, 3.02, 0.5, 1.5])
    subject = np.repeat(list("abcd"), 2)
    part = decide.slope(x, y, subject, (0.9, 1.1))
    assert part.verdict == SUPPORTED
    assert part.effect == pytest.approx(1.0, abs=1e-9)
    assert decide.slope(x, -y, subject, (0.9, 1.1)).verdict == CONTRADICTED
    assert decide.slope(x[:2], y[:2], subject[:2], (0.9, 1.1)).verdict == UNDECIDED


def part(verdict):
    return decide.Part(verdict, 1.0, 0.0, 2.0, 5, (0.0, 1.0), "mean")


@pytest.mark.parametrize(
    ("verdicts", "whole"),
    [
        ([SUPPORTED, SUPPORTED], SUPPORTED),
        ([SUPPORTED, UNDECIDED], UNDECIDED),
        ([SUPPORTED, UNDECIDED, CONTRADICTED], CONTRADICTED),
        ([], UNDECIDED),
    ],
)
def test_a_claim_needs_all_its_parts(verdicts, whole):
    assert decide.combined([part(v) for v in verdicts]) == whole


def test_an_assumed_input_that_changes_the_verdict_makes_it_undecided():
    assert decide.after_variants(SUPPORTED, [SUPPORTED]) == SUPPORTED
    assert decide.after_variants(SUPPORTED, [SUPPORTED, CONTRADICTED]) == UNDECIDED
    assert decide.after_variants(CONTRADICTED, [UNDECIDED]) == UNDECIDED
