"""Scenarios: all cases load, controls are healthy, and what is changed lies, and is signed, as each scenario says.

Planes and boxes of coarse voxels without veins or texture are enough for that.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from qsmbench.grid import Grid
from qsmbench.model import read_yaml
from qsmbench.phantom import Phantom, Properties, load
from qsmbench.phantom.scenario import Scenario, scenarios

SCENARIOS = {name: Scenario.model_validate(read_yaml(path)) for name, path in scenarios().items()}
CASES = [(name, case) for name, scenario in SCENARIOS.items() for case in scenario.cases]
REFERENCES = {"control", "adult", "age-5", "doses-0", "luxury"}

BARE = {"texture": None, "vessels": None}
"""What is quick: no noise within tissues, no veins."""


@cache
def template() -> Phantom:
    """The head, whose atlas stands for those of all ages here: to make one takes longer than all else."""
    return load("head", BARE)


@cache
def box(scenario: str, case: str, middle: tuple[float, float, float], size: tuple[int, int, int]) -> Properties:
    """A case in `size` voxels of 2 mm about `middle` [mm]."""
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = np.array(middle) - (np.array(size) - 1)
    phantom = load(scenario, {"case": case, **BARE})
    vars(phantom)["atlas"] = replace(template().atlas, warp=phantom.warp)
    return phantom.render(Grid.from_affine(size, affine), 3.0)


def region(properties: Properties, name: str) -> np.ndarray:
    """Where a region is."""
    return properties.labels == next(i for i, n, _ in properties.regions if n == name)


def places(properties: Properties, name: str) -> np.ndarray:
    """(n, 3) mm, the voxels of a region."""
    affine = properties.grid.affine
    return np.argwhere(region(properties, name)) @ affine[:3, :3].T + affine[:3, 3]


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_first_case_is_the_reference(name):
    first = next(iter(SCENARIOS[name].cases))
    assert first in REFERENCES
    if first == "control":
        assert not [s for s in SCENARIOS[name].cases[first].get("sources", []) if s["source"] != "oxygenation"]


@pytest.mark.parametrize(("name", "case"), CASES)
def test_every_case_loads(name, case):
    phantom = load(name, {"case": case})
    made = {s["name"] for c in SCENARIOS[name].cases.values() for s in c.get("sources", []) if "name" in s}
    known = {n for _, n, _ in phantom.regions}
    assert set(SCENARIOS[name].regions) <= known | made
    assert {s["name"] for s in SCENARIOS[name].cases[case].get("sources", []) if "name" in s} <= known


BASAL, MIDBRAIN, DENTATE = (0, 0, 0), (0, -16, -10), (0, -58, -36)
SHIFTED = [  # scenario, case, region, what is rendered, least and greatest mean shift against the first case [ppm]
    ("parkinson", "early", "substantia_nigra", MIDBRAIN, 0.005, 0.06),
    ("parkinson", "patient", "substantia_nigra", MIDBRAIN, 0.08, 0.15),
    ("parkinson", "patient", "red_nucleus", MIDBRAIN, -0.01, 0.01),
    ("psp", "patient", "globus_pallidus_externus", BASAL, 0.04, 0.08),
    ("psp", "patient", "putamen", BASAL, -0.005, 0.01),
    ("msa-p", "patient", "putamen", BASAL, 0.01, 0.1),
    ("msa-p", "patient", "globus_pallidus_internus", BASAL, -0.01, 0.01),
    ("msa-c", "patient", "dentate", DENTATE, 0.015, 0.05),
    ("nbia", "child", "globus_pallidus_externus", BASAL, -0.1, -0.02),
    ("nbia", "nbia", "globus_pallidus_externus", BASAL, 0.02, 0.2),
    ("fahr", "patient", "globus_pallidus_internus", BASAL, 0.15, 0.35),
    ("fahr", "patient", "dentate", DENTATE, 0.1, 0.35),
    ("wilson", "patient", "caudate", BASAL, 0.02, 0.035),
    ("cirrhosis", "patient", "putamen", BASAL, 0.015, 0.025),
    ("lupus", "patient", "putamen", BASAL, 0.01, 0.02),
    ("depression", "patient", "putamen", BASAL, 0.007, 0.012),
    ("autism", "patient", "putamen", BASAL, -0.006, -0.004),
    ("gadolinium", "doses-30", "dentate", DENTATE, 0.02, 0.05),
    ("ageing", "age-70", "putamen", BASAL, 0.02, 0.06),
    ("alzheimer", "patient", "putamen", BASAL, 0.005, 0.009),
    ("als", "severe", "precentral_cortex", (0, -20, 58), 0.004, 0.013),
]


@pytest.mark.parametrize(("name", "case", "where", "middle", "least", "greatest"), SHIFTED)
def test_the_shift_is_as_the_scenario_says(name, case, where, middle, least, greatest):
    size = (52, 24, 1) if middle == (0, -20, 58) else (34, 22, 4)
    first = next(iter(SCENARIOS[name].cases))
    before, after = box(name, first, middle, size), box(name, case, middle, size)
    inside = region(before, where) & region(after, where)
    assert inside.any()
    assert least < (after.chi - before.chi)[inside].mean() < greatest


def test_iron_of_msa_p_lies_in_the_rear_of_the_right_putamen():
    before, after = (box("msa-p", c, BASAL, (34, 22, 4)) for c in ("control", "patient"))
    shift, found = (after.chi - before.chi)[region(before, "putamen")], places(before, "putamen")
    right, rear = found[:, 0] > 0, found[:, 1] < np.median(found[:, 1])
    assert shift[right & rear].mean() > 2 * shift[right & ~rear].mean()
    assert shift[right].mean() > shift[~right].mean()


LESIONS = [  # scenario, case, region, its middle [mm], sign of its mean shift
    ("haemorrhage", "acute", "haematoma", (-27, -3, 4), 1),
    ("haemorrhage", "chronic", "haematoma", (-27, -3, 4), 1),
    ("meningioma", "tumour", "calcification", (10, 16, 48), -1),
    ("meningioma", "tumour", "bleed", (15, 26, 52), 1),
    ("oligodendroglioma", "tumour", "calcification", (-31, 33, 21), -1),
    ("glioblastoma-treated", "treated", "calcification", (38, -28, 6), -1),
    ("glioblastoma-treated", "treated", "bleed", (46, -12, 12), 1),
]


@pytest.mark.parametrize(("name", "case", "where", "middle", "sign"), LESIONS)
def test_a_lesion_lies_where_it_should_and_has_its_sign(name, case, where, middle, sign):
    before, after = (box(name, c, middle, (20, 24, 16)) for c in ("control", case))
    lesion = region(after, where)
    assert np.allclose(places(after, where).mean(0), middle, atol=5)
    assert sign * (after.chi - before.chi)[lesion].mean() > 0.05
    assert where not in [n for _, n, _ in before.regions]


def test_the_haematoma_takes_the_place_of_the_left_putamen():
    before, after = (box("haemorrhage", c, (-27, -3, 4), (20, 24, 16)) for c in ("control", "acute"))
    putamen, clot = region(before, "putamen"), region(after, "haematoma")
    assert places(after, "haematoma")[:, 0].max() < 0
    assert (clot & putamen).sum() > 0.5 * putamen.sum()
    assert clot.sum() * 0.008 == pytest.approx(17, rel=0.15)  # ml


SCATTERED = [  # scenario, case, region, the side that it keeps to, sign
    ("haemorrhage-or-calcification", "strong", "bleed", 1, 1),
    ("haemorrhage-or-calcification", "strong", "calcification", -1, -1),
    ("multiple-sclerosis", "young", "plaque", 0, 1),
    ("microbleeds", "many", "microbleed", 0, 1),
    ("calcifications", "dense", "calcification", 0, -1),
]


@pytest.mark.parametrize(("name", "case", "where", "side", "sign"), SCATTERED)
def test_scattered_lesions_keep_to_their_side(name, case, where, side, sign):
    before, after = (box(name, c, (0, -16, 26), (70, 84, 8)) for c in (next(iter(SCENARIOS[name].cases)), case))
    lesion = region(after, where)
    assert lesion.any()
    assert (side * places(after, where)[:, 0] >= 0).all()
    assert sign * (after.chi - before.chi)[lesion].mean() > 0.005


def test_misery_perfusion_is_on_the_left():
    """Both sides' veins hold blood of one saturation in the control, the left's of a lower one in patients."""
    sources = {c: load("misery-perfusion", {"case": c}).description.sources for c in ("control", "severe")}
    values = {c: {s.key: s.value for s in found} for c, found in sources.items()}
    assert values["severe"]["left"] < values["control"]["default"] == values["severe"]["default"]
