"""What a truth rests on: each value's source, and whether it is assumed, region by region."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import yaml
from objects import layer, write

from qsmbench.data.provenance import read_provenance, write_provenance
from qsmbench.errors import QsmbenchError
from qsmbench.phantom.description.tissues import read_tissues
from qsmbench.phantom.load import load

BALL = {"shape": "ellipsoid", "radii": [8, 8, 8]}
HEADER = "tissue,group,property,b0,value,unit,source,assumed\n"
ROWS = """stuff,dgm,chi_para,,0.1,ppm,Smith 2001,{chi}
stuff,dgm,chi_dia,,0.02,ppm,Smith 2001,no
stuff,dgm,pd,,0.8,1,guess,yes
stuff,dgm,t1,1.5,1,s,Jones 1999,no
stuff,dgm,t1,3,1.2,s,Jones 1999,no
stuff,dgm,t1,7,1.6,s,guess,yes
stuff,dgm,r2,,12,1/s,Smith 2001,{r2}
stuff,dgm,fat_fraction,,0,1,no fat,no
other,gm,chi,,-0.05,ppm,Brown 2010,no
other,gm,pd,,1,1,Brown 2010,no
other,gm,t1,,1,s,Brown 2010,no
other,gm,r2,,10,1/s,Brown 2010,no
other,gm,r2star,,20,1/s,guess,yes
other,gm,fat_fraction,,0,1,no fat,no
"""


@pytest.fixture
def handmade(tmp_path, monkeypatch):
    """Gives a phantom of two balls made of a table written by hand, whose flags can be set."""

    def make(chi="no", r2="no", **more):
        path = tmp_path / f"tissues-{chi}-{r2}.csv"
        path.write_text(HEADER + ROWS.format(chi=chi, r2=r2))
        monkeypatch.setattr("qsmbench.phantom.layers.table", lambda: read_tissues(path))
        layers = [{"shape": BALL, "tissue": "stuff"}, {"shape": {**BALL, "center": [9, 0, 0]}, "tissue": "other"}]
        return write(tmp_path, layers, background="other", **more)

    return make


def assumed(rows, region):
    """Properties of a region that rest on an assumed value."""
    return {row.property for row in rows if row.region == region and row.assumed}


def of(rows, region, name):
    """The rows of one property of one region."""
    return [row for row in rows if (row.region, row.property) == (region, name)]


def test_flags_of_a_table_reach_the_regions_made_of_it(handmade):
    rows = handmade().provenance(3.0)
    assert assumed(rows, "stuff") == {"pd"}
    assert assumed(rows, "other") == {"r2star"}
    assert assumed(rows, "") == {"r2star"}  # the background
    (pd,) = of(rows, "stuff", "pd")
    assert (pd.name, pd.value, pd.source, pd.by) == ("pd of stuff", "0.8", "guess", "table")
    assert {row.value for row in of(rows, "other", "chi")} == {"0", "0.05"}


def test_one_flag_more_is_one_region_more(handmade):
    def count(phantom):
        return sum("chi" in assumed(phantom.provenance(3.0), name) for name in ("stuff", "other"))

    assert [count(handmade(chi=flag)) for flag in ("no", "yes")] == [0, 1]


@pytest.mark.parametrize(("flags", "expected"), [({"chi": "yes"}, True), ({"r2": "yes"}, True), ({}, False)])
def test_r2star_by_its_law_rests_on_chi_and_r2(handmade, flags, expected):
    assert ("r2star" in assumed(handmade(**flags).provenance(3.0), "stuff")) == expected


@pytest.mark.parametrize(("b0", "expected"), [(1.5, False), (2, False), (3, False), (5, True), (7, True), (9.4, True)])
def test_between_fields_either_neighbour_counts(handmade, b0, expected):
    rows = handmade().provenance(b0)
    assert ("t1" in assumed(rows, "stuff")) == expected
    assert of(rows, "stuff", "t1")[0].source == {2: "Jones 1999", 5: "Jones 1999; guess"}.get(
        b0, "guess" if expected else "Jones 1999"
    )


def test_what_a_description_states_is_not_assumed(handmade):
    rows = handmade(chi="yes", tissues={"stuff": {"chi": 0.2}}).provenance(3.0)
    assert assumed(rows, "stuff") == {"pd"}
    assert {row.by for row in of(rows, "stuff", "chi")} == {"phantom"}


def test_what_the_user_sets_anew_is_the_users():
    before, after = (
        load("head", o).provenance(3.0) for o in ({}, {"tissues.stria_of_gennari.chi": 0.04, "vessels.hct": 0.4})
    )
    assert "chi" in assumed(before, "stria_of_gennari")
    assert "chi" not in assumed(after, "stria_of_gennari")
    assert {row.by for row in of(after, "stria_of_gennari", "chi")} == {"user"}
    hct, saturation = of(after, "vein_deep", "chi")
    assert (hct.value, hct.by, hct.assumed) == ("0.4", "user", False)
    assert (saturation.by, saturation.assumed) == ("phantom", False)


def test_veins_rest_on_the_saturations_that_they_look_up():
    rows = load("head", {"vessels.saturation.left": 0.5}).provenance(3.0)
    names = {region: [r.name for r in of(rows, region, "chi")] for region in ("vein_deep", "sinus")}
    assert names["vein_deep"] == ["haematocrit", "oxygen saturation, left", "oxygen saturation, default"]
    assert names["sinus"] == [
        "haematocrit",
        "oxygen saturation, default",
        "oxygen saturation, left",
    ]  # both drain there


@pytest.mark.parametrize(("subject", "by"), [(0, "scenario"), (3, "population")])
def test_stated_blood_is_the_populations_only_where_a_person_deviates(subject, by):
    rows = load("misery-perfusion", {"case": "severe", "subject": subject}).provenance(3.0)
    found = {r.name: r for r in of(rows, "vein_cortical", "chi")}
    left = found["oxygen saturation, left"]
    assert (left.by, "misery-perfusion" in left.source) == (by, True)
    assert (left.value == f"{0.98 * 0.45:.4g}") == (subject == 0)
    assert found["haematocrit"].by == "population"  # that of the phantom, at 60 years


def test_a_case_states_only_what_it_names(tmp_path):
    about = {"kind": "scenario", "phantom": "head", "question": "?", "endpoint": "?", "source": "Doe", "assumed": False}
    cases = {"anaemia": {"vessels": {"hct": 0.3}}}
    (tmp_path / "anaemia.yaml").write_text(yaml.safe_dump({**about, "cases": cases}))
    rows = of(load(str(tmp_path / "anaemia.yaml")).provenance(3.0), "vein_deep", "chi")
    assert [(r.value, r.by) for r in rows] == [("0.3", "scenario"), ("0.66", "phantom")]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"source": "iron", "dose": 100}, {"t1"}),  # χ of iron is measured, what it does to R1 is assumed
        ({"source": "iron", "change": 0.5}, set()),
        ({"source": "calcification", "density": 300}, {"chi", "pd", "r2star"}),
        ({"source": "gadolinium", "concentration": 0.1}, {"t1", "r2", "r2star"}),
        ({"source": "myelin", "change": -0.5}, {"chi", "pd", "t1", "r2", "r2star"}),
    ],
)
def test_constants_of_sources(tmp_path, source, expected):
    phantom = write(tmp_path, [layer(BALL)], sources=[{**source, "region": "object"}])
    assert assumed(phantom.provenance(3.0), "object") == expected


def test_a_dose_has_its_unit_and_its_constant(tmp_path):
    phantom = write(tmp_path, [layer(BALL)], sources=[{"source": "iron", "dose": 100, "region": "object"}])
    given, dose, constant = of(phantom.provenance(3.0), "object", "chi")
    assert (given.name, given.value) == ("chi", "1")
    assert (dose.name, dose.value, dose.unit, dose.by) == ("iron dose", "100", "µg/g", "phantom")
    assert (constant.name, constant.assumed) == ("iron.chi", False)


def test_what_takes_the_place_of_tissue_does_not_rest_on_it(handmade):
    bleed = {"source": "haemorrhage", "stage": "acute", "at": [0, 0, 0], "radii": 3, "name": "bleed"}
    lesion = {"source": "iron", "chi": 0.1, "in": "stuff", "diameter": 2, "name": "lesion"}
    rows = handmade(chi="yes", sources=[bleed, lesion]).provenance(3.0)
    assert {row.name for row in of(rows, "bleed", "chi")} == {"haemorrhage stage", "acute.chi"}
    assert "chi" not in assumed(rows, "bleed")
    assert {row.name for row in of(rows, "lesion", "chi")} == {"chi_para of stuff", "chi_dia of stuff", "iron chi"}
    assert "chi" in assumed(rows, "lesion")


def test_a_scenarios_numbers_are_as_assumed_as_it_says():
    phantom = load("parkinson", {"case": "patient", "age": 30})
    rows = phantom.provenance(3.0)
    doses = [row for row in of(rows, "substantia_nigra", "chi") if row.name == "iron chi"]
    assert {row.value for row in doses} == {"0.014", "0.026"}
    assert all(row.assumed and row.by == "scenario" and "PMC5765262" in row.source for row in doses)
    assert "chi" not in assumed(rows, "red_nucleus")
    assert phantom.case is not None
    assert phantom.case.summary()["question"] == "Is it Parkinson disease?"


def test_age_and_person_are_assumed():
    at_reference = load("head", {"age": 30}).provenance(3.0)
    assert "chi" not in assumed(at_reference, "caudate")
    assert "shape" not in assumed(at_reference, "")
    older = load("head", {"age": 70}).provenance(3.0)
    assert {row.by for row in of(older, "caudate", "chi") if row.assumed} == {"population"}
    assert "chi" not in assumed(older, "muscle")
    other = load("head", {"subject": 2, "age": 30}).provenance(3.0)
    assert all(row.by == "population" for row in of(other, "sinus", "chi"))
    (who,) = of(other, "", "shape")
    assert who.value in ("subject 2, 30 years, female", "subject 2, 30 years, male")


def test_texture_is_assumed_but_no_region_is_for_it():
    rows = load("head").provenance(3.0)
    assert any(row.name.startswith("texture") and row.assumed for row in of(rows, "", "chi"))
    assert "chi" not in assumed(rows, "caudate")
    assert "chi" in assumed(rows, "globus_pallidus_externus")


def test_labels_by_tissue_and_by_numbers(tmp_path):
    nib.save(nib.Nifti1Image(np.ones((4, 4, 4), np.uint8), np.eye(4)), tmp_path / "labels.nii.gz")
    (tmp_path / "labels.csv").write_text(
        "index,name,tissue,chi,pd,t1,r2star,fat_fraction\n1,inner,stria_of_gennari,,,,,\n2,own,,0.1,0.8,1,30,0\n"
    )
    (tmp_path / "own.yaml").write_text("kind: labelmap\nimage: labels.nii.gz\ntable: labels.csv\n")
    rows = load(str(tmp_path / "own.yaml")).provenance(3.0)
    assert "chi" in assumed(rows, "inner")
    assert assumed(rows, "own") == set()
    assert [(row.value, row.source) for row in of(rows, "own", "chi")] == [("0.1", "labels.csv")]


def test_what_is_written_is_read(handmade, tmp_path):
    rows = handmade().provenance(3.0)
    write_provenance(tmp_path / "basis.tsv", rows)
    assert read_provenance(tmp_path / "basis.tsv") == rows
    (tmp_path / "basis.tsv").write_text("region\tchi\n")
    with pytest.raises(QsmbenchError, match=r"columns are \['region', 'chi'\]; choose from region, property"):
        read_provenance(tmp_path / "basis.tsv")
    with pytest.raises(QsmbenchError, match="no such file"):
        read_provenance(tmp_path / "nowhere.tsv")


def test_a_flag_is_yes_or_no(tmp_path):
    (tmp_path / "tissues.csv").write_text(HEADER + ROWS.format(chi="maybe", r2="no"))
    with pytest.raises(QsmbenchError, match="stuff: chi_para: assumed is 'maybe'; choose from yes, no"):
        read_tissues(tmp_path / "tissues.csv")
