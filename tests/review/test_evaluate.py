"""Claims judged on hand-made tables."""

import math

import pandas as pd
import pytest

from qsmbench.review.claims import Claim, Pick
from qsmbench.review.decide import CONTRADICTED, SUPPORTED, UNDECIDED
from qsmbench.review.evaluate import COLUMNS, judge, quantity


def row(arm, subject, value, *, metric="mean", region="putamen", chain="a", artifact="chi", sign=0, diameter=math.nan):
    return (arm, subject, f"{arm}-{subject}", chain, artifact, metric, region, diameter, sign, value)


def table(*rows):
    return pd.DataFrame(list(rows), columns=list(COLUMNS))


def claim(rule, **more):
    content = {"id": "it", "number": 1, "claim": "c", "place": "p", "kind": "emerging", "experiment": "e"}
    return Claim.model_validate({**content, "chains": ["a"], "rules": [rule], **more})


def pick(**keys):
    return Pick(chain="a", **keys)


def test_lesions_are_reduced_in_each_scan():
    lesion = {"metric": "lesion_contrast", "region": "bleed"}
    rows = [row("x", "1", 0.2, sign=1, diameter=2.0, **lesion), row("x", "1", -0.1, sign=1, diameter=5.0, **lesion)]
    rows += [
        row("x", "1", math.nan, sign=1, diameter=2.0, **lesion),
        row("x", "1", -0.3, sign=-1, diameter=3.0, **lesion),
    ]
    made = table(*rows)
    of = {"metric": "lesion_contrast", "arm": "x"}
    assert quantity(made, pick(statistic="sign_accuracy", **of)) == {"1": 50.0}  # a lesion without a value is wrong
    assert quantity(made, pick(statistic="sign_accuracy", diameter=(4, 10), **of)) == {"1": 0.0}
    # pairs of a para- (0.2, −0.1, none = 0) and the diamagnetic lesion (−0.3): all in order
    assert quantity(made, pick(statistic="sign_auc", **of)) == {"1": 1.0}
    assert quantity(made, pick(**of)) == {"1": pytest.approx((0.2 - 0.1 - 0.3) / 3)}


def test_contrast_and_cnr_of_two_regions():
    rows = [row("x", "1", 0.10), row("x", "1", 0.04, region="caudate")]
    rows += [row("x", "1", 0.03, metric="sd"), row("x", "1", 0.04, metric="sd", region="caudate")]
    two = {"region": "putamen", "against": "caudate", "arm": "x"}
    assert quantity(table(*rows), pick(statistic="contrast", **two)) == {"1": pytest.approx(0.06)}
    pooled = math.sqrt((0.03**2 + 0.04**2) / 2)
    assert quantity(table(*rows), pick(statistic="cnr", **two)) == {"1": pytest.approx(0.06 / pooled)}
    assert quantity(table(rows[0]), pick(statistic="contrast", **two)) == {}


def test_linearity_is_the_squared_correlation_with_the_true_chi():
    """Values 1, 2, 4 against 1, 2, 3: sums of squares 14/3 and 2, of products 3, so r² = 9 / (28/3)."""
    regions = ["putamen", "caudate", "pallidum"]
    rows = [row("x", "1", v, region=r, artifact="swi") for r, v in zip(regions, (-1.0, -2.0, -4.0), strict=True)]
    rows += [row("x", "1", v, region=r, chain="truth") for r, v in zip(regions, (1.0, 2.0, 3.0), strict=True)]
    of = {"artifact": "swi", "statistic": "linearity", "arm": "x"}
    assert quantity(table(*rows), pick(regions=regions, **of)) == {"1": pytest.approx(27 / 28)}
    assert quantity(table(*rows), pick(regions=regions[:2], **of)) == {}  # two points lie on any line


def test_variation_over_arms():
    made = table(*(row(arm, "1", v) for arm, v in (("x", 1.0), ("y", 2.0), ("z", 3.0))))
    assert quantity(made, pick(region="putamen", statistic="variation")) == {"1": pytest.approx(50.0)}
    other = table(*(row(arm, "1", v, region="caudate") for arm, v in (("x", 2.0), ("y", 2.0), ("z", 2.0))))
    both = pd.concat([made, other])
    assert quantity(both, pick(regions=["putamen", "caudate"], statistic="variation")) == {"1": pytest.approx(25.0)}


def ratio_claim(**more):
    of = {"region": "putamen", "arm": "late"}
    rule = {"rule": "tolerance", "of": of, "over": {**of, "arm": "early"}, "inside": [0.9, 1.1], "unit": "x"}
    return claim(rule, **more)


def ratio_table(ratios, chain="a"):
    rows = []
    for i, ratio in enumerate(ratios):
        rows += [row("early", str(i), 2.0, chain=chain), row("late", str(i), 2.0 * ratio, chain=chain)]
    return table(*rows)


@pytest.mark.parametrize(
    ("ratios", "verdict"),
    [
        ([1.0, 1.01, 0.99, 1.0], SUPPORTED),
        ([2.0, 2.1, 1.9, 2.0], CONTRADICTED),
        ([1.0, 1.0], UNDECIDED),
        ([], UNDECIDED),
    ],
)
def test_a_ratio_is_paired_over_subjects(ratios, verdict):
    assert judge(ratio_claim(), ratio_table(ratios)).verdict == verdict


def test_the_first_chain_decides_and_the_others_are_shown():
    made = pd.concat([ratio_table([1.0, 1.01, 0.99], "a"), ratio_table([2.0, 2.1, 1.9], "b")])
    found = judge(ratio_claim(chains=["a", "b"]), made)
    assert found.verdict == SUPPORTED
    assert [p.verdict for p in found.others["b"]] == [CONTRADICTED]
    assert judge(ratio_claim(chains=["b", "a"]), made).verdict == CONTRADICTED


def group_table(shifts):
    people = {
        "control": [1.0, 1.1, 0.9, 1.05, 0.95],
        **{a: [1 + s + 0.1 * i for i in range(-2, 3)] for a, s in shifts.items()},
    }
    return table(*(row(arm, f"{arm}{i}", v) for arm, its in people.items() for i, v in enumerate(its)))


def group_claim(assumed=True):
    rule = {"rule": "groups", "of": {"region": "putamen"}, "patients": "patient", "controls": "control", "published": 2}
    return claim(rule, variants=[{"what": "half the shift", "arms": {"patient": "half"}, "assumed": assumed}])


def test_an_assumed_end_that_flips_the_verdict_makes_it_undecided():
    made = group_table({"patient": 1.0, "half": 0.0})
    found = judge(group_claim(), made)
    assert (found.verdict, found.flips) == (UNDECIDED, ["half the shift"])
    assert [p.verdict for p in found.parts] == [SUPPORTED]


def test_a_variant_that_is_not_assumed_is_only_shown():
    found = judge(group_claim(assumed=False), group_table({"patient": 1.0, "half": 0.0}))
    assert (found.verdict, found.flips) == (SUPPORTED, [])


def test_an_assumed_end_with_the_same_verdict_leaves_it():
    assert judge(group_claim(), group_table({"patient": 1.0, "half": 0.9})).verdict == SUPPORTED


def test_patients_may_be_lower():
    rule = {
        "rule": "groups",
        "of": {"region": "putamen"},
        "patients": "patient",
        "controls": "control",
        "direction": -1,
    }
    assert judge(claim(rule), group_table({"patient": -1.0})).verdict == SUPPORTED
    assert judge(claim(rule), group_table({"patient": 1.0})).verdict == CONTRADICTED


def test_a_rule_holds_in_each_of_its_regions():
    rule = {"rule": "tolerance", "of": {"arm": "x"}, "regions": ["putamen", "caudate"], "inside": [0, None]}
    rows = [row("x", str(i), v, region=r) for r, v in (("putamen", 1.0), ("caudate", -1.0)) for i in range(3)]
    found = judge(claim(rule), table(*rows))
    assert [(p.label, p.verdict) for p in found.parts] == [("putamen", SUPPORTED), ("caudate", CONTRADICTED)]
    assert found.verdict == CONTRADICTED


def test_slope_against_the_true_value():
    rule = {"rule": "slope", "of": {"region": "putamen"}, "against": {"region": "putamen", "chain": "truth"}}
    rule |= {"at": {"x": 0, "y": 1}, "inside": [0.4, 0.6]}
    rows = []
    for i in range(3):
        for arm, true in (("x", 1.0), ("y", 3.0 + i)):
            rows += [row(arm, str(i), true, chain="truth"), row(arm, str(i), 0.5 * true + i)]
    part = judge(claim(rule), table(*rows)).parts[0]
    assert (part.verdict, part.effect) == (SUPPORTED, pytest.approx(0.5))
