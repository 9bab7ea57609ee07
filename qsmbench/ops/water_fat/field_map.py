"""The field of a water–fat scan, free of swaps and wraps, from the residual over fields of all voxels together.

Coarse to fine: blocks of voxels add up their costs, and choose one of many evenly spaced fields over several periods
of 1/ΔTE. Then each voxel chooses among its own local minima near the field of its block. Both choices minimise the sum
of costs and of absolute differences of the field between neighbours, so that the field is continuous, and not only
correct within one period.
"""

from __future__ import annotations

import numpy as np

from qsmbench.compiled import compiled
from qsmbench.grid import Grid
from qsmbench.ops.water_fat.chain_messages import minimise_among_candidates, minimise_on_grid
from qsmbench.ops.water_fat.fit import project
from qsmbench.ops.water_fat.lattice import Blocks, Lattice, blocks, lattice
from qsmbench.ops.water_fat.residual import Residual, costs, prepare
from qsmbench.threads import over_planes
from qsmbench.units import hz_per_ppm

RATES, PENALTIES = (15.0, 60.0, 150.0, 350.0, 800.0), (0.5, 0.0, 1.5, 4.0, 7.0)
"""R2* [1/s] at which residuals are compared, and how unlikely each is [nats] (assumed)."""

_STEPS = 6  # fields per cycle of the fastest wave in the residual
_PERIODS = 1.5  # fields on either side of zero, in periods
_LEAST = 4.0  # and at least, ppm
_BLOCK = 8.0  # side of a block, mm
_ROUGHNESS = 0.04  # mean difference of the field between neighbours, ppm per mm (assumed)
_MODEL_ERROR = 0.03  # of the signal, that the model does not describe (assumed)
_CAP = 40.0  # cost at which a voxel's influence on its block is halved, nats
_CENTRE = 0.01  # cost of a field of one period, which only decides between periods, nats
_LEAST_TRUST = 0.1  # least weight of the smoothness, relative to voxels of usual signal
_CANDIDATES = 6
_SWEEPS = 12


def field_map(
    signal: np.ndarray, mask: np.ndarray, grid: Grid, te: np.ndarray, fat: np.ndarray, b0: float, sigma: float
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the field near the right minimum of each voxel.

    Args:
        signal: (n_voxels, n_echoes) complex64, the voxels of the mask.
        mask: (nx, ny, nz) bool.
        grid: of the mask.
        te: (n_echoes,) s.
        fat: (n_echoes,) complex, dephasing of the fat.
        b0: T.
        sigma: noise of real and imaginary part, a.u.

    Returns:
        (n_voxels,) float32, field [Hz] and R2* [1/s].
    """
    voxels, sigma = lattice(mask), np.float32(sigma)
    span, gap = te[-1] - te[0], np.diff(te).min()
    per_period = int(np.ceil(_STEPS * span / gap))
    step = 1 / gap / per_period
    reach = int(np.ceil(max(_PERIODS / gap, _LEAST * hz_per_ppm(b0)) / step))
    fields = step * np.arange(-reach, reach + 1)
    table = prepare(te, fat, fields, np.array(RATES), np.array(PENALTIES))
    weight = _edge_weights(voxels, signal, grid, b0)

    size = tuple(max(1, round(_BLOCK / d)) for d in grid.voxel_size)
    coarse = blocks(voxels, size)
    near = fields[_of_blocks(signal, coarse, weight, table, sigma, fields, gap)][coarse.block]

    window = max(0.75 / gap, 4.5 * hz_per_ppm(b0))
    value = np.zeros((len(signal), _CANDIDATES), np.float32)
    cost = np.full((len(signal), _CANDIDATES), np.inf, np.float32)
    over_planes(
        _candidates, len(signal), signal, sigma, np.float32(_MODEL_ERROR), *table.arrays, near.astype(np.float32),
        np.float32(window), np.float32(fields[0]), np.float32(step), value, cost,
    )  # fmt: skip
    chosen = minimise_among_candidates(cost, value, voxels.neighbour, weight, _SWEEPS)
    field = value[np.arange(len(value)), chosen]
    return field, _best_rate(signal, te, fat, field)


def _edge_weights(voxels: Lattice, signal: np.ndarray, grid: Grid, b0: float) -> np.ndarray:
    """Cost of a difference of 1 Hz to the neighbours at +x, +y, +z [nats]: less where there is little signal."""
    strength = np.sqrt((np.abs(signal) ** 2).mean(axis=1))
    usual = np.median(strength[strength > 0]) if strength.any() else 1.0
    trust = np.clip(strength / usual, _LEAST_TRUST, 1).astype(np.float32)
    rough = _ROUGHNESS * hz_per_ppm(b0) * np.clip(grid.voxel_size, 1.0, 8.0)
    after = voxels.neighbour[:, 3:]
    return np.where(after >= 0, np.minimum(trust[:, None], trust[after]), 0).astype(np.float32) / rough.astype(np.float32)


def _of_blocks(signal, coarse: Blocks, weight, table: Residual, sigma, fields, gap):
    """Choose a field for each block: its number in `fields`."""
    count = coarse.lattice.neighbour.shape[0]
    cost = np.zeros((count, fields.size), np.float32)
    over_planes(
        _block_costs, count, signal, sigma, np.float32(_MODEL_ERROR), *table.arrays, coarse.start, coarse.members,
        np.float32(_CAP), cost,
    )  # fmt: skip
    voxels = np.diff(coarse.start).astype(np.float32)
    cost += voxels[:, None] * (_CENTRE * (fields * gap) ** 2).astype(np.float32)
    return minimise_on_grid(cost, coarse.lattice.neighbour, _face_weights(coarse, weight, fields), _SWEEPS)


def _face_weights(coarse, weight, fields):
    """Sum the weights of the edges between two blocks, per step of `fields`."""
    total = np.zeros((coarse.lattice.neighbour.shape[0], 3), np.float32)
    after = coarse.voxels.neighbour[:, 3:]
    for axis in range(3):
        across = (after[:, axis] >= 0) & (coarse.block[after[:, axis]] != coarse.block)
        total[:, axis] = np.bincount(coarse.block[across], weight[across, axis], len(total))
    return total * np.float32(fields[1] - fields[0])


@compiled(error_model="numpy")
def _block_costs(
    start, stop, signal, sigma, error, first, second, coefficient, projector, diagonal, wave, penalty, edges, members,
    cap, out,
):  # fmt: skip
    parts = np.empty((2, wave.shape[1]), np.float32)
    line, own = np.empty(wave.shape[2], np.float32), np.empty(wave.shape[2], np.float32)
    for b in range(start, stop):
        for i in range(edges[b], edges[b + 1]):
            y = signal[members[i]]
            costs(y, sigma, error, first, second, coefficient, projector, diagonal, wave, penalty, parts, line, own)
            lowest = own[0]
            for f in range(own.size):
                lowest = min(lowest, own[f])
            for f in range(own.size):
                excess = own[f] - lowest
                out[b, f] += cap * excess / (cap + excess)


@compiled(error_model="numpy")
def _candidates(
    start, stop, signal, sigma, error, first, second, coefficient, projector, diagonal, wave, penalty, near, window,
    lowest_field, step, value, cost,
):  # fmt: skip
    """Find the lowest local minima within a window around a field."""
    parts = np.empty((2, wave.shape[1]), np.float32)
    line, own = np.empty(wave.shape[2], np.float32), np.empty(wave.shape[2], np.float32)
    room = cost.shape[1]
    for v in range(start, stop):
        costs(
            signal[v], sigma, error, first, second, coefficient, projector, diagonal, wave, penalty, parts, line, own
        )
        begin = max(1, int(np.ceil((near[v] - window - lowest_field) / step)))
        end = min(own.size - 1, int((near[v] + window - lowest_field) / step) + 1)
        found = 0
        for f in range(begin, end):
            if not (own[f] < own[f - 1] and own[f] <= own[f + 1]):
                continue
            bend = own[f - 1] - 2 * own[f] + own[f + 1]
            shift = np.float32(0.5) * (own[f - 1] - own[f + 1]) / bend if bend > 0 else np.float32(0)
            depth = own[f] - np.float32(0.25) * (own[f - 1] - own[f + 1]) * shift
            place = found if found < room else room
            while place > 0 and depth < cost[v, place - 1]:
                place -= 1
            if place == room:
                continue
            found = min(found + 1, room)
            for k in range(found - 1, place, -1):
                cost[v, k], value[v, k] = cost[v, k - 1], value[v, k - 1]
            cost[v, place], value[v, place] = depth, lowest_field + step * (f + shift)
        if found == 0:
            cost[v, 0], value[v, 0] = 0, near[v]


def _best_rate(signal, te, fat, field):
    """Choose the best of `RATES` at the field of each voxel."""
    rate = np.zeros(len(signal), np.float32)
    over_planes(_rates, len(signal), signal, te, fat, field, np.array(RATES), rate)
    return rate


@compiled(error_model="numpy")
def _rates(start, stop, signal, te, fat, field, rates, out):
    y, e1, e2 = np.empty(te.size, np.complex128), np.empty(te.size, np.complex128), np.empty(te.size, np.complex128)
    for v in range(start, stop):
        for e in range(te.size):
            y[e] = signal[v, e]
        best = np.inf
        for r in rates:
            cost = project(y, te, fat, np.float64(field[v]), r, e1, e2)[0]
            if cost < best:
                best, out[v] = cost, r
