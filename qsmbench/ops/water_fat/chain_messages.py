"""Minimise a sum of costs per voxel and of absolute differences between neighbours, over one label in each voxel.

Sequential tree-reweighted message passing: each sweep carries messages through the whole volume, so that a few sweeps
suffice. The lattice is split into chains that are monotonic in the order of the voxels.

Reference:
    Kolmogorov 2006, doi:10.1109/TPAMI.2006.200.
"""

from __future__ import annotations

import numpy as np

from qsmbench.compiled import compiled


def minimise_on_grid(
    cost: np.ndarray, neighbour: np.ndarray, weight: np.ndarray, messages: np.ndarray, sweeps: int
) -> np.ndarray:
    """Choose among the same evenly spaced labels in all voxels.

    Args:
        cost: (n_voxels, n_labels) float32.
        neighbour: (n_voxels, 6) int32, as in `Lattice`.
        weight: (n_voxels, 3) float32, cost of a difference of one label to the neighbour at +x, +y, +z.
        messages: (n_voxels, 6, n_labels) float32, from each neighbour; to begin with any, and changed in place.
        sweeps: forwards and backwards.

    Returns:
        (n_voxels,) int32, number of the label.
    """
    label = np.zeros(len(cost), np.int32)
    for _ in range(sweeps):
        _sweep_grid(cost, neighbour, weight, messages, True)
        _sweep_grid(cost, neighbour, weight, messages, False)
    _decode_grid(cost, neighbour, weight, messages, label)
    return label


@compiled(error_model="numpy")
def _sweep_grid(cost, neighbour, weight, messages, forwards):
    count, labels = cost.shape
    belief, line = np.empty(labels, np.float32), np.empty(labels, np.float32)
    for step in range(count):
        here = step if forwards else count - 1 - step
        before, after = 0, 0
        for d in range(3):
            before += neighbour[here, d] >= 0
            after += neighbour[here, d + 3] >= 0
        if before + after == 0:
            continue
        share = np.float32(1) / np.float32(max(before, after))
        for k in range(labels):
            belief[k] = cost[here, k]
        for d in range(6):
            if neighbour[here, d] >= 0:
                for k in range(labels):
                    belief[k] += messages[here, d, k]
        for d in range(3):
            way = d + 3 if forwards else d
            there = neighbour[here, way]
            if there < 0:
                continue
            slope = weight[here, d] if forwards else weight[there, d]
            for k in range(labels):
                line[k] = share * belief[k] - messages[here, way, k]
            for k in range(1, labels):
                line[k] = min(line[k], line[k - 1] + slope)
            lowest = line[labels - 1]
            for k in range(labels - 2, -1, -1):
                line[k] = min(line[k], line[k + 1] + slope)
                lowest = min(lowest, line[k])
            back = (way + 3) % 6
            for k in range(labels):
                messages[there, back, k] = line[k] - lowest


@compiled(error_model="numpy")
def _decode_grid(cost, neighbour, weight, messages, label):
    count, labels = cost.shape
    for here in range(count):
        best, found = np.float32(np.inf), 0
        for k in range(labels):
            total = cost[here, k]
            for d in range(3):
                there = neighbour[here, d]
                if there >= 0:
                    total += weight[there, d] * np.float32(abs(k - label[there]))
                if neighbour[here, d + 3] >= 0:
                    total += messages[here, d + 3, k]
            if total < best:
                best, found = total, k
        label[here] = found


def minimise_among_candidates(
    cost: np.ndarray,
    value: np.ndarray,
    phasor: np.ndarray,
    neighbour: np.ndarray,
    weight: np.ndarray,
    turn: np.ndarray,
    sweeps: int,
) -> np.ndarray:
    """Choose among candidates that differ between voxels.

    Args:
        cost: (n_voxels, n_candidates) float32, inf for none.
        value: (n_voxels, n_candidates) float32, of which neighbours should differ little.
        phasor: (n_voxels, n_candidates) complex64, whose angles should differ little, too.
        neighbour: (n_voxels, 6) int32, as in `Lattice`.
        weight: (n_voxels, 3) float32, cost of a difference of one to the neighbour at +x, +y, +z.
        turn: (n_voxels, 3) float32, cost of opposite phasors.
        sweeps: forwards and backwards.

    Returns:
        (n_voxels,) int32, number of the candidate.
    """
    messages = np.zeros((len(cost), 6, cost.shape[1]), np.float32)
    label = np.zeros(len(cost), np.int32)
    for _ in range(sweeps):
        _sweep_candidates(cost, value, phasor, neighbour, weight, turn, messages, True)
        _sweep_candidates(cost, value, phasor, neighbour, weight, turn, messages, False)
    _decode_candidates(cost, value, phasor, neighbour, weight, turn, messages, label)
    return label


@compiled(error_model="numpy")
def _sweep_candidates(cost, value, phasor, neighbour, weight, turn, messages, forwards):
    count, labels = cost.shape
    belief, line = np.empty(labels, np.float32), np.empty(labels, np.float32)
    half = np.float32(0.5)
    for step in range(count):
        here = step if forwards else count - 1 - step
        before, after = 0, 0
        for d in range(3):
            before += neighbour[here, d] >= 0
            after += neighbour[here, d + 3] >= 0
        if before + after == 0:
            continue
        share = np.float32(1) / np.float32(max(before, after))
        for k in range(labels):
            belief[k] = cost[here, k]
            for d in range(6):
                belief[k] += messages[here, d, k]
        for d in range(3):
            way = d + 3 if forwards else d
            there = neighbour[here, way]
            if there < 0:
                continue
            slope = weight[here, d] if forwards else weight[there, d]
            swing = half * (turn[here, d] if forwards else turn[there, d])
            lowest = np.float32(np.inf)
            for k in range(labels):
                if not cost[there, k] < np.inf:
                    break
                best = np.float32(np.inf)
                far = phasor[there, k]
                for own in range(labels):
                    if not cost[here, own] < np.inf:
                        break
                    near = phasor[here, own]
                    total = share * belief[own] - messages[here, way, own]
                    total += slope * abs(value[here, own] - value[there, k])
                    total += swing * (np.float32(1) - near.real * far.real - near.imag * far.imag)
                    best = min(best, total)
                line[k] = best
                lowest = min(lowest, best)
            back = (way + 3) % 6
            for k in range(labels):
                if cost[there, k] < np.inf:
                    messages[there, back, k] = line[k] - lowest


@compiled(error_model="numpy")
def _decode_candidates(cost, value, phasor, neighbour, weight, turn, messages, label):
    count, labels = cost.shape
    half = np.float32(0.5)
    for here in range(count):
        best, found = np.float32(np.inf), 0
        for k in range(labels):
            total = cost[here, k]
            if not total < np.inf:
                break
            near = phasor[here, k]
            for d in range(3):
                there = neighbour[here, d]
                if there >= 0:
                    far = phasor[there, label[there]]
                    total += weight[there, d] * abs(value[here, k] - value[there, label[there]])
                    total += half * turn[there, d] * (np.float32(1) - near.real * far.real - near.imag * far.imag)
                if neighbour[here, d + 3] >= 0:
                    total += messages[here, d + 3, k]
            if total < best:
                best, found = total, k
        label[here] = found
