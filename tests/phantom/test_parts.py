"""Knee, neck and pelvis: sizes of published norms, tissues and doses as stated, masks without gas and bone, people.

Norms are those that the phantoms' files name; limits are about two standard deviations, or the published range. Labels
on coarse voxels are enough for them; the layers of cartilage and the plaque are painted on small grids of fine voxels.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import yaml

from qsmbench.grid import Grid
from qsmbench.paths import data_dir
from qsmbench.phantom.load import load
from qsmbench.phantom.placed import View, placed_sources

BARE = {"supersampling": 1, "vessels": None, "texture": None}
COARSE = {"knee": 2.4, "neck": 3.0, "pelvis": 5.0}
PREGNANT = {"female": 1, "pregnant": 1}
PARTS = list(COARSE)


@cache
def outline(name, **overrides):
    """Labels of a phantom on coarse voxels, the index of each region, and the grid."""
    phantom = load(name, {**BARE, "voxel_size": COARSE[name], **overrides})
    grid = phantom.grid()
    return phantom.outline(grid, most_parts=2).labels, {n: i for i, n, _ in phantom.regions}, grid


def volume(name, *regions, **overrides):
    """Volume of all regions whose names begin with one of these, ml."""
    labels, index, grid = outline(name, **overrides)
    wanted = [i for n, i in index.items() if n.startswith(regions)]
    return np.isin(labels, wanted).sum() * grid.voxel_volume / 1000


def box(name, centre, size, voxel=1.0, **overrides):
    """Properties of a phantom in a box of voxels, and where each region is."""
    affine = np.diag([voxel, voxel, voxel, 1.0])
    affine[:3, 3] = np.array(centre) - voxel * (np.array(size) - 1) / 2
    phantom = load(name, {**BARE, **overrides})
    found = phantom.render(Grid.from_affine(size, affine), 3.0)
    return found, {n: found.labels == i for i, n, _ in found.regions}


@pytest.mark.parametrize(
    ("name", "regions", "least", "most", "overrides"),
    [
        ("knee", ["femoral_cartilage", "tibial_cartilage", "patellar_cartilage"], 16.6, 31.4, {}),  # 27 men
        ("knee", ["patellar_cartilage"], 2, 5.5, {}),
        ("knee", ["meniscus"], 3, 8, {}),  # about 5 ml in men
        ("neck", ["thyroid"], 7, 25, {}),
        ("neck", ["spinal_cord"], 6, 14, {}),  # 0.8 cm² over 120 mm
        ("neck", ["plaque", "fibrous_cap"], 0.4, 2, {}),  # the wall of plaques
        ("pelvis", ["prostate"], 20, 33, {}),
        ("pelvis", ["prostate"], 33, 52, {"age": 65}),
        ("pelvis", ["bladder"], 50, 350, {}),
        ("pelvis", ["uterus", "endometrium"], 45, 120, {"female": 1}),  # 80 g
        ("pelvis", ["placenta"], 140, 300, PREGNANT),  # in the 22nd week
        ("pelvis", ["fetus", "fetal_brain"], 350, 600, PREGNANT),
        ("pelvis", ["amniotic_fluid"], 300, 800, PREGNANT),
    ],
)
def test_volumes(name, regions, least, most, overrides):
    assert least < volume(name, *regions, **overrides) < most


def test_a_person_is_a_man_or_a_woman():
    assert volume("pelvis", "uterus", "placenta", "fet") == 0
    assert volume("pelvis", "prostate", "seminal", **PREGNANT) == 0
    assert volume("pelvis", "placenta", female=1) == 0


def test_thickness_of_cartilage_and_order_of_its_layers():
    """Along a line through the lateral condyle: 2.3 mm in three layers each on femur and tibia; fluid between."""
    found, where = box("knee", [24, -9, 1], (1, 1, 160), 0.1)
    names = [next(n for n, w in where.items() if w[0, 0, k]) for k in range(160)]
    order = list(dict.fromkeys(names))
    layers = [f"tibial_cartilage_{n}" for n in ("deep", "middle", "superficial")]
    layers += ["synovial_fluid", *(f"femoral_cartilage_{n}" for n in ("superficial", "middle", "deep"))]
    assert order == ["tibial_marrow", "cortical_bone", *layers, "femoral_marrow"]
    for bone in ("tibial", "femoral"):
        assert sum(n.startswith(f"{bone}_cartilage") for n in names) / 10 == pytest.approx(2.3, abs=0.25)
    chi = {n: found.chi[0, 0, [m == n for m in names]].mean() for n in layers}
    assert chi["femoral_cartilage_superficial"] == pytest.approx(0.03, abs=0.004)
    assert chi["femoral_cartilage_deep"] < -0.02  # its last part shares voxels with bone


@pytest.mark.parametrize(("case", "contrast"), [("control", 0.06), ("degenerated", 0.024), ("uniform", 0)])
def test_degeneration_evens_out_the_layers(case, contrast):
    found, where = box("cartilage", [24, -9, 1], (4, 4, 80), 0.2, case=case)
    high, low = (np.median(found.chi[where[f"tibial_cartilage_{n}"]]) for n in ("superficial", "deep"))
    assert high - low == pytest.approx(contrast, abs=1e-3)


def test_marrow_of_the_knee_is_fatty():
    found, where = box("knee", [0, -4, 45], (6, 6, 6), marrow_fat=0.8, bone=100)
    density = 0.9 * (1 - 100 / 1200)  # of the marrow's water, less what mineral replaces
    inside = where["femoral_marrow"]
    assert inside.all()
    fat = 0.99 * 0.8 * 1.0 / (0.8 * 1.0 + 0.2 * 0.9)
    assert np.median(found.fat_fraction[inside]) == pytest.approx(fat, rel=0.01)
    assert np.median(found.pd[inside]) == pytest.approx((0.8 + 0.2 * 0.9) * density / 0.9, rel=0.01)
    assert np.median(found.chi[inside]) == pytest.approx(0.8 * 0.6 - 0.2 * 0.02 - 0.175, abs=2e-3)


def test_diameters_of_the_carotid_arteries():
    """Common 6.1-6.5, sinus 7.59 ± 1.00, internal 4.67 ± 0.47 mm; the plaque halves the left sinus."""
    tubes = {n: np.array(s.points) for n, s in load("neck").description.shapes.items() if n.startswith("carotid_")}

    def at(side, z):
        points = tubes[f"carotid_{side}"]
        return 2 * np.interp(z, points[:, 2], points[:, 3])

    assert 5.8 < at("right", -50) < 6.8
    assert 6.6 < at("right", 14) < 8.6
    assert 4.2 < at("right", 50) < 5.2
    assert at("left", 14) == pytest.approx(0.5 * at("right", 14))
    assert at("left", -50) == at("right", -50)


@cache
def plaque(case, up=0):
    """Properties in a box around the plaque, `up` mm above the reference; sources need the atlas of what is in view."""
    view = {"field_of_view.lower": [-40, -4, -4], "field_of_view.upper": [-16, 24, 44]}
    return box("carotid-plaque", [-28.5, 9, 14 + up], (22, 22, 60), 0.4, case=case, bifurcation=up, **view)


def test_components_of_the_plaque():
    found, where = plaque("mixed")
    assert np.median(found.chi[where["intraplaque_haemorrhage"]]) == pytest.approx(0.40, abs=1e-3)
    assert np.median(found.chi[where["lipid_core"]]) == pytest.approx(0, abs=1e-3)
    assert found.chi[where["plaque_calcification"]].min() == pytest.approx(-0.00175 * 857, abs=1e-3)  # others are mixed
    assert not plaque("control")[1]["lipid_core"].any()


def test_the_plaque_moves_with_the_bifurcation_and_its_contents_with_it():
    where = plaque("mixed", up=10)[1]
    before = plaque("mixed")[1]
    for name in ("intraplaque_haemorrhage", "plaque_calcification", "lipid_core"):
        assert where[name].sum() == pytest.approx(before[name].sum(), rel=0.05)  # their surfaces differ


@pytest.mark.parametrize(
    ("scenario", "case", "names"),
    [
        ("carotid-plaque", "calcified", {"plaque_calcification": 857 * -0.00175}),
        ("prostate", "calcified", {"prostatic_calcification": 857 * -0.00175}),
    ],
)
def test_doses_arrive(scenario, case, names):
    """∫Δχ dV is density times volume, in the table of sources; each lies where the scenario says."""
    small = {"field_of_view.lower": [-40, -25, -55], "field_of_view.upper": [40, 55, 45]}  # scattering needs an atlas
    phantom = load(scenario, {**BARE, **small, "case": case})
    table, _ = placed_sources(phantom, View(phantom.grid(), np.zeros((1, 1, 1), np.uint8), np.zeros(256)), 3.0)
    for name, chi in names.items():
        own = [row for row in table if row.name == name]
        assert own
        for row in own:
            assert row.chi_total == pytest.approx(chi * row.volume, rel=1e-6)
            assert row.inside >= 0.5


def test_oxygen_of_the_placenta():
    """0.35·0.36·3.43·ΔY of χ; R2* of 12.9 ± 2.7 /s at 3 T in the 14th to 18th week."""
    found = {y: box("pelvis", [8, 52, 130], (8, 4, 8), 2, **PREGNANT, placental_saturation=y) for y in (0.85, 0.65)}
    chi = {y: np.median(p.chi[w["placenta"]]) for y, (p, w) in found.items()}
    assert chi[0.65] - chi[0.85] == pytest.approx(0.35 * 0.36 * 3.43 * 0.2, rel=1e-3)
    assert chi[0.85] == pytest.approx(0.05, abs=0.02)
    p, w = found[0.85]
    assert 10 < np.median(p.r2star[w["placenta"]]) < 20


@pytest.mark.parametrize("name", PARTS)
def test_mask_is_tissue_that_gives_signal(name):
    found, _ = box(name, [0, 0, 0], (16, 14, 3), 9)
    groups = {i: g for i, _, g in found.regions}
    for label in np.unique(found.labels):
        share = found.mask[found.labels == label].mean()
        assert share == (0 if label == 0 or groups[label] in ("gas", "bone", "air") else 1)


@pytest.mark.parametrize("name", PARTS)
def test_no_air_within_but_in_airway_and_bowel(name):
    labels, index, _ = outline(name)
    air = labels == 0
    assert air.any() and not air[tuple(n // 2 for n in air.shape)]
    lumens = [i for n, i in index.items() if n in ("airway", "rectum_gas")]
    assert np.isin(labels, lumens).any() == (name != "knee")


@pytest.mark.parametrize("name", PARTS)
def test_subjects_differ_within_limits_and_are_reproducible(name):
    people = [load(name, {**BARE, "subject": n}).description.parameters for n in range(12)]
    laws = yaml.safe_load((data_dir() / "phantoms" / name / "population.yaml").read_text())["drawn"]
    for key, law in laws.items():
        low, high = law.get("limits") or law.get("range") or (0, 1)
        values = [p[key] for p in people[1:]]
        assert low <= min(values) and max(values) <= high
        assert len(set(values)) > (1 if law["law"] == "sex" else 5)
    assert load(name, {**BARE, "subject": 7}).description.parameters == people[7]
    assert people[0] == load(name, BARE).description.parameters


@pytest.mark.parametrize("name", PARTS)
def test_a_subject_is_whole(name):
    labels, index, grid = outline(name, subject=3)
    for region in {"knee": ("femoral_marrow", "meniscus"), "neck": ("thyroid", "plaque"), "pelvis": ("bladder",)}[name]:
        assert (labels == index[region]).sum() * grid.voxel_volume > 200
    assert (labels[0] == 0).all() and (labels[-1] == 0).all()  # it fits
    assert (labels[:, 0] == 0).all() and (labels[:, -1] == 0).all()
