"""A subject is a different plausible head; subject 0 is the template."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from objects import box, write

from qsmbench.errors import QsmbenchError
from qsmbench.phantom.load import load

SMALL = {"voxel_size": 3, "supersampling": 1, "vessels": None, "texture": None}  # quick


def subject(number, **more):
    return load("head", {**SMALL, "subject": number, **more})


@pytest.fixture(scope="module")
def people():
    """Phantoms of subjects 0 to 19."""
    return [subject(n) for n in range(20)]


def test_subject_0_is_the_median_person():
    phantom = subject(0)
    assert np.all(phantom.person.scale == 1) and phantom.person.age == 30 and phantom.person.sex is None
    for factors in phantom.person.factors.values():
        assert set(factors.values()) == {1.0}
    assert phantom.person.whole == pytest.approx(np.sqrt(1550 * 1390))
    assert phantom.description.parameters["skull"] == 6


def test_stated_parameters_are_those_of_the_person():
    stated = {"skull": 8, "cortex_level": 0.6}
    found = subject(3, age=5, **stated).description.parameters
    assert {name: found[name] for name in stated} == stated
    assert found["scalp"] != subject(0).description.parameters["scalp"]


def test_all_are_different_and_plausible(people):
    ages, heads = [p.person.age for p in people], [p.person.whole for p in people]
    assert len(set(ages)) == 20 and min(ages) >= 20 and max(ages) <= 85
    assert min(heads) > 1050 and max(heads) < 2000  # ml
    assert 0.05 < np.std(np.log(heads[1:])) < 0.16
    assert {p.person.sex for p in people[1:]} == {"female", "male"}


@pytest.mark.parametrize("number", [1, 2, 4])  # the same few subjects in all tests, since each is made once
def test_brain_of_a_subject_has_a_plausible_volume(people, number):
    phantom = people[number]
    properties = phantom.render(phantom.grid(), 3.0)
    assert 1050 < properties.mask.sum() * properties.grid.voxel_volume / 1000 < 2100
    names = {n: i for i, n, _ in properties.regions}
    for name in ("putamen", "thalamus", "red_nucleus", "dentate", "cortex", "white_matter"):
        assert (properties.labels == names[name]).any()


def test_deformation_can_be_inverted(people):
    """Its Jacobian is positive everywhere, and going there and back ends where it began."""
    points = np.random.default_rng(0).uniform([-70, -100, -60], [70, 70, 75], (500, 3))
    for phantom in people[1:5]:
        warp = phantom.warp
        slope = np.stack([np.gradient(u, warp.spacing) for u in warp.displacement]) + np.eye(3)[..., None, None, None]
        assert np.linalg.det(np.moveaxis(slope, (0, 1), (-2, -1))).min() > 0.1
        assert np.abs(warp.template(warp.world(points)) - points).max() < 1e-4


def test_iron_follows_age(people):
    """The globus pallidus after Hallgren and Sourander, against the adult of 30 years."""

    def iron(age):
        return 21.41 * (1 - np.exp(-0.09 * age)) + 0.37

    for age in (8, 30, 70):
        factor = subject(0, age=age).person.factors["iron"]["globus_pallidus_internus"]
        assert factor == pytest.approx(iron(age) / iron(30), rel=1e-6)
    chi = subject(0, age=8).tissues["globus_pallidus_internus"].at("chi_para", 3.0)
    adult = subject(0).tissues["globus_pallidus_internus"].at("chi_para", 3.0)
    assert chi == pytest.approx(adult * iron(8) / iron(30), rel=1e-6)


def test_choroid_plexus_calcifies_with_age(people):
    """Half of all people of 33 years have it, and nearly all in old age."""
    law = people[0]._population.sources["choroid_plexus_calcification"]
    assert law.chance(33) == pytest.approx(0.5) and law.chance(80) > 0.95 and law.chance(10) < 0.05
    old, young = (subject(0, age=age) for age in (70, 20))
    assert old.person.sources[0]["hu"] == pytest.approx(60 + 1.5 * 37) and young.person.sources == ()
    assert "choroid_plexus_calcification" in [n for _, n, _ in old.regions]
    ventricles = box((0, -20, 15), 100, 1.5)
    found = old.render(ventricles, 3.0)
    index = next(i for i, n, _ in old.regions if n == "choroid_plexus_calcification")
    assert found.chi[found.labels == index].mean() < 0
    assert old.ct(ventricles).max() > 50


def test_user_has_the_last_word_on_a_tissue():
    phantom = subject(3, **{"tissues.putamen.chi": 0.2})
    para, dia = (phantom.tissues["putamen"].at(c, 3.0) for c in ("chi_para", "chi_dia"))
    assert para - dia == pytest.approx(0.2)


def test_same_subject_is_the_same_to_the_bit():
    whole = {"voxel_size": 3, "supersampling": 1, "subject": 4}
    first, second = (load("head", whole) for _ in range(2))
    a, b = (p.render(p.grid(), 3.0) for p in (first, second))
    assert np.array_equal(a.chi, b.chi) and np.array_equal(a.r2star, b.r2star)


def test_lesion_keeps_its_place_in_the_anatomy():
    """A point of the template is where the subject has that anatomy."""
    lesion = [{"source": "haemorrhage", "stage": "acute", "at": [24, 2, 0], "radii": 3}]
    grid = box((24, 2, 0), 60, 2)
    for number in (2, 4):
        phantom = subject(number, sources=lesion)
        plain = subject(number)
        found = phantom.render(grid, 3.0)
        index = next(i for i, n, _ in found.regions if n == "haemorrhage")
        under = plain.render(grid, 3.0).labels[found.labels == index]
        assert under.size > 5
        putamen = next(i for i, n, _ in plain.regions if n == "putamen")
        assert (under == putamen).mean() > 0.4


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"age": 130}, "age is 130; it must be 1–100"),
        ({"sex": "other"}, "sex is 'other'"),
        ({"subject": -1}, "subject"),
        ({"subject": "x"}, "subject"),
    ],
)
def test_impossible_people(content, message):
    with pytest.raises(QsmbenchError, match=message):
        load("head", content)


def test_phantom_without_a_population():
    for key, value in (("subject", 3), ("age", 40), ("sex", "female")):
        with pytest.raises(QsmbenchError, match=f"{key} is .*{value}.*; this phantom has no population"):
            load("sphere", {key: value})


BALL = {"shape": "ellipsoid", "radii": ["$radius"] * 3}
WATER = {"changes": ["t1"], "scatter": 0.1, "curves": [{"curve": "constant", "tissues": ["muscle"]}]}
OTHER = {  # who have neither ventricles nor veins
    "age": {"reference": 40, "range": [20, 60], "allowed": [18, 90]},
    "parameters": {"radius": {"per_year": 0.05, "scatter": 0.2}},
    "tissues": {"water": WATER},
    "sources": {
        "stone": {
            "source": {"source": "iron", "at": [0, 0, 0], "radii": 2},
            "dose": "dose",
            "half_at": 50,
            "amount": 30,
            "per_year": 2,
        }
    },
}


def someone(folder, population, **more):
    """A ball of muscle in someone of a population."""
    (folder / "population.yaml").write_text(yaml.safe_dump(population))
    ball = {"shape": BALL, "tissue": "muscle"}
    return write(folder, [ball], population="population.yaml", parameters={"radius": 8}, **more)


def test_population_of_another_object(tmp_path):
    """What a population changes, and by what, is its own file's."""
    template, old, other = (someone(tmp_path, OTHER, **who) for who in ({}, {"age": 70}, {"subject": 2, "age": 40}))
    assert template.description.parameters["radius"] == 8 and template.description.sources == ()
    assert old.description.parameters["radius"] == pytest.approx(8 + 0.05 * 30)
    assert old.description.sources[0].dose == pytest.approx(30 + 2 * 20)
    assert [n for _, n, _ in old.regions] == ["muscle", "stone"]
    assert other.description.parameters["radius"] != 8 and other.warp.displacement.any() == 0
    own, table = other.tissues["muscle"], template.tissues["muscle"]
    factors = [own.at("t1", b0) / table.at("t1", b0) for b0 in (1.5, 3.0, 7.0)]
    assert factors == pytest.approx([other.person.factors["water"]["muscle"]] * 3) and factors[0] != 1
    assert own.at("chi_dia", 3.0) == table.at("chi_dia", 3.0)
    assert {o.by for o in own.origins["t1"]} == {"population"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parameters": {"size": {"per_year": 1}}}, "has no parameter 'size', which its population changes"),
        (
            {"tissues": {"water": {**OTHER["tissues"]["water"], "changes": ["t2"]}}},
            "there is no property 't2'; choose from",
        ),
        (
            {"tissues": {"fibres": {**OTHER["tissues"]["water"], "changes": ["delta_chi"]}}},
            "'muscle' has no delta_chi",
        ),
    ],
)
def test_impossible_populations(tmp_path, change, message):
    with pytest.raises(QsmbenchError, match=message) as caught:
        _ = someone(tmp_path, {**OTHER, **change}, subject=1).tissues
    assert "\n" not in str(caught.value)
