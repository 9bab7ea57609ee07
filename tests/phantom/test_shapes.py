"""Shapes keep their moment, whatever the voxels; shells, mirrors and rotations are where they should be."""

from __future__ import annotations

from math import gamma
from pathlib import Path

import numpy as np
import pytest
from objects import layer, moment, write
from pydantic import TypeAdapter

from qsmbench.grid import Grid
from qsmbench.phantom.description import geometry as g
from qsmbench.phantom.description.tissues import table
from qsmbench.phantom.load import load
from qsmbench.phantom.painting.distance import distances
from qsmbench.phantom.painting.loops import wind
from qsmbench.phantom.painting.shapes import Compiler


@pytest.mark.parametrize("voxel_size", [1.5, [1, 1, 3]])
@pytest.mark.parametrize(("radius", "tolerance"), [(0.5, 0.03), (1, 0.02), (3, 0.01), (16, 0.01)])
def test_sphere_keeps_its_moment(radius, tolerance, voxel_size):
    sphere = load("sphere", {"radius": radius, "delta_chi": 0.7, "voxel_size": voxel_size})
    assert moment(sphere) == pytest.approx(0.7 * 4 / 3 * np.pi * radius**3, rel=tolerance)


@pytest.mark.parametrize("tilt", [0, 33, 90])
@pytest.mark.parametrize(("radius", "tolerance"), [(0.3, 0.02), (0.8, 0.01), (8, 0.005)])
def test_cylinder_keeps_its_moment(radius, tolerance, tilt):
    cylinder = load("cylinder", {"radius": radius, "tilt": tilt})
    length = 96 / max(abs(np.cos(np.radians(tilt))), abs(np.sin(np.radians(tilt))))
    assert moment(cylinder) == pytest.approx(np.pi * radius**2 * length, rel=tolerance)


def test_tube_off_the_voxel_centres_keeps_its_moment(tmp_path):
    points = [[-10.3, 0.4, 1.7, 0.4], [2.2, 3.1, -2.2, 0.4], [9.4, -6.3, 5.9, 0.4]]
    tube = write(tmp_path, [layer({"shape": "tube", "points": points})])
    ends = np.array(points)[:, :3]
    length = np.linalg.norm(np.diff(ends, axis=0), axis=1).sum() + 4 / 3 * 0.4  # two half balls
    assert moment(tube) == pytest.approx(np.pi * 0.4**2 * length, rel=0.02)


@pytest.mark.parametrize(
    ("shape", "volume"),
    [
        ({"shape": "ellipsoid", "radii": [9, 6, 4], "rotate": [20, 30, 40]}, 4 / 3 * np.pi * 9 * 6 * 4),
        ({"shape": "box", "half": [5, 3, 7], "rotate": [0, 0, 30]}, 8 * 5 * 3 * 7),
        ({"shape": "ellipsoid", "radii": [3, 3, 3], "center": [6, 0, 0], "mirror": True}, 8 / 3 * np.pi * 27),
    ],
)
def test_volume(tmp_path, shape, volume):
    assert moment(write(tmp_path, [layer(shape)])) == pytest.approx(volume, rel=0.02)


def test_offset_and_combinations(tmp_path):
    ball = {"shape": "ellipsoid", "radii": [6, 6, 6]}
    grown = {"shape": "offset", "of": ball, "by": 2}
    hollow = {"shape": "difference", "of": [grown, ball]}
    half = {"shape": "half_space", "point": [0, 0, 0], "normal": [0, 0, 1]}
    ball_volume, grown_volume = 4 / 3 * np.pi * 6**3, 4 / 3 * np.pi * 8**3
    assert moment(write(tmp_path, [layer(hollow)])) == pytest.approx(grown_volume - ball_volume, rel=0.01)
    both = {"shape": "intersection", "of": [ball, half]}
    assert moment(write(tmp_path, [layer(both)])) == pytest.approx(ball_volume / 2, rel=0.01)
    union = {"shape": "union", "of": [ball, grown]}
    assert moment(write(tmp_path, [layer(union)])) == pytest.approx(grown_volume, rel=0.01)


def test_shells_lie_at_their_depths(tmp_path):
    shells = [{"depth": 2, "tissue": "fat"}, {"depth": 5, "tissue": "muscle"}]
    phantom = write(tmp_path, [layer({"shape": "ellipsoid", "radii": [12, 12, 12]}, shells=shells)])
    grid = phantom.grid()
    labels = phantom.render(grid, 3.0).labels
    radius = np.sqrt(sum(a**2 for a in grid.axes()))
    for name, inner, outer in (("object", 10, 12), ("fat", 7, 10), ("muscle", 0, 7)):
        index = next(i for i, n, _ in phantom.regions if n == name)
        pure = (radius > inner + 1) & (radius < outer - 1)
        assert (labels[pure] == index).all()


def test_voxel_is_the_mean_of_what_is_in_it(tmp_path):
    fat = {"shape": {"shape": "half_space", "point": [0.25, 0, 0], "normal": [1, 0, 0]}, "tissue": "fat"}
    grid = Grid((3, 3, 3), (1, 1, 1))
    result = write(tmp_path, [fat]).render(grid, 3.0)
    assert result.chi[1, 1, 1] == pytest.approx(0.75 * 0.60)  # water is 0
    assert result.fat_fraction[1, 1, 1] == pytest.approx(0.75 * 0.99)
    own, water = table()["fat"], 0.75 * 0.01  # species are apart: T1 of water is a mean over water alone
    assert result.t1[1, 1, 1] == pytest.approx((water * own.at("t1", 3.0) + 0.25 * 3.0) / (water + 0.25))
    assert result.fat_t1[1, 1, 1] == pytest.approx(own.at("fat_t1", 3.0))


def test_air_leaves_the_signal_of_the_rest_of_the_voxel(tmp_path):
    air = {"shape": {"shape": "half_space", "point": [0.25, 0, 0], "normal": [1, 0, 0]}, "tissue": "air"}
    result = write(tmp_path, [air]).render(Grid((3, 3, 3), (1, 1, 1)), 3.0)
    assert result.pd[1, 1, 1] == pytest.approx(0.25)
    assert result.t1[1, 1, 1] == pytest.approx(3.0)
    assert result.r2star[1, 1, 1] == pytest.approx(5.0)


def test_shares_add_up_to_one(tmp_path):
    shapes = [{"shape": "ellipsoid", "radii": [9, 5, 4], "center": [x, x / 2, 0]} for x in (-6, 0.3, 5.7)]
    shells = [{"depth": 1.3, "tissue": "csf"}]
    layers = [layer(s, region=f"part-{i}", shells=shells) for i, s in enumerate(shapes)]
    phantom = write(tmp_path, layers)
    assert phantom.render(phantom.grid(), 3.0).pd == pytest.approx(1)  # all of them have a density of 1


def test_an_ellipsoid_is_full_at_its_very_centre(tmp_path):
    phantom = write(tmp_path, [layer({"shape": "ellipsoid", "radii": [6, 5, 4]})])
    assert phantom.render(Grid((3, 3, 3), (1, 1, 1)), 3.0).chi == pytest.approx(1)


def test_amount_fills_a_share(tmp_path):
    shape = {"shape": "ellipsoid", "radii": [6, 6, 6]}
    whole, part = (moment(write(tmp_path, [layer(shape, amount=a)])) for a in (1, 0.3))
    assert part == pytest.approx(0.3 * whole, rel=1e-4)


def test_result_does_not_depend_on_threads():
    import numba

    sphere = load("sphere", {"radius": 5})
    first = sphere.render(sphere.grid(), 3.0)
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        second = sphere.render(sphere.grid(), 3.0)
    finally:
        numba.set_num_threads(before)
    assert np.array_equal(first.chi, second.chi)
    assert np.array_equal(first.labels, second.labels)


def superellipse(half, deep, n):
    """Area of |x/half|ⁿ + |y/deep|ⁿ ≤ 1: 4ab Γ(1+1/n)²/Γ(1+2/n)."""
    return 4 * half * deep * gamma(1 + 1 / n) ** 2 / gamma(1 + 2 / n)


@pytest.mark.parametrize("n", [2, 2.45, 4])
def test_loft_of_equal_sections_is_a_cylinder(tmp_path, n):
    sections = [{"z": z, "half": 9, "back": -3, "front": 7, "x": 1, "n": n} for z in (-10, 0, 11)]
    loft = write(tmp_path, [layer({"shape": "loft", "sections": sections})])
    assert moment(loft) == pytest.approx(superellipse(9, 5, n) * 21, rel=0.01)


def test_loft_between_two_sections_is_linear(tmp_path):
    """∫ π a(z) b(z) dz with a from 3 to 9 and b from 6 to 4 over 20 mm."""
    ends = [{"z": -10, "half": 3, "back": -6, "front": 6}, {"z": 10, "half": 9, "back": -4, "front": 4}]
    volume = np.pi * 20 * (3 * 6 + (3 * -2 + 6 * 6) / 2 + 6 * -2 / 3)
    assert moment(write(tmp_path, [layer({"shape": "loft", "sections": ends})])) == pytest.approx(volume, rel=0.01)


def test_smooth_edges_are_a_quarter_of_their_width_away(tmp_path):
    """Where both surfaces meet, the distance is k/4; a smooth difference is a smooth intersection with the outside."""
    x = {"shape": "half_space", "point": [0, 0, 0], "normal": [1, 0, 0]}
    y = {"shape": "half_space", "point": [0, 0, 0], "normal": [0, 1, 0]}
    not_y = {"shape": "half_space", "point": [0, 0, 0], "normal": [0, -1, 0]}

    def at(shape, point):
        # points farther than the width of the ramp may leave early
        found = Compiler({}, {}, 100.0, tmp_path).compile(TypeAdapter(g.Shape).validate_python(shape))
        code, parameters = np.array(found.code, np.int64), np.array(found.parameters)
        work, found = np.empty((len(code), 1)), np.empty(1)
        distances(np.array(point, float)[:, None], 1, code, parameters, np.zeros(1, np.float32), work, found)
        return found[0]

    both = {"shape": "intersection", "smooth": 4, "of": [x, y]}
    without = {"shape": "difference", "smooth": 4, "of": [x, not_y]}
    assert at(both, (0, 0, 0)) == 1
    assert at(both, (3, -3, 0)) == 3  # far from the edge it is the sharp one
    for point in np.random.default_rng(0).uniform(-5, 5, (50, 3)):
        assert at(without, point) == pytest.approx(at(both, point))
        assert at(both, point) >= max(point[0], point[1])


def centroid(phantom):
    """∫χ·r dV / ∫χ dV [mm]."""
    chi = phantom.render(phantom.grid(), 3.0).chi.astype(float)
    return np.array([(chi * a).sum() for a in phantom.grid().axes()]) / chi.sum()


def test_moved_shape_is_flipped_scaled_turned_and_moved(tmp_path):
    cone = {"shape": "tube", "points": [[0, 0, 0, 3], [6, 0, 0, 1]]}
    plain = moment(write(tmp_path, [layer(cone)]))
    place = {"shape": "moved", "of": cone, "scale": 1.5, "flip": True, "rotate": [0, 0, 90], "by": [2, 3, -4]}
    phantom = write(tmp_path, [layer(place)])
    assert moment(phantom) == pytest.approx(1.5**3 * plain, rel=0.01)
    centre, own = centroid(phantom), centroid(write(tmp_path, [layer(cone)]))
    assert centre == pytest.approx([2 - 1.5 * own[1], 3 - 1.5 * own[0], -4 + 1.5 * own[2]], abs=0.05)  # x → −x → −y
    both = write(tmp_path, [layer({**place, "mirror": True, "by": [8, 3, -4]})])
    assert moment(both) == pytest.approx(2 * 1.5**3 * plain, rel=0.01)
    inner = {"shape": "moved", "by": [0, 5, 0], "rotate": [0, 0, 90], "of": {**cone, "mirror": True}}
    union = {"shape": "union", "of": [cone, {"shape": "tube", "points": [[0, 0, 0, 3], [-6, 0, 0, 1]]}]}
    assert moment(write(tmp_path, [layer(inner)])) == pytest.approx(moment(write(tmp_path, [layer(union)])), rel=0.01)


def test_curved_tube_passes_its_points_and_beads_narrow_it(tmp_path):
    points = [[-10, 0, 0, 3], [0, 4, 0, 3], [10, 0, 0, 3]]
    smooth = write(tmp_path, [layer({"shape": "tube", "curved": True, "points": points})])
    labels = smooth.render(smooth.grid(), 3.0).chi > 0.5
    for point in points:
        assert labels[tuple(np.round(np.array(point[:3]) - smooth.grid().affine[:3, 3]).astype(int))]
    beads = {"depth": 1.5, "length": 5}
    narrow = moment(write(tmp_path, [layer({"shape": "tube", "curved": True, "points": points, "beads": beads})]))
    assert 0.5 * moment(smooth) < narrow < 0.85 * moment(smooth)


def test_loops_stay_in_their_shape_and_keep_apart():
    ball = TypeAdapter(g.Shape).validate_python({"shape": "ellipsoid", "radii": [40, 30, 50]})
    found = Compiler({}, {}, 1.0, Path()).compile(ball)
    shape = tuple(found.code), tuple(found.parameters), tuple(map(tuple, found.bounds))
    paths = wind(*shape, (12.0, 5.0, 0.1, 3), np.zeros(1, np.float32))
    nodes = np.concatenate(paths)
    assert (((nodes[:, :3] / [40, 30, 50]) ** 2).sum(1) < 1).all()
    gaps = np.linalg.norm(nodes[:, None, :3] - nodes[None, :, :3], axis=-1) + np.diag(np.full(len(nodes), np.inf))
    assert gaps.min() > 12 * (1 - 2 * 0.2) / 1.01  # neighbours on the lattice, each displaced by at most a fifth
    for path in paths:
        assert np.linalg.norm(np.diff(path[:, :3], axis=0), axis=1).max() < 12 * 1.6
    volume = 4 / 3 * np.pi * 40 * 30 * 50
    assert len(nodes) > 0.7 * volume / 12**3  # few nodes are left over
    assert all(
        np.array_equal(a, b)
        for a, b in zip(paths, wind(*shape, (12.0, 5.0, 0.1, 3), np.zeros(2, np.float32)), strict=True)
    )
