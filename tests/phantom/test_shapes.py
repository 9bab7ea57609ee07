"""Shapes keep their moment, whatever the voxels; shells, mirrors and rotations are where they should be."""

from __future__ import annotations

import numpy as np
import pytest
from objects import layer, moment, write

from qsmbench.grid import Grid
from qsmbench.phantom.description.tissues import table
from qsmbench.phantom.load import load


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
