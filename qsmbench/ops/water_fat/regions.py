"""Shifts of whole regions that message passing has left at the wrong field.

A region is a connected set of voxels without large steps between neighbours. Message passing changes a voxel at a time;
where the costs of several fields are alike, such as those of different periods, a region may stay where it is although
another field would cost less.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

_ROUNDS = 30
_LEAST = 1e-3  # gain of a shift, nats


def shift_regions(
    value: np.ndarray,
    neighbour: np.ndarray,
    weight: np.ndarray,
    step: float,
    shifts: np.ndarray,
    own_cost: Callable[[np.ndarray], np.ndarray] | None = None,
) -> np.ndarray:
    """Add the shift that costs least to each region, as long as that lowers the sum of costs.

    Args:
        value: (n_voxels,) of which neighbours should differ little.
        neighbour: (n_voxels, 6) int32, as in `Lattice`.
        weight: (n_voxels, 3) cost of a difference of one to the neighbour at +x, +y, +z.
        step: largest difference between neighbours in a region.
        shifts: (n_shifts,) to choose from, in the unit of the values.
        own_cost: returns the cost of given values in each voxel, very high where they are not allowed; None: all cost
            the same.

    Returns:
        (n_voxels,) shifted values. Where all cost the same, most voxels of each connected part keep theirs.
    """
    start, value = value, value.copy()
    here, axis = np.nonzero(neighbour[:, 3:] >= 0)
    there, cost = neighbour[here, axis + 3], weight[here, axis].astype(float)
    for _ in range(_ROUNDS):
        near = np.abs(value[here] - value[there]) <= step
        links = coo_array((np.ones(near.sum(), bool), (here[near], there[near])), shape=(len(value),) * 2)
        count, region = connected_components(links, directed=False)
        between = region[here] != region[there]
        one, other = region[here[between]], region[there[between]]
        gap, price = value[here[between]] - value[there[between]], cost[between]
        now = own_cost(value) if own_cost else None
        gain = np.zeros((shifts.size, count))
        for i, shift in enumerate(shifts):
            gain[i] -= np.bincount(one, price * (np.abs(gap + shift) - np.abs(gap)), count)
            gain[i] -= np.bincount(other, price * (np.abs(gap - shift) - np.abs(gap)), count)
            if own_cost is not None and now is not None:
                gain[i] -= np.bincount(region, own_cost(value + shift) - now, count)
        best = gain.argmax(axis=0)
        profit = gain[best, np.arange(count)]
        if not (profit > _LEAST).any():
            break
        # neighbours do not move at the same time: of two, the one that gains more
        moves = profit > _LEAST
        rank = np.empty(count, np.int64)
        rank[np.argsort(-profit, kind="stable")] = np.arange(count)
        both = moves[one] & moves[other]
        moves[np.where(rank[one] > rank[other], one, other)[both]] = False
        value += np.where(moves, shifts[best], 0).astype(value.dtype)[region]
    if own_cost is None:
        links = coo_array((np.ones(here.size, bool), (here, there)), shape=(len(value),) * 2)
        count, part = connected_components(links, directed=False)
        for p in np.unique(part[value != start]):
            inside = part == p
            value[inside] -= np.median((value - start)[inside])
    return value
