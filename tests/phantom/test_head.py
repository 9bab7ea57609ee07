"""The head is a head: volumes, sides, places, tissues."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, label, map_coordinates

from qsmbench.grid import Grid
from qsmbench.phantom.description.files import locate
from qsmbench.phantom.description.tissues import table
from qsmbench.phantom.load import load
from qsmbench.phantom.painting.maps import read_map
from qsmbench.phantom.species import CHANNELS

VOLUMES = {  # ml, both sides; those of structures with norms are in test_norms.py
    "caudate": (6, 8),
    "putamen": (9, 11),
    "thalamus": (9, 13),
    "mediodorsal_nucleus": (0.8, 2),
    "anterior_nucleus": (0.15, 0.5),
    "pulvinar": (2, 4),
    "globus_pallidus_externus": (1.5, 3),
    "globus_pallidus_internus": (0.7, 1.4),
    "red_nucleus": (0.35, 0.6),
    "substantia_nigra": (0.5, 1),
    "subthalamic_nucleus": (0.15, 0.35),
    "dentate": (1, 2),
    "nucleus_accumbens": (0.9, 1.5),
    "lateral_geniculate_nucleus": (0.12, 0.35),
    "amygdala": (2.5, 4),
    "hippocampus": (7, 10),
    "choroid_plexus": (0.6, 2),
    "lateral_ventricle": (10, 20),
    "third_ventricle": (0.7, 1.8),
    "precentral_cortex": (12, 30),
    "cerebellar_cortex": (80, 160),
    "brainstem": (18, 32),
}

CORTEX = ("cortex", "cerebellar_cortex", "precentral_cortex", "primary_visual_cortex", "stria_of_gennari")
CORTEX += ("parahippocampal_cortex",)
WHITE = ("white_matter", "subcortical_white_matter", "cerebellar_white_matter", "corpus_callosum", "optic_radiation")
WHITE += ("internal_capsule", "internal_capsule_anterior", "external_capsule", "cingulum")


def region(properties, name):
    """Where the region called `name` is."""
    index = next(i for i, n, _ in properties.regions if n == name)
    return properties.labels == index


@pytest.mark.parametrize("name", VOLUMES)
def test_volume_is_plausible(rendered, name):
    low, high = VOLUMES[name]
    assert low < region(rendered, name).sum() * rendered.grid.voxel_volume / 1000 < high


def test_the_brain_is_of_the_right_size(rendered):
    def volume(names):
        return sum(region(rendered, n).sum() for n in names) * rendered.grid.voxel_volume / 1000

    brain = [n for _, n, group in rendered.regions if group in ("gm", "wm", "dgm") and n not in ("spinal_cord",)]
    assert 550 < volume(CORTEX) < 680  # with the cerebellum's
    assert 440 < volume(WHITE) < 560
    assert 1100 < volume(brain) < 1330


@pytest.mark.parametrize("name", VOLUMES)
def test_left_and_right_are_alike(rendered, name):
    """But for the asymmetries of the norms: up to 11 % in the ventricles, 7 % in the amygdala."""
    found = region(rendered, name)
    left, right = found[: found.shape[0] // 2].sum(), found[-(found.shape[0] // 2) :].sum()
    assert abs(int(left) - int(right)) <= 0.16 * max(left, right) + 3


@pytest.mark.parametrize("name", ["sphenoid_air", "frontal_sinus_air"])
def test_sinuses_of_the_skull_base_differ_between_the_sides(rendered, name):
    """They are no mirror images of each other, of which Dice is 1; their sizes differ by less than a factor of 3."""
    found = region(rendered, name)
    sides = found[: found.shape[0] // 2].sum(), found[found.shape[0] // 2 :].sum()
    assert 2 * (found & found[::-1]).sum() / (2 * found.sum()) < 0.9
    assert 1 / 3 < sides[0] / sides[1] < 3


@pytest.mark.parametrize(("name", "more"), [("lateral_ventricle", 0.11), ("putamen", 0.018), ("amygdala", -0.07)])
def test_left_and_right_differ_as_in_the_norms(rendered, name, more):
    """2(L − R)/(L + R), Rutherford 2022."""
    found = region(rendered, name)
    left, right = found[: found.shape[0] // 2].sum(), found[-(found.shape[0] // 2) :].sum()
    assert 2 * (int(left) - int(right)) / (left + right) == pytest.approx(more, abs=0.05)


def test_nuclei_are_the_deep_grey_group(rendered):
    nuclei = {name for _, name, group in rendered.regions if group == "dgm"}
    assert nuclei == set(list(VOLUMES)[:14])
    assert all(rendered.mask[region(rendered, n)].all() for n in nuclei)


@pytest.mark.parametrize("name", ["globus_pallidus_externus", "thalamus", "substantia_nigra", "white_matter"])
def test_pure_voxels_have_the_values_of_the_table(name):
    centre = {
        "globus_pallidus_externus": (20, -4, 0),
        "thalamus": (10, -14, 8),
        "substantia_nigra": (11, -15.5, -12),
        "white_matter": (24, 24, 20),
    }[name]
    plain = load("head", {"texture": None, "vessels": None})
    affine = np.diag([0.5, 0.5, 0.5, 1.0])
    affine[:3, 3] = plain.warp.world(np.array([centre]))[0]
    small = plain.render(Grid.from_affine((2, 2, 2), affine), 3.0)
    tissue = table()[name].values(3.0)
    found = np.array([getattr(small, channel)[0, 0, 0] for channel in CHANNELS])
    unpopulated = [CHANNELS.index(name) for name in ("fat_t1", "fat_r2", "fat_r2star")]
    assert not found[unpopulated].any()
    tissue[unpopulated] = 0
    assert found == pytest.approx(tissue, abs=1e-4)


def centre(properties, name):
    """Middle of a region's right half [mm]."""
    found = np.argwhere(region(properties, name))
    world = found @ properties.grid.affine[:3, :3].T + properties.grid.affine[:3, 3]
    return world[world[:, 0] > 0].mean(0)


def test_putamen_caudate_and_pallidum_are_in_order(rendered):
    caudate, putamen = centre(rendered, "caudate"), centre(rendered, "putamen")
    outer, inner = (centre(rendered, f"globus_pallidus_{n}") for n in ("externus", "internus"))
    thalamus = centre(rendered, "thalamus")
    assert inner[0] < outer[0] < putamen[0]
    assert caudate[1] > thalamus[1]
    assert caudate[2] > putamen[2]
    assert centre(rendered, "dentate")[2] < centre(rendered, "red_nucleus")[2] < thalamus[2]


@pytest.mark.parametrize(
    ("first", "second", "axis"),
    [  # the first lies further right, in front, or above
        ("claustrum", "putamen", 0),
        ("substantia_nigra", "red_nucleus", 0),
        ("lateral_geniculate_nucleus", "red_nucleus", 0),
        ("amygdala", "hippocampus", 1),
        ("internal_capsule_anterior", "internal_capsule", 1),
        ("cerebral_peduncle", "substantia_nigra", 1),
        ("substantia_nigra", "red_nucleus", 1),
        ("thalamus", "pulvinar", 1),
        ("precentral_cortex", "primary_visual_cortex", 1),
        ("subthalamic_nucleus", "substantia_nigra", 2),
        ("hippocampus", "parahippocampal_cortex", 2),
        ("lateral_ventricle", "third_ventricle", 2),
        ("third_ventricle", "fourth_ventricle", 2),
        ("primary_visual_cortex", "cerebellar_cortex", 2),
    ],
)
def test_neighbours_are_in_order(rendered, first, second, axis):
    assert centre(rendered, first)[axis] > centre(rendered, second)[axis]


def test_choroid_plexus_lies_in_the_ventricles(rendered):
    plexus = region(rendered, "choroid_plexus")
    around = binary_dilation(plexus) & ~plexus
    ventricles = region(rendered, "lateral_ventricle") | region(rendered, "fourth_ventricle")
    assert (around & ventricles).sum() > 0.4 * around.sum()
    lumps, count = label(plexus)
    assert count > 0
    for lump in range(1, count + 1):
        assert (binary_dilation(lumps == lump) & (ventricles | region(rendered, "csf"))).any()


def test_the_stria_lies_within_the_visual_cortex(rendered):
    stria = region(rendered, "stria_of_gennari")
    around = binary_dilation(stria) & ~stria
    tissues = region(rendered, "primary_visual_cortex") | region(rendered, "white_matter")
    tissues |= region(rendered, "subcortical_white_matter")
    assert (around & tissues).sum() > 0.7 * around.sum()


def test_the_skull_is_closed(rendered):
    """From the cisterns only the spinal canal leads out: air never touches CSF or brain."""
    air = np.isin(rendered.labels, [0] + [i for i, n, group in rendered.regions if group == "air"])
    inside = np.isin(rendered.labels, [i for i, _, group in rendered.regions if group in ("csf", "gm", "wm", "dgm")])
    optic = binary_dilation(region(rendered, "optic_tract"), iterations=2)
    assert not (binary_dilation(air) & inside & ~optic)[:, :, 1:].any()


def test_the_brain_is_in_one_piece(rendered):
    brain = np.isin(rendered.labels, [i for i, _, group in rendered.regions if group in ("gm", "wm", "dgm")])
    lumps, _ = label(brain, np.ones((3, 3, 3)))
    assert np.bincount(lumps.ravel())[1:].max() > 0.998 * brain.sum()


@pytest.mark.parametrize(("name", "least"), [("caudate", 0.6), ("putamen", 0.55), ("thalamus", 0.4)])
def test_nuclei_lie_on_the_grey_matter_of_the_template(head, rendered, name, least):
    source = head.description.maps["gm"]
    grey = read_map(locate(source.file, head.path.parent), source)
    found = np.argwhere(region(rendered, name))
    world = found @ rendered.grid.affine[:3, :3].T + rendered.grid.affine[:3, 3]
    index = np.linalg.inv(grey.affine) @ np.c_[head.warp.template(world), np.ones(len(world))].T
    share = map_coordinates(grey.values, index[:3], order=1)
    assert share.mean() > least


def test_head_lies_in_air_and_the_neck_leaves_through_the_bottom(rendered):
    assert rendered.ambient_chi == pytest.approx(9.4)
    for face in (rendered.pd[0], rendered.pd[-1], rendered.pd[:, 0], rendered.pd[:, -1], rendered.pd[:, :, -1]):
        assert not face.any()
    assert rendered.pd[:, :, 0].any()
    assert 1400 < rendered.mask.sum() * rendered.grid.voxel_volume / 1000 < 1550


def test_no_gap_between_brain_and_skull(rendered):
    around = binary_dilation(rendered.mask, iterations=3) & ~rendered.mask
    index = {n: i for i, n, _ in rendered.regions}
    legal = [index[n] for n in ("csf", "cortical_bone", "diploe", "sinus", "vein_cortical", "artery", "fat")]
    legal += [index[n] for n in ("brainstem", "spinal_cord", "optic_tract", "cortex", "muscle", "mastoid_air")]
    legal += [index[n] for n in ("dura", "cerebellar_cortex", "pituitary", "tentorium", "falx")]
    assert np.isin(rendered.labels[around], legal).mean() > 0.97
    assert (rendered.labels[around] == 0).mean() == 0


def test_fine_rendering_averages_to_the_coarse_one(head):
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = -40, -50, -20
    coarse = Grid.from_affine((40, 40, 20), affine)
    fine = head.render(coarse.refine((2, 2, 2)), 3.0).chi
    mean = fine.reshape(40, 2, 40, 2, 20, 2).mean((1, 3, 5))
    difference = mean - head.render(coarse, 3.0).chi
    assert np.sqrt((difference**2).mean()) < 0.15 * mean.std()
    assert abs(difference.mean()) < 0.001


def test_same_anatomy_through_a_rotated_affine(head):
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = -40, -50, -20
    straight = head.render(Grid.from_affine((40, 40, 20), affine), 3.0)
    turned = np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1.0]])
    swapped = head.render(Grid.from_affine((40, 20, 40), affine @ turned), 3.0)
    assert np.allclose(swapped.chi, straight.chi.transpose(1, 2, 0), atol=1e-4)
    assert swapped.grid.b0_dir == pytest.approx((0, 1, 0))


def test_field_strength_changes_relaxation_only(head):
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = -40, -50, -20
    grid = Grid.from_affine((20, 20, 10), affine)
    low, high = head.render(grid, 1.5), head.render(grid, 7.0)
    assert np.array_equal(low.chi, high.chi)
    assert (high.r2star > low.r2star)[low.labels > 0].mean() > 0.9
    assert (high.t1 >= low.t1)[low.labels > 0].all()


def test_a_tissue_can_be_changed(head):
    changed = load("head", {"tissues.globus_pallidus_externus.chi": 0.3, "texture": None, "vessels": None})
    affine = np.diag([0.5, 0.5, 0.5, 1.0])
    affine[:3, 3] = changed.warp.world(np.array([(20, -4, 0)]))[0]
    assert changed.render(Grid.from_affine((1, 1, 1), affine), 3.0).chi[0, 0, 0] == pytest.approx(0.3)
