"""The trunk: organs have the volumes and places of published norms, whatever the body; doses arrive; masks fit.

Norms: means of men and women in the sources that phantoms/abdomen.yaml, population.yaml and tissues.csv name, with
limits of about two standard deviations. Labels on coarse voxels are enough for them.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy import ndimage

from qsmbench.grid import Grid
from qsmbench.phantom.load import load

BARE = {"supersampling": 1, "vessels": None, "texture": None}


@cache
def body(voxel=4.5, **overrides):
    """Labels of a trunk: by the name of a region, where it is; and the grid."""
    phantom = load("abdomen", {**BARE, "voxel_size": voxel, **overrides})
    grid = phantom.grid()
    labels = phantom.outline(grid, most_parts=2).labels
    return labels, {name: i for i, name, _ in phantom.regions}, grid, phantom


def where(name, **overrides):
    labels, index, _, _ = body(**overrides)
    return labels == index[name]


def volume(*names, **overrides):
    """Volume of regions together, ml."""
    grid = body(**overrides)[2]
    return sum(where(n, **overrides).sum() for n in names) * grid.voxel_volume / 1000


def centre(part, **overrides):
    """Centroid, mm."""
    grid = body(**overrides)[2]
    return np.argwhere(part).mean(0) @ grid.affine[:3, :3].T + grid.affine[:3, 3]


def area(z, *names, **overrides):
    """Area of regions in the axial plane at z [mm], cm²."""
    labels, index, grid, _ = body(**overrides)
    k = round((z - grid.affine[2, 3]) / grid.voxel_size[2])
    return np.isin(labels[..., k], [index[n] for n in names]).sum() * grid.voxel_size[0] * grid.voxel_size[1] / 100


@pytest.mark.parametrize(
    ("regions", "least", "most"),
    [
        (["liver"], 1100, 1950),  # 1360 ± 273 healthy, 1505 ± 385 all; ICRP 1800
        (["spleen"], 81, 322),
        (["kidney_cortex", "kidney_medulla"], 260, 400),  # both; 174 and 180 with quartiles ± 22 each
        (["pancreas"], 50, 140),  # MRI 60-80, ICRP 140
        (["small_bowel_wall", "small_bowel_content", "duodenum_wall", "duodenum_content"], 600, 1200),  # ICRP 1000
        (["colon_wall", "colon_content", "colon_gas"], 400, 900),  # fasted 203 + 198 + 160, with sigmoid and rectum
        (["stomach_content", "stomach_air", "stomach_wall"], 150, 550),  # ICRP 150 + 250
        (["colon_gas", "small_bowel_gas"], 71, 141),
        (["bile"], 15, 70),
        (["bladder"], 50, 350),
        (["vertebral_marrow"], 150, 400),
    ],
)
def test_volumes_of_organs(regions, least, most):
    assert least < volume(*regions) < most


def test_cortex_of_the_kidneys_is_two_thirds():
    assert volume("kidney_cortex") / volume("kidney_cortex", "kidney_medulla") == pytest.approx(0.70, abs=0.1)


@pytest.mark.parametrize(
    ("bmi", "visceral", "subcutaneous", "muscle", "effective"),
    # at L3: fat of men 121 and 117 cm² at BMI 23.5; muscle about 150; effective diameter 0.76·BMI + 9.4 cm on scouts,
    # which widen one diameter by 7 %, with a standard deviation of about 2.5 cm
    [
        (24, (60, 180), (90, 190), (110, 190), 26.7),
        (17, (20, 90), (30, 100), (90, 170), 22.3),
        (40, (180, 400), (300, 560), (150, 240), 39.8),
    ],
)  # fmt: skip
def test_composition_at_l3(bmi, visceral, subcutaneous, muscle, effective):
    body_of = {"bmi": bmi}
    assert visceral[0] < area(-72, "visceral_fat", **body_of) < visceral[1]
    assert subcutaneous[0] < area(-72, "subcutaneous_fat", **body_of) < subcutaneous[1]
    assert muscle[0] < area(-72, "muscle", "psoas", **body_of) < muscle[1]
    labels, _, grid, _ = body(**body_of)
    plane = labels[..., round((-72 - grid.affine[2, 3]) / grid.voxel_size[2])] > 0
    wide, deep = plane.any(1).sum() * grid.voxel_size[0], plane.any(0).sum() * grid.voxel_size[1]
    assert np.sqrt(wide * deep) / 10 == pytest.approx(effective / np.sqrt(1.07), abs=2.5)


def test_organs_are_in_their_places():
    places = {
        n: centre(where(n)) for n in ("liver", "spleen", "pancreas", "stomach_content", "bladder", "myocardium", "bile")
    }
    assert places["liver"][0] > 25 > -50 > places["spleen"][0]  # the patient's right is +x
    assert places["stomach_content"][0] < -20 and places["bile"][0] > 30
    assert places["spleen"][1] < -10 < places["bile"][1]  # behind, in front
    assert -35 < places["pancreas"][2] < 33  # L2 to T12
    assert places["bladder"][2] < -200 and abs(places["bladder"][0]) < 5
    assert places["myocardium"][2] > 120 and places["myocardium"][0] < 0
    kidneys, _ = ndimage.label(where("kidney_cortex") | where("kidney_medulla"))
    right, left = (centre((kidneys > 0) & (side)) for side in halves())
    assert 10 < left[2] - right[2] < 25  # the right one is 15-20 mm lower
    for kidney in (right, left):
        assert -80 < kidney[2] < 40 and 45 < abs(kidney[0]) < 75


def halves():
    """Where x is positive, and negative."""
    labels, _, grid, _ = body()
    x = grid.affine[0, 3] + grid.voxel_size[0] * np.arange(labels.shape[0])
    return (x > 0)[:, None, None], (x < 0)[:, None, None]


def test_gas_lies_in_front_of_what_it_is_with():
    """In each column of a lumen, from back to front, gas is never behind the content."""
    for gas, content in (("colon_gas", "colon_content"), ("stomach_air", "stomach_content")):
        assert centre(where(gas))[1] > centre(where(content))[1]
        behind = where(gas)[:, :-1] & where(content)[:, 1:]
        assert behind.sum() < 0.02 * where(gas).sum() + 3


@pytest.mark.parametrize("bmi", [17, 24, 40])
def test_there_are_no_holes_and_nothing_sticks_out(bmi):
    labels, index, _, _ = body(bmi=bmi)
    outside = labels == 0
    parts, _ = ndimage.label(outside)
    on_edge = np.unique(
        np.concatenate([parts[0].ravel(), parts[-1].ravel(), parts[:, 0].ravel(), parts[:, -1].ravel()])
    )
    assert np.isin(parts[outside], on_edge).all()  # air is connected to that around the body
    touching = labels[ndimage.binary_dilation(outside) & ~outside]
    allowed = [index["skin"], index["subcutaneous_fat"]]
    assert np.isin(touching, allowed).mean() > 0.999


@pytest.mark.parametrize("bmi", [17, 24, 40])
def test_girth_moves_organs_and_does_not_scale_them(bmi):
    """The liver follows the walls; all else keeps its size but for what the walls cut off."""
    for regions, share in ((["spleen"], 0.2), (["kidney_cortex", "kidney_medulla"], 0.12), (["colon_wall"], 0.35)):
        assert volume(*regions, bmi=bmi) == pytest.approx(volume(*regions), rel=share)
    assert 900 < volume("liver", bmi=bmi) < 2700


def test_organs_are_in_one_piece_each():
    for name, pieces in (("liver", 1), ("spleen", 1), ("bladder", 1), ("myocardium", 1)):
        parts, _ = ndimage.label(where(name), np.ones((3, 3, 3)))
        sizes = np.sort(np.bincount(parts.ravel())[1:])[::-1]
        assert sizes[:pieces].sum() > 0.97 * sizes.sum(), name


def test_breath_moves_the_dome_and_organs_by_their_shares():
    """Spleen 0.9, kidneys 0.65 of the dome (PMC4539151, abstract); the spine not at all."""

    def moved(*names):
        parts = [np.any([where(n, breath=b) for n in names], axis=0) for b in (0, 20)]
        return centre(parts[0])[2] - centre(parts[1], breath=20)[2]

    assert moved("kidney_cortex", "kidney_medulla") == pytest.approx(13, abs=2)
    assert moved("spleen") == pytest.approx(18, abs=4)
    assert moved("vertebral_marrow") == pytest.approx(0, abs=0.3)
    tops = [np.argwhere(where("liver", breath=b)).max(0)[2] * 4.5 for b in (0, 20)]
    assert tops[0] - tops[1] == pytest.approx(20, abs=4.6)


def test_mask_is_tissue_that_gives_signal():
    phantom = load("abdomen", {**BARE, "voxel_size": 6})
    grid = Grid.from_affine((66, 49, 4), np.array([[6, 0, 0, -195], [0, 6, 0, -140], [0, 0, 12, 6], [0, 0, 0, 1.0]]))
    properties = phantom.render(grid, 3.0)
    groups = {i: g for i, _, g in properties.regions}
    for label in np.unique(properties.labels):
        share = properties.mask[properties.labels == label].mean()
        assert share == (0 if label == 0 or groups[label] in ("gas", "lung", "bone", "air") else 1)


@cache
def slab(name="abdomen", b0=1.5, **overrides):
    """Some voxels of the right lobe of the liver, 3 mm."""
    affine = np.diag([3.0, 3, 3, 1])
    affine[:3, 3] = 60, -30, 30
    phantom = load(name, {**BARE, **overrides})
    return phantom.render(Grid.from_affine((12, 12, 6), affine), b0)


@pytest.mark.parametrize(("b0", "slope", "intercept"), [(1.5, 0.02603, -0.16), (3.0, 0.01349, -0.03)])
@pytest.mark.parametrize("lic", [0.6, 7, 30])
def test_iron_of_the_liver_has_its_own_laws(b0, slope, intercept, lic):
    """0.41 ppm per mg/g dry; R2* after Hernando 2022, at both fields."""
    usual, loaded = (slab(b0=b0, lic=amount, liver_fat=1e-6) for amount in (0.6, lic))
    inside = usual.labels == next(i for i, n, _ in usual.regions if n == "liver")
    chi = (loaded.chi - usual.chi)[inside]
    assert inside.sum() > 500
    assert np.median(chi) == pytest.approx(1.69e-3 * 1000 / 4.1 * (lic - 0.6), rel=0.002, abs=1e-6)
    assert np.median(loaded.r2star[inside]) == pytest.approx((lic - intercept) / slope, rel=0.02)


@pytest.mark.parametrize(("case", "lic"), [("control", 0.6), ("lic-10", 10), ("lic-30-fat-40", 30)])
def test_the_truth_knows_the_iron_of_the_liver(case, lic):
    phantom = load("liver-iron", {**BARE, "case": case})
    liver = next(i for i, n, _ in phantom.regions if n == "liver")
    found = phantom.liver_iron(np.array([[[0, liver, liver + 1]]]))
    np.testing.assert_allclose(found, [[[0, lic, 0]]], rtol=1e-6)
    assert load("head", {"vessels": None}).liver_iron(np.zeros((1, 1, 1))) is None


def test_fat_of_the_liver_is_what_is_asked_for():
    for fraction in (0.1, 0.4):
        fat = slab(liver_fat=fraction)
        inside = fat.labels == next(i for i, n, _ in fat.regions if n == "liver")
        density, lean = 1.0, 0.8  # of the tissues fat and liver
        share = 0.99 * fraction * density / (fraction * density + (1 - fraction) * lean)
        assert np.median(fat.fat_fraction[inside]) == pytest.approx(share, rel=0.01)


def test_bone_lost_from_the_spine_raises_its_susceptibility():
    """170 to 55 mg/ml at 1.75 ppb each, and more fat."""
    affine = np.diag([2.0, 2, 2, 1])
    affine[:3, 3] = -8, 2, -76
    grid = Grid.from_affine((8, 5, 4), affine)
    means = {}
    for case in ("control", "osteoporosis"):
        properties = load("osteoporosis", {**BARE, "case": case}).render(grid, 3.0)
        inside = properties.labels == next(i for i, n, _ in properties.regions if n == "vertebral_marrow")
        means[case] = properties.chi[inside].mean()
    assert means["osteoporosis"] - means["control"] > 0.00175 * 115
    assert -0.15 < means["control"] < 0.02  # −0.05 to −0.1 ppm


def test_breath_hold_lowers_the_saturation_of_all_blood():
    """0.42·3.43·ΔY: 0.19 ppm in the aorta, 0.22 ppm in the vena cava."""
    found = {}
    affine = np.diag([2.0, 2, 2, 1])
    affine[:3, 3] = -20, 14, 10
    for case in ("control", "hold-3min"):
        phantom = load("breath-hold", {"supersampling": 1, "texture": None, "case": case})
        properties = phantom.render(Grid.from_affine((30, 12, 3), affine), 3.0)
        index = {n: i for i, n, _ in properties.regions}
        found[case] = {n: np.median(properties.chi[properties.labels == index[n]]) for n in ("aorta", "vena_cava")}
    change = {n: found["hold-3min"][n] - found["control"][n] for n in ("aorta", "vena_cava")}
    assert change["aorta"] == pytest.approx(0.42 * 3.43 * 0.13, rel=0.02)
    assert change["vena_cava"] == pytest.approx(0.42 * 3.43 * 0.15, rel=0.02)


def test_subjects_differ_within_limits_and_what_is_given_holds():
    people = [load("abdomen", {**BARE, "subject": n}).description for n in range(30)]
    bmi = np.array([p.parameters["bmi"] for p in people])
    assert bmi[0] == 24 and bmi.min() >= 16 and bmi.max() <= 55 and np.median(bmi) == pytest.approx(26.5, abs=3)
    assert 6 < sum(p.parameters["female"] for p in people[1:]) < 24
    assert len({p.parameters["liver_size"] for p in people}) > 24  # a few are at the limits
    assert load("abdomen", {**BARE, "subject": 7}).description == people[7]  # the same again
    assert load("abdomen", {**BARE, "subject": 7, "bmi": 50}).description.parameters["girth"] == 26
    case = load("liver-iron", {**BARE, "subject": 7, "case": "lic-10"}).description.parameters
    assert case["lic"] == 10 and case["bmi"] == people[7].parameters["bmi"]


def test_a_subject_is_a_whole_body():
    labels, index, grid, phantom = body(voxel=5.0, subject=3)
    assert not phantom.person.is_template
    for name in ("liver", "spleen", "kidney_cortex", "pancreas", "colon_wall", "vertebral_marrow"):
        assert (labels == index[name]).sum() * grid.voxel_volume > 20_000
    assert (labels[0] == 0).all() and (labels[-1] == 0).all()  # it fits
    assert (labels[:, 0] == 0).all() and (labels[:, -1] == 0).all()


def test_basis_says_who_sets_a_dose_and_that_it_is_assumed():
    own = [r for r in load("abdomen", BARE).provenance(3.0) if r.region == "vertebral_marrow" and "density" in r.name]
    assert own and all(r.assumed and r.by == "phantom" for r in own)
    case = [r for r in load("liver-iron", {**BARE, "case": "lic-10"}).provenance(3.0) if r.region == "liver"]
    doses = {r.value for r in case if r.name == "iron lic"}
    assert doses == {"10"} and all(r.by == "scenario" for r in case if r.name == "iron lic")
