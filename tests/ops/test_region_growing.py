"""Region growing: exact where the phase is, by the best path where it is not, each part by itself."""

import numpy as np
import pytest
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

from qsmbench.ops.phase.region_growing import edge_quality, grow

SHAPE = (13, 12, 11)


def wrap(phase):
    return np.angle(np.exp(1j * phase)).astype(np.float32)


@pytest.fixture
def noisy():
    """A steep ramp with noise, so that the path matters, and a magnitude that shows where."""
    rng = np.random.default_rng(0)
    x, y, z = np.indices(SHAPE)
    magnitude = rng.uniform(0.1, 1, SHAPE).astype(np.float32)
    phase = 1.5 * x - 1.1 * y + 0.02 * z**2 + 0.25 * rng.standard_normal(SHAPE) / magnitude
    mask = (x - 6) ** 2 + (y - 6) ** 2 + (z - 5) ** 2 < 34
    return wrap(phase), mask, magnitude


def test_a_steep_clean_phase_is_unwrapped_exactly():
    x, y, z = np.indices(SHAPE)
    phase = (2.9 * x - 2.7 * y + 0.11 * z**2).astype(np.float32)
    mask = np.ones(SHAPE, bool)
    magnitude = np.ones(SHAPE, np.float32)
    turns = grow(wrap(phase), mask, edge_quality(wrap(phase), mask, magnitude))
    off = (wrap(phase) + 2 * np.pi * turns - phase) / (2 * np.pi)
    np.testing.assert_allclose(off, off[0, 0, 0], atol=1e-4)


def test_edges_have_the_quality_of_the_formula(noisy):
    phase, mask, magnitude = noisy
    second = wrap(2 * phase + 0.3)
    quality = edge_quality(phase, mask, magnitude, second, 0.5)
    step, other = wrap(phase[4:, 3, 2] - phase[3:-1, 3, 2]), wrap(second[4:, 3, 2] - second[3:-1, 3, 2])
    a, b = magnitude[4:, 3, 2], magnitude[3:-1, 3, 2]
    expected = (1 - np.abs(step) / np.pi) * np.maximum(0, 1 - np.abs(step - 0.5 * other))
    expected *= (np.minimum(a, b) / np.maximum(a, b)) ** 2
    inside = mask[4:, 3, 2] & mask[3:-1, 3, 2]
    np.testing.assert_allclose(quality[0, 3:-1, 3, 2][inside], 1 + 254 * expected[inside], atol=1.01)
    assert not quality[0, 3:-1, 3, 2][~inside].any()
    assert not quality[0, -1].any() and not quality[1, :, -1].any() and not quality[2, :, :, -1].any()


def test_it_follows_the_maximum_spanning_tree(noisy):
    """scipy's spanning tree, its edges crossed one by one; qualities are made distinct so that there is one tree."""
    phase, mask, _ = noisy
    shape = (6, 6, 6)
    phase, mask = np.ascontiguousarray(phase[3:9, 3:9, 2:8]), np.ones(shape, bool)
    rng = np.random.default_rng(1)
    quality = np.zeros((3, *shape), np.uint8)
    index = np.arange(mask.size).reshape(shape)
    keep = rng.permutation(mask.size)[:20]  # few edges beyond a random tree: 255 buckets suffice for distinct ones
    ends = []
    for axis in range(3):
        a, b = np.moveaxis(index, axis, 0)[:-1].ravel(), np.moveaxis(index, axis, 0)[1:].ravel()
        ends += [(int(p), int(q), axis) for p, q in zip(a, b, strict=True)]
    weights = rng.permutation(len(ends)) + 1
    rows, columns = np.array([e[0] for e in ends]), np.array([e[1] for e in ends])
    tree = minimum_spanning_tree(coo_matrix((weights, (rows, columns)), shape=(mask.size,) * 2)).tocoo()
    edges = {(int(p), int(q)) for p, q in zip(tree.row, tree.col, strict=True)}
    extra = [e for e in ends if e[:2] not in edges and e[0] in keep][:30]
    for p, _, axis in [e for e in ends if e[:2] in edges]:
        quality[axis].ravel()[p] = 200
    for rank, (p, _, axis) in enumerate(extra):
        quality[axis].ravel()[p] = 1 + rank  # all worse than the tree's: never crossed
    turns = grow(phase, mask, quality)
    order, before = breadth_first_order(tree.tocsr(), 0, directed=False)
    expected = np.zeros(mask.size, int)
    flat = phase.ravel()
    for v in order[1:]:
        expected[v] = expected[before[v]] + np.round((flat[before[v]] - flat[v]) / (2 * np.pi))
    difference = turns.ravel() - expected
    assert np.ptp(difference) == 0
    assert np.ptp(expected) > 1


def test_each_part_is_centred_by_itself(noisy):
    phase, mask, magnitude = noisy
    mask = mask.copy()
    mask[6] = False
    mask[0, 0, 0] = True  # alone, without any edge
    turns = grow(phase, mask, edge_quality(phase, mask, magnitude))
    assert not turns[~mask].any()
    assert turns[0, 0, 0] == 0
    for half in (slice(0, 6), slice(7, None)):
        part = turns[half][mask[half]]
        assert np.sort(part)[(part.size - 1) // 2] == 0
