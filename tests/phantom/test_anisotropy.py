"""χ and R2* of white matter follow the angle between its fibres and B0, if asked to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from objects import box

from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid
from qsmbench.phantom.load import load
from qsmbench.phantom.painting.fibres import Course

SMALL = {"voxel_size": 3, "supersampling": 1, "texture": None, "vessels": None}
AXES = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}


@pytest.fixture(scope="module")
def fibrous():
    return load("head", {**SMALL, "anisotropy": True})


@pytest.fixture(scope="module")
def plain():
    return load("head", SMALL)


def point(place, b0_dir=(0.0, 0.0, 1.0), rotation=None, size=0.5):
    """A grid of one voxel at `place` [mm]."""
    affine = np.eye(4)
    affine[:3, :3] = size * (np.eye(3) if rotation is None else rotation)
    affine[:3, 3] = place
    return Grid.from_affine((1, 1, 1), affine, b0_dir)


def own(phantom, place):
    """The place in the subject of a `place` in the template [mm]."""
    return tuple(phantom.warp.world(np.array([place], float))[0])


def region_at(phantom, place):
    label = int(phantom.render(point(place), 3.0).labels[0, 0, 0])
    return label, next(n for i, n, _ in phantom.anatomy if i == label)


def direction(phantom, place):
    label, _ = region_at(phantom, place)
    return phantom.fibres[label].directions(np.array([place]))[0]


def random_units(n):
    units = np.random.default_rng(0).standard_normal((n, 3))
    return units / np.linalg.norm(units, axis=1, keepdims=True)


def write(tmp_path: Path, **layer):
    """A rod of callosal tissue along x in air."""
    content = {
        "kind": "shapes",
        "field_of_view": {"lower": [-20, -20, -20], "upper": [20, 20, 20]},
        "voxel_size": 4,
        "anisotropy": True,
        "mask": {"shape": "box", "half": [5, 5, 5]},
        "layers": [{"shape": {"shape": "box", "half": [15, 6, 6]}, "tissue": "corpus_callosum", **layer}],
    }
    path = tmp_path / "rod.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_it_is_off_unless_asked_for(plain):
    assert plain.description.anisotropy is False and plain.fibres == {}
    one, other = (plain.render(point((0, 10, 22), AXES[a]), 3.0) for a in "xz")
    assert one.chi == other.chi and one.r2star == other.r2star


def test_only_what_has_fibres_changes(fibrous, plain):
    """All else, and all other properties, stay the same to the bit."""
    grid = box((20, -20, 15), 100, 3)
    before, after = plain.render(grid, 3.0), fibrous.render(grid, 3.0)
    assert len(np.unique(before.labels)) > 20
    for name in ("pd", "t1", "r2", "fat_fraction", "labels", "mask"):
        assert np.array_equal(getattr(before, name), getattr(after, name))
    others = ~np.isin(before.labels, list(fibrous.fibres))
    for name in ("chi_para", "chi_dia", "r2star"):
        assert np.array_equal(getattr(before, name)[others], getattr(after, name)[others])
    assert not np.array_equal(before.chi, after.chi)
    assert after.chi_dia.min() >= 0 and np.all(after.r2star >= np.minimum(before.r2star, after.r2) - 1e-4)


def test_callosum_differs_between_directions_of_b0_by_its_anisotropy(fibrous, plain):
    """At its middle the fibres run along x: cos² is 1 with B0 along x, and 0 along z and y; off, it is χ0."""
    place = own(fibrous, (0, 10, 22))
    along, across, side = (fibrous.render(point(place, AXES[a]), 3.0) for a in "xzy")
    base = plain.render(point(place), 3.0)
    assert along.chi - across.chi == pytest.approx(0.023, abs=1e-4)
    assert across.chi == pytest.approx(base.chi, abs=1e-4) and side.chi == pytest.approx(base.chi, abs=1e-4)
    assert across.chi_dia - along.chi_dia == pytest.approx(0.023, abs=1e-4)  # what is less diamagnetic has less χ−
    assert across.r2star - along.r2star == pytest.approx(2.9, abs=0.02)
    assert across.r2star - base.r2star == pytest.approx(2.9 / 3, abs=0.02)


def test_head_turned_in_the_scanner_is_the_same_as_b0_turned(fibrous):
    """Voxels turned by 90° about y have their own z along the head's x."""
    turned = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    place = own(fibrous, (0, 10, 22))
    grid = point(place, AXES["z"], turned)
    same = fibrous.render(point(place, AXES["x"]), 3.0)
    assert fibrous.render(grid, 3.0).chi == pytest.approx(same.chi, abs=1e-6)


def test_mean_over_all_directions(fibrous, plain):
    """cos² has the mean 1/3, over the sphere as over three axes: R2* keeps its mean, χ rises by δχ/3."""
    place = own(fibrous, (21, -9, 10))
    rendered = [fibrous.render(point(place, b), 3.0) for b in AXES.values()]
    base = plain.render(point(place), 3.0)
    assert np.mean([r.r2star for r in rendered]) == pytest.approx(base.r2star[0, 0, 0], rel=1e-5)
    assert np.mean([r.chi for r in rendered]) == pytest.approx(base.chi[0, 0, 0] - 0.015 / 3, abs=1e-6)
    course = fibrous.fibres[region_at(fibrous, place)[0]]
    assert np.mean([course.along(b)[5, 5, 5] for b in random_units(3000)]) == pytest.approx(1 / 3, abs=0.01)


def test_r2star_is_proportional_to_the_field(fibrous):
    def spread(b0):
        across, along = (fibrous.render(point(own(fibrous, (0, 10, 22)), AXES[a]), b0).r2star[0, 0, 0] for a in "zx")
        return across - along

    assert spread(7.0) == pytest.approx(spread(3.0) * 7 / 3, rel=1e-3)
    assert spread(7.0) == pytest.approx(6.44, rel=0.1)  # Lee 2011, 7 T, corpus callosum


def test_all_directions_are_units(fibrous):
    for course in fibrous.fibres.values():
        trace = course.tensor[..., :3].sum(-1)
        assert np.all(np.isclose(trace, 1, atol=1e-5) | (trace == 0))
        assert np.all(course.tensor[..., :3] >= 0)


@pytest.mark.parametrize(
    ("place", "name", "expected", "least"),
    [
        ((24, -10, 30), "white_matter", (0, 0, 1), 0.9),  # corona radiata
        ((0, 10, 22), "corpus_callosum", (1, 0, 0), 0.99),
        ((9, -8, 36), "cingulum", (0, 1, 0), 0.98),
        ((21, -9, 10), "internal_capsule", (0, 0, 1), 0.9),
        ((18, 10, 6), "internal_capsule_anterior", (0, 1, 0.4), 0.9),
        ((0, -24, -30), "brainstem", (0, 0.2, 1), 0.97),
        ((0, -15, -34), "pontine_fibres", (1, 0, 0), 0.98),
        ((0, -40.5, -120), "spinal_cord", (0, 0, 1), 0.98),
        ((34, -56, 5), "optic_radiation", (-2, -16, 2), 0.98),  # a segment of its polyline
    ],
)
def test_tracts_run_as_in_anatomy(fibrous, place, name, expected, least):
    place = own(fibrous, place)
    assert region_at(fibrous, place)[1] == name
    unit = np.array(expected) / np.linalg.norm(expected)
    assert abs(direction(fibrous, place) @ unit) > least


def test_capsule_converges_to_the_peduncle(fibrous):
    """Its front leans forwards on the way up, its back backwards."""
    label = next(i for i, n, _ in fibrous.anatomy if n == "internal_capsule")
    front, back = fibrous.fibres[label].directions(fibrous.warp.world(np.array([[16, -1, 8], [26, -19, 8.0]])))
    assert front[1] * front[2] > back[1] * back[2]


def test_sides_are_mirrored(fibrous):
    """A mirrored tensor has the other sign where x meets y and z; but for the asymmetry of the subject's volumes."""
    points = np.random.default_rng(1).uniform([3, -90, -40], [60, 60, 60], (300, 3))
    for course in fibrous.fibres.values():
        sides = (fibrous.warp.world(points * (sign, 1, 1)) for sign in (1, -1))
        right, left = (course.directions(side) for side in sides)
        agree = np.abs((right * (left * (-1, 1, 1))).sum(1))
        assert np.median(agree) > 0.999 and np.mean(agree > 0.95) > 0.85


def test_directions_of_a_subject_follow_the_deformation(fibrous):
    """A short piece of the optic radiation's axis, moved with the anatomy, points as the fibres there do."""
    person = load("head", {**SMALL, "subject": 4, "anisotropy": True})
    label = next(i for i, n, _ in person.anatomy if n == "optic_radiation")
    ends = np.array([[34.5, -52.0, 4.25], [33.5, -60.0, 4.75]])
    moved = person.warp.world(ends)
    way = (moved[1] - moved[0]) / np.linalg.norm(moved[1] - moved[0])
    found = person.fibres[label].directions(moved.mean(0)[None])[0]
    still = (ends[1] - ends[0]) / np.linalg.norm(ends[1] - ends[0])
    assert abs(found @ way) > 0.998 and abs(found @ way) > abs(found @ still)


def test_a_lesion_has_no_fibres(tmp_path):
    lesion = [{"source": "haemorrhage", "stage": "acute", "at": [0, 0, 0], "radii": 3}]
    phantom = load(str(write(tmp_path, fibres=[1, 0, 0])), {"sources": lesion})
    along, across = (phantom.render(point((0, 0, 0), AXES[a]), 3.0).chi for a in "xz")
    assert along == across


def test_user_has_the_last_word(tmp_path):
    phantom = load(str(write(tmp_path, fibres=[1, 0, 0])), {"tissues.corpus_callosum.delta_chi": -0.08})
    along, across = (phantom.render(point((0, 0, 0), AXES[a]), 3.0).chi for a in "xz")
    assert along - across == pytest.approx(-0.08, abs=1e-6)


def test_what_exceeds_the_diamagnetic_part_is_paramagnetic(tmp_path):
    path = write(tmp_path, fibres=[1, 0, 0])
    phantom = load(str(path), {"b0_dir": [1, 0, 0], "tissues.corpus_callosum.delta_chi": 0.1})
    found = phantom.render(point((0, 0, 0), AXES["x"]), 3.0)
    assert found.chi_dia == 0 and found.chi == pytest.approx(0.006 - 0.053 + 0.1, abs=1e-6)


def test_constant_direction_is_mirrored(tmp_path):
    phantom = load(str(write(tmp_path, fibres=[1, 1, 0])))
    (course,) = phantom.fibres.values()
    right, left = course.directions(np.array([[8.0, 0, 0], [-8.0, 0, 0]]))
    assert right[0] * right[1] == pytest.approx(0.5, abs=1e-6)
    assert left[0] * left[1] == pytest.approx(-0.5, abs=1e-6)


def test_fibres_flow_from_one_region_to_another(tmp_path):
    """Between two plates the potential is linear, and the fibres run straight from one to the other."""
    content = yaml.safe_load(write(tmp_path, fibres={"from": ["cortex"], "to": ["putamen"]}).read_text())
    for x, tissue in ((-12, "cortex"), (12, "putamen")):
        content["layers"].append({"shape": {"shape": "box", "center": [x, 0, 0], "half": [4, 6, 6]}, "tissue": tissue})
    path = tmp_path / "plates.yaml"
    path.write_text(yaml.safe_dump(content))
    (course,) = load(str(path)).fibres.values()
    assert isinstance(course, Course)
    points = np.random.default_rng(0).uniform([-7, -5, -5], [7, 5, 5], (50, 3))
    assert np.abs(course.directions(points)[:, 0]).min() > 0.999


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ({}, "anisotropy is true, but no layer has the key fibres"),
        ({"fibres": "along"}, "corpus_callosum: fibres run along a shape of 'box'"),
        ({"fibres": "across"}, "choose from along, a direction"),
        ({"fibres": [0, 0, 0]}, "must not be 0, 0, 0"),
        ({"fibres": {"from": ["corpus_callosum"]}}, "from and to must be given together"),
        ({"fibres": {"from": ["nowhere"], "to": ["corpus_callosum"]}}, "region 'nowhere' is unknown"),
        ({"fibres": {"along": [[[0, 0, 0], [1, 0, 0]]], "direction": [1, 0, 0]}}, "give one of along, direction"),
    ],
)
def test_illegal_fibres(tmp_path, layer, message):
    with pytest.raises(QsmbenchError, match=message) as error:
        phantom = load(str(write(tmp_path, **layer)))
        phantom.render(phantom.grid(), 3.0)
    assert "\n" not in str(error.value)
