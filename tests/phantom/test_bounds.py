"""Bounds of a distance enclose the distances themselves, whatever the shape; `inside` knows what every point says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter
from scipy.ndimage import gaussian_filter

from qsmbench.phantom.description import geometry as g
from qsmbench.phantom.painting.bounds import bounds, inside
from qsmbench.phantom.painting.distance import distances
from qsmbench.phantom.painting.maps import Map
from qsmbench.phantom.painting.shapes import Compiler

ELLIPSOID = {"shape": "ellipsoid", "center": [3, 1, -2], "radii": [9, 6, 4], "rotate": [20, 30, 40]}
BOXY = {**ELLIPSOID, "exponent": 3.5, "mirror": True}
BALL = {"shape": "ellipsoid", "center": [0, 0, 0], "radii": [8, 8, 8]}
BOX = {"shape": "box", "half": [5, 3, 7], "rotate": [0, 10, 30], "rounding": 1}
TUBE = {"shape": "tube", "points": [[-10, 0, 1, 2], [2, 3, -2, 0.4], [9, -6, 5, 3]], "mirror": True}
PLANE = {"shape": "half_space", "point": [0, 0, 2], "normal": [1, 2, 3]}
MAP = {"shape": "map", "map": "hills", "level": 0.4, "width": 3}
DEPTH = {"shape": "map", "map": "depth", "level": 0.5}
LOFT = {"shape": "loft", "sections": [
    {"z": -9, "half": 5, "back": -4, "front": 3, "n": 2},
    {"z": -1, "half": 9, "back": -3, "front": 8, "x": 1, "n": 2.5},
    {"z": 6, "half": 4, "back": -6, "front": 6, "x": -2, "n": 4},
    {"z": 10, "half": 6, "back": -6, "front": 5, "n": 2.2},
]}  # fmt: skip
BENT = {"shape": "tube", "curved": True, "points": [[-10, 0, 1, 3], [2, 3, -2, 2], [9, -6, 5, 3]],
        "beads": {"depth": 0.5, "length": 4}}  # fmt: skip
MOVED = {"shape": "moved", "scale": 1.3, "flip": True, "rotate": [10, 20, 30], "by": [2, -1, 1]}
SHAPES = [
    ELLIPSOID, BOXY, BALL, BOX, TUBE, PLANE, MAP, DEPTH,
    {"shape": "gyroid", "wavelength": 6},
    {"shape": "offset", "by": -1, "of": MAP},
    {"shape": "ripple", "amplitude": 1, "wavelength": 9, "of": BALL},
    {"shape": "rough", "amplitude": 0.5, "wavelength": 5, "seed": 1, "of": BOXY},
    {"shape": "union", "smooth": 3, "of": [TUBE, BOX, MAP]},
    {"shape": "intersection", "of": [MAP, DEPTH, BALL]},
    {"shape": "difference", "of": [{"shape": "union", "of": [BALL, TUBE]}, MAP, PLANE]},
    LOFT,
    {**LOFT, "mirror": True},
    BENT,
    {"shape": "loops", "within": BALL, "spacing": 4, "radius": 1.5, "uneven": 0.1},
    {"shape": "intersection", "smooth": 3, "of": [LOFT, BALL, TUBE]},
    {"shape": "difference", "smooth": 2, "of": [{"shape": "union", "of": [BALL, TUBE]}, LOFT, PLANE]},
    {**MOVED, "of": {"shape": "union", "smooth": 2, "of": [TUBE, LOFT, BOX]}},
    {**MOVED, "mirror": True, "of": {"shape": "rough", "amplitude": 0.5, "wavelength": 5, "of": BALL}},
    {**MOVED, "of": {"shape": "ripple", "amplitude": 1, "wavelength": 9,
                     "of": {"shape": "intersection", "of": [BALL, PLANE]}}},
    {"shape": "difference", "of": [
        {"shape": "intersection", "of": [{"shape": "union", "smooth": 2, "of": [TUBE, BOX, ELLIPSOID]}, DEPTH]},
        {"shape": "offset", "by": 1, "of": {"shape": "intersection", "of": [PLANE, BOXY]}},
        {"shape": "union", "smooth": 1, "of": [BALL, MAP]},
    ]},
]  # fmt: skip


def program(shape):
    """A shape's code, parameters and maps: one of fractions, one of distances."""
    random = np.random.default_rng(5)
    noise = random.standard_normal((14, 12, 13), np.float32), random.standard_normal((9, 9, 9), np.float32)
    hills, depth = (gaussian_filter(n, 2) for n in noise)
    hills, depth = 0.4 + 2 * hills / hills.std(), 8 * depth / depth.std()
    affine = np.diag([2.0, 2.5, 2, 1])
    affine[:3, 3] = -12, -15, -12
    maps = {"hills": (Map(hills, affine), 1, False), "depth": (Map(depth, affine), 1 + hills.size, True)}
    found = Compiler({}, maps, 0.8, Path("test")).compile(TypeAdapter(g.Shape).validate_python(shape))
    data = np.concatenate([np.zeros(1, np.float32), hills.ravel(), depth.ravel()])
    return np.array(found.code, np.int64), np.array(found.parameters), data


def at(points, code, parameters, data):
    """Signed distances of points, (n, 3), from a shape, computed together."""
    work, found = np.empty((len(code), len(points))), np.empty(len(points))
    distances(np.ascontiguousarray(points.T), len(points), code, parameters, data, work, found)
    return found


def names(shape):
    return shape["shape"] if isinstance(shape, dict) else str(shape)


@pytest.mark.parametrize("shape", SHAPES, ids=names)
def test_bounds_enclose_the_distances_in_a_box_and_a_shorter_program_gives_the_same(shape):
    code, parameters, data = program(shape)
    random, work = np.random.default_rng(1), np.empty((2, len(code) + 1))
    begin, short = np.empty(len(code), np.int64), np.empty_like(code)
    decided = left_out = 0
    for _ in range(300):
        centre, half = random.uniform(-16, 16, 3), random.choice([0.0, 0.5, 1.5, 4]) * random.random(3)
        low, high, length = bounds(*centre, *half, code, parameters, data, work[0], work[1], begin, short)
        points = centre + half * np.concatenate([random.uniform(-1, 1, (40, 3)), random.choice([-1.0, 1], (8, 3))])
        found = at(points, code, parameters, data)
        assert low <= found.min()
        assert found.max() <= high
        assert np.array_equal(at(points, short[:length], parameters, data), found)
        left_out += length < len(code)
        decided += low > 0 or high < 0
    assert left_out > 100 or len(code) < 5
    assert decided > 30 or shape["shape"] == "gyroid"  # bounds that are always open would hold, too


@pytest.mark.parametrize("shape", SHAPES, ids=names)
def test_distances_do_not_depend_on_the_points_beside_them(shape):
    """Of points that leave a program early, too."""
    code, parameters, data = program(shape)
    points = np.random.default_rng(2).uniform(-16, 16, (400, 3))
    alone = np.concatenate([at(point[None], code, parameters, data) for point in points])
    assert np.array_equal(at(points, code, parameters, data), alone)
    assert alone.min() < alone.max()


@pytest.mark.parametrize("shape", SHAPES, ids=names)
def test_inside_is_where_the_distance_is_negative(shape):
    code, parameters, data = program(shape)
    axis = np.arange(-15, 15, 1.3)
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    every = at(points, code, parameters, data) < 0
    assert 0 < every.sum() < len(points)
    assert np.array_equal(inside(points, code, parameters, data), every)
