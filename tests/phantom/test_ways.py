"""Neighbours and cheapest ways are those that slower, well-known functions find."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree

from qsmbench.phantom.veins.ways import JITTER, costs, nearest, pairs, spread, steps

SPACING, LOW = 1.4, np.array([-9.0, -8, -7])


@pytest.fixture(scope="module")
def lattice():
    """Nodes in two thirds of the cells of a lattice: their numbers, cells and places."""
    random = np.random.default_rng(3)
    number = np.full((13, 11, 10), -1, np.int32)
    cells = np.argwhere(random.random(number.shape) < 0.67).astype(np.int32)
    number[tuple(cells.T)] = np.arange(len(cells))
    return number, cells, LOW + (cells + random.uniform(-JITTER, JITTER, cells.shape)) * SPACING


@pytest.mark.parametrize("farthest", [0.8, 1.75, 2.3])
def test_pairs_are_those_of_a_tree(lattice, farthest):
    number, cells, xyz = lattice
    first, second = pairs(number, cells, xyz, SPACING, farthest)
    expected = cKDTree(xyz).query_pairs(farthest * SPACING)
    assert set(zip(first.tolist(), second.tolist(), strict=True)) == {
        (i, j) for i, j in expected if (xyz[i, 0] > 0) == (xyz[j, 0] > 0)
    }
    assert len(first) > 100


def test_nearest_are_those_of_a_tree(lattice):
    number, _, xyz = lattice
    random = np.random.default_rng(4)
    points, reach = random.uniform(-14, 14, (200, 3)), random.uniform(0.5, 7, 200)
    found = nearest(number, LOW, SPACING, xyz, points, reach, 6)
    gap, near = cKDTree(xyz).query(points, k=6)
    assert np.array_equal(found, np.where(gap < reach[:, None], near, -1))
    assert (found >= 0).any(1).sum() > 50


@pytest.mark.parametrize("wander", [0, 0.5])
def test_ways_are_the_cheapest(lattice, wander):
    number, cells, xyz = lattice
    random, lean = np.random.default_rng(5), np.array([0, 0.3, 0.1])
    first, second = pairs(number, cells, xyz, SPACING, 1.75)
    more = wander * random.random(2 * len(first))
    start, stop = np.r_[first, second], np.r_[second, first]
    step = xyz[start] - xyz[stop]
    length = np.linalg.norm(step, axis=1)
    cost = length * (1 + more) - step @ lean
    assert costs(xyz, start.astype(np.int64), xyz, stop, more, lean) == pytest.approx(cost)
    known = np.array([7, 90, 311])
    way, before = np.full(len(xyz), np.inf), np.full(len(xyz), -9, np.int32)
    way[known], before[known] = [0, 1, 0.5], -1
    begins, stops, paid = steps(xyz, first, second, more if wander else more[:0], lean)
    spread(way, before, begins, stops, paid, 14.0, 0)
    graph = csr_matrix((cost, (start, stop)), shape=(len(xyz),) * 2)
    expected = np.min(dijkstra(graph, indices=known) + np.array([[0], [1], [0.5]]), axis=0)
    near = expected < 14
    assert 50 < near.sum() < len(xyz)
    assert way[near] == pytest.approx(expected[near])
    assert np.isinf(way[~near]).all()
    reached = np.flatnonzero(near & (before >= 0))
    by_parent = way[before[reached]] + np.asarray(graph[before[reached], reached]).ravel()
    assert by_parent == pytest.approx(way[reached])
