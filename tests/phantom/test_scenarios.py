"""Scenarios: all cases load, controls are healthy, and what is changed lies, and is signed, as each scenario says.

Planes and boxes of coarse voxels without veins or texture are enough for that.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import yaml

from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid
from qsmbench.phantom.base import Phantom
from qsmbench.phantom.description.scenario import Scenario, scenarios
from qsmbench.phantom.load import load
from qsmbench.phantom.properties import Properties
from qsmbench.phantom.species import CHANNELS
from qsmbench.typed_yaml import read_yaml

SCENARIOS = {name: Scenario.model_validate(read_yaml(path)) for name, path in scenarios().items()}
CASES = [(name, case) for name, scenario in SCENARIOS.items() for case in scenario.cases]
REFERENCES = {"control", "adult", "age-5", "doses-0", "luxury"}

BARE = {"texture": None, "vessels": None}
"""What is quick: no noise within tissues, no veins."""


@cache
def template() -> Phantom:
    """The head, whose atlas serves all: to make one takes longer than all else."""
    return load("head", BARE)


@cache
def box(name: str, case: str | None, middle: tuple[float, float, float], size: tuple[int, int, int]) -> Properties:
    """A case, or the head, at 30 years, in `size` voxels of 2 mm about `middle` [mm]."""
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = np.array(middle) - (np.array(size) - 1)
    phantom = load(name, {**({"case": case} if case else {}), **BARE, "age": 30})
    vars(phantom)["atlas"] = template().atlas
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


BASAL, MIDBRAIN, DENTATE, MOTOR = (0, 0, 0), (0, -16, -10), (0, -58, -36), (0, -20, 58)
SHIFTED = [  # scenario, case, what is rendered, region: least and greatest mean shift [ppm], less by partial volume
    ("parkinson", "patient", MIDBRAIN, {"substantia_nigra": (0.014, 0.027), "red_nucleus": (-0.01, 0.01)}),
    ("psp", "patient", MIDBRAIN, {"red_nucleus": (0.02, 0.035), "substantia_nigra": (0.02, 0.035)}),
    ("psp", "patient", BASAL, {"globus_pallidus_externus": (0.014, 0.022), "putamen": (-0.005, 0.01)}),
    ("msa-c", "patient", DENTATE, {"dentate": (0.015, 0.05)}),
    ("nbia", "mpan", MIDBRAIN, {"substantia_nigra": (0.05, 0.25)}),
    ("fahr", "patient", BASAL, {"globus_pallidus_internus": (0.12, 0.22)}),
    ("wilson", "patient", BASAL, {"thalamus": (0.02, 0.035), "caudate": (-0.001, 0.005)}),
    ("autism", "patient", BASAL, {"caudate": (-0.006, -0.003), "putamen": (-0.001, 0.001)}),
    ("cirrhosis", "patient", DENTATE, {"dentate": (-0.04, -0.02)}),
    ("cirrhosis", "patient", BASAL, {"globus_pallidus_externus": (-0.03, -0.02)}),
    ("lupus", "patient", BASAL, {"putamen": (0.01, 0.016), "caudate": (-0.001, 0.005)}),
    ("depression", "patient", BASAL, {"putamen": (0.007, 0.011), "caudate": (-0.001, 0.004)}),
    ("gadolinium", "doses-30", DENTATE, {"dentate": (0.02, 0.05)}),
    ("alzheimer", "patient", BASAL, {"putamen": (0.005, 0.009)}),
    ("als", "severe", MOTOR, {"precentral_cortex": (0.004, 0.013)}),
]


def test_the_pallidum_of_fahr_has_the_stated_total():
    """+0.3 ppm with its calcium and its own iron, in a voxel within it."""
    affine = np.diag([0.5, 0.5, 0.5, 1.0])
    phantom = load("fahr", {"case": "patient", **BARE})
    for name in ("globus_pallidus_externus", "globus_pallidus_internus"):
        middle = {"globus_pallidus_externus": (20.5, -3.5, 0), "globus_pallidus_internus": (15.8, -6, -2)}[name]
        affine[:3, 3] = phantom.warp.world(np.array([middle]))[0]
        assert phantom.render(Grid.from_affine((1, 1, 1), affine), 3.0).chi[0, 0, 0] == pytest.approx(0.3, abs=0.005)


def test_depression_raises_the_left_thalamus_alone():
    before, after = box("head", None, BASAL, (34, 32, 4)), box("depression", "patient", BASAL, (34, 32, 4))
    shift, right = (after.chi - before.chi)[region(before, "thalamus")], places(before, "thalamus")[:, 0] > 0
    assert shift[~right].mean() > 0.006 and abs(shift[right].mean()) < 0.001


@pytest.mark.parametrize(("case", "shift"), [("acute", 0.0005), ("young", 0.0384), ("chronic", 0.0047)])
def test_plaques_have_the_published_contrast(case, shift):
    """Against white matter (Chen 2014), where a plaque fills a voxel: its doses on the tissue of 35 years."""
    tissue = load("multiple-sclerosis", {"case": case, **BARE}).tissues["white_matter"]
    para, dia = tissue.at("chi_para", 3), tissue.at("chi_dia", 3)
    for source in SCENARIOS["multiple-sclerosis"].cases[case]["sources"]:
        if source["source"] == "iron":
            assert para + source["chi"] >= 0  # nothing is cut off
            para += source["chi"]
        else:
            dia *= 1 + 0.9 * source["change"]
    assert para - dia - (tissue.at("chi_para", 3) - tissue.at("chi_dia", 3)) == pytest.approx(shift, abs=0.0015)


@pytest.mark.parametrize(("name", "case", "middle", "regions"), SHIFTED)
def test_the_shift_is_as_the_scenario_says(name, case, middle, regions):
    size = (52, 24, 1) if middle == MOTOR else (34, 32, 4)
    before, after = box("head", None, middle, size), box(name, case, middle, size)
    for where, (least, greatest) in regions.items():
        inside = region(before, where) & region(after, where)
        assert inside.any()
        assert least < (after.chi - before.chi)[inside].mean() < greatest


def test_iron_of_msa_p_lies_in_the_rear_of_the_right_putamen():
    before, after = box("head", None, BASAL, (34, 32, 4)), box("msa-p", "patient", BASAL, (34, 32, 4))
    shift, found = (after.chi - before.chi)[region(before, "putamen")], places(before, "putamen")
    right, rear = found[:, 0] > 0, found[:, 1] < np.median(found[:, 1])
    assert shift[right & rear].mean() > 2 * shift[right & ~rear].mean()
    assert shift[right].mean() > shift[~right].mean()


LESIONS = [  # scenario, case, region, its middle [mm], sign of its mean χ
    ("meningioma", "tumour", "calcification", (10, 16, 48), -1),
    ("meningioma", "tumour", "bleed", (15, 26, 52), 1),
    ("oligodendroglioma", "tumour", "calcification", (-31, 33, 21), -1),
    ("glioblastoma-treated", "treated", "calcification", (38, -28, 9), -1),
    ("glioblastoma-treated", "treated", "bleed", (46, -12, 12), 1),
]
TUMOURS = {"meningioma": (12, 20, 50), "oligodendroglioma": (-31, 33, 21), "glioblastoma-treated": (42, -20, 9)}


@pytest.mark.parametrize(("name", "case", "where", "middle", "sign"), LESIONS)
def test_a_lesion_lies_where_it_should_and_has_its_sign(name, case, where, middle, sign):
    after = box(name, case, TUMOURS[name], (20, 24, 16))
    assert np.allclose(places(after, where).mean(0), middle, atol=5)
    assert sign * after.chi[region(after, where)].mean() > 0.05


def test_the_haematoma_takes_the_place_of_the_left_putamen():
    before, after = (box(*case, (-27, -3, 4), (20, 24, 18)) for case in (("head", None), ("haemorrhage", "acute")))
    putamen, clot = region(before, "putamen"), region(after, "haematoma")
    assert places(after, "haematoma")[:, 0].max() < 0
    assert (clot & putamen).sum() > 0.5 * putamen.sum()
    assert clot.sum() * 0.008 == pytest.approx(17, rel=0.15)  # ml
    assert after.chi[clot].mean() == pytest.approx(1.3, rel=0.15)


def test_the_nigra_of_parkinson_has_the_published_shift():
    """27.4 ppb over its volume; the voxels of its label, here of 1 mm, are shared with other tissue."""
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:3, 3] = -21.5, -31.5, -27.5
    grid = Grid.from_affine((44, 32, 32), affine)
    control, patient = (load("parkinson", {**BARE, "case": c}).render(grid, 3.0) for c in ("control", "patient"))
    nigra, more = region(control, "substantia_nigra"), 1000 * (patient.chi - control.chi)
    assert more.sum() / nigra.sum() == pytest.approx(27.4, abs=1.5)
    assert more[nigra].mean() == pytest.approx(23, abs=1)


SCATTERED = [  # scenario, case, region, the side that it keeps to, sign of its mean χ against white matter
    ("haemorrhage-or-calcification", "strong", "bleed", 1, 1),
    ("haemorrhage-or-calcification", "strong", "calcification", -1, -1),
    ("multiple-sclerosis", "young", "plaque", 0, 1),
    ("microbleeds", "many", "microbleed", 0, 1),
    ("calcifications", "dense", "calcification", 0, -1),
]


@pytest.mark.parametrize(("name", "case", "where", "side", "sign"), SCATTERED)
def test_scattered_lesions_keep_to_their_side(name, case, where, side, sign):
    after = box(name, case, (0, -16, 26), (70, 84, 16))
    lesion = region(after, where)
    assert lesion.any()
    assert (side * places(after, where)[:, 0] >= 0).all()
    assert sign * (after.chi[lesion].mean() - after.chi[region(after, "white_matter")].mean()) > 0.005


def test_misery_perfusion_is_on_the_left():
    """Both sides' veins hold blood of one saturation in the control, the left's of a lower one in patients."""
    sources = {c: load("misery-perfusion", {"case": c}).description.sources for c in ("control", "severe")}
    values = {c: {s.key: s.value for s in found if s.source == "oxygenation"} for c, found in sources.items()}
    assert values["severe"]["left"] < values["control"]["default"] == values["severe"]["default"]


COMPARED = {"group_shift", "group_auc", "smallest_shift", "age_slope", "dose_slope", "smallest_dose"}
"""Endpoints that the spread between people decides."""

SPREADING = [n for n, s in SCENARIOS.items() if s.phantom == "head" and COMPARED & set(s.endpoints)]


def values_of(phantom: Phantom, name: str) -> list[float] | None:
    """χ and R2* of a region of the anatomy or of veins, before any source; None for a lesion."""
    if name in phantom._veins.regions.values():
        blood = phantom._blood
        return [blood.saturation["default"], blood.hct]
    if name not in (n for _, n, _ in phantom.anatomy):
        return None
    content = dict(zip(CHANNELS, phantom._content(name, 3.0).tolist(), strict=True))
    return [content["chi_para"] - content["chi_dia"], content["r2star"]]


@pytest.mark.parametrize("name", SPREADING)
def test_people_differ_in_every_region_that_a_scenario_compares(name):
    """Without spread, any shift would tell the groups apart."""
    for case in SCENARIOS[name].cases:
        people = [load(name, {"case": case, "subject": n, "texture": None}) for n in range(1, 6)]
        for where in SCENARIOS[name].regions:
            if (first := values_of(people[0], where)) is not None:
                spread = np.std([values_of(p, where) for p in people], axis=0)
                assert (spread > 0.005 * np.abs(first)).all(), (case, where)


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_names_endpoints(name):
    assert SCENARIOS[name].endpoints


def test_unknown_endpoints_and_controls_are_refused(tmp_path):
    content = SCENARIOS["parkinson"].model_dump()
    for key, value, message in (
        ("endpoints", ["group_shft"], r"endpoint 'group_shft' is unknown; .*group_shift"),
        ("controls", ["healthy"], r"case 'healthy' is unknown; choose from control"),
    ):
        path = tmp_path / f"{key}.yaml"
        path.write_text(yaml.safe_dump({**content, key: value} | {"cases": dict(content["cases"]), "regions": []}))
        with pytest.raises(QsmbenchError, match=f"{key}.*{message}"):
            load(str(path))
