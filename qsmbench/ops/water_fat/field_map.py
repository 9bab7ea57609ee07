"""The field of a water–fat scan, free of swaps and wraps, from the residual over fields of all voxels together.

Coarse to fine: blocks of voxels add up their costs, and choose one of many evenly spaced fields over several periods
of 1/ΔTE. Then each voxel chooses among its own local minima near the field of its block. Both choices minimise the sum
of costs and of absolute differences of the field between neighbours, so that the field is continuous, and not only
correct within one period.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter

from qsmbench.compiled import compiled, leaf
from qsmbench.grid import Grid
from qsmbench.ops.water_fat.chain_messages import minimise_among_candidates, minimise_on_grid
from qsmbench.ops.water_fat.fit import common_phase_excess, fit_signal, fit_voxels
from qsmbench.ops.water_fat.lattice import Blocks, Lattice, blocks, lattice
from qsmbench.ops.water_fat.regions import shift_regions
from qsmbench.ops.water_fat.residual import best_rate, costs, prepare
from qsmbench.threads import over_planes
from qsmbench.units import hz_per_ppm

RATES = np.array([5.0, 15.0, 35.0, 70.0, 140.0, 300.0, 700.0])
"""R2* at which residuals are compared [1/s]."""

_LEAST_RATE = 10.0  # below which noise decides, 1/s
_SPREAD_ABOVE = 3.0
_USUAL_RATE, _SPREAD = 40.0, 0.9  # median R2* [1/s] and standard deviation of its logarithm in tissue (assumed)
_SAME = 1e-6  # differences between echo spacings that count as none, s
_STEPS = 6  # fields per cycle of the fastest wave in the residual
_PERIODS = 2.5  # fields on either side of zero, in periods
_LEAST = 8.0  # and at least, ppm
_BLOCK = 8.0  # side of a block, mm
_ROUGHNESS = 0.12  # mean difference of the field between neighbours, ppm per mm (assumed)
_CAUTION = 2.0  # by which misfits exceed those of the best fits, since neighbours err together (assumed)
_MODEL_ERROR = 0.05  # of the signal, where three echoes leave no residual (assumed)
_LEAST_ERROR = 0.02
_COARSENESS = 0.05  # of the signal, that fields and R2* between those that are compared would describe
_SAMPLE = 4000  # voxels from which the misfit is estimated
_CAP = np.float32(40)  # cost at which a voxel's influence on its block is halved, nats
_CENTRE = 0.01  # cost of a field of one period, which only decides between periods, nats
_LEAST_TRUST = 0.02  # least weight of the smoothness, relative to voxels of usual signal
_TURN = 60.0  # cost of a turn of the phase at TE = 0 between neighbours of 1 mm, by half of 1 − cos, nats
_PHASE = 20.0  # largest cost of different phases of water and fat, nats
_CANDIDATES = 6
_UNKNOWNS = 6  # real and imaginary parts of water and fat, the field and R2*
_REFINEMENTS = 5  # steps of the fit of each candidate
_SWEEPS = 12
_COARSEST = 200  # blocks that need no coarser ones
_SURROUNDINGS = 25.0  # side of the box whose signal a voxel is compared with, mm


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
    voxels = lattice(mask)
    span, gap = te[-1] - te[0], np.diff(te).min()
    per_period = int(np.ceil(_STEPS * span / gap))
    step = 1 / gap / per_period
    reach = int(np.ceil(max(_PERIODS / gap, _LEAST * hz_per_ppm(b0)) / step))
    fields = step * np.arange(-reach, reach + 1)
    table = prepare(te, fat, fields, RATES, np.array([_unlikely(rate) for rate in RATES]))
    variance, trust = _trust(signal, voxels, grid, sigma, _model_error(signal, te, fat, table, fields, sigma))
    weight = _edge_weights(voxels, trust, grid, b0)

    x, y, z = (max(1, round(_BLOCK / d)) for d in grid.voxel_size)
    coarse = blocks(voxels, (x, y, z))
    cost = np.zeros((len(coarse.start) - 1, fields.size), np.float32)
    coarse_variance = variance + np.float32(_COARSENESS**2) * (np.abs(signal) ** 2).mean(axis=1)
    over_planes(
        _block_costs, len(cost), signal, coarse_variance, *table.arrays, coarse.start, coarse.members, _CAP, cost
    )
    cost += np.diff(coarse.start)[:, None].astype(np.float32) * (_CENTRE * (fields * gap) ** 2).astype(np.float32)
    near = fields[_of_blocks(cost, coarse, _face_weights(coarse, weight) * np.float32(step), per_period)][coarse.block]

    window = 0.75 / gap
    value = np.zeros((len(signal), _CANDIDATES), np.float32)
    cost = np.full((len(signal), _CANDIDATES), np.inf, np.float32)
    rate, start = np.zeros_like(value), np.zeros(value.shape, np.complex64)
    aligned = signal * _slice_phase(signal, mask, grid)[:, None]
    over_planes(
        _candidates, len(signal), aligned, variance, *table.arrays, te, fat, table.rates, near.astype(np.float32),
        np.float32(window), np.float32(fields[0]), np.float32(step), value, cost, rate, start,
    )  # fmt: skip
    turn = weight * np.float32(_TURN * _ROUGHNESS * hz_per_ppm(b0))
    chosen = minimise_among_candidates(cost, value, start, voxels.neighbour, weight, turn, _SWEEPS)
    picked = np.arange(len(value)), chosen
    field = value[picked]
    if np.ptp(np.diff(te)) < _SAME:
        field = shift_regions(field, voxels.neighbour, weight, 0.5 / gap, np.arange(-3, 4) / gap)
    return field, rate[picked]


def _slice_phase(signal: np.ndarray, mask: np.ndarray, grid: Grid) -> np.ndarray:
    """Compute a phase factor for each voxel that removes the mean step of the phase between slices.

    Slices that are excited one after the other may have any phase. The slices are taken to lie along the longest side
    of the voxels.
    """
    axis = int(np.argmax(grid.voxel_size))
    volume = np.zeros(mask.shape, np.complex64)
    volume[mask] = signal[:, 0]
    volume = np.moveaxis(volume, axis, 0)
    step = (volume[:-1] * volume[1:].conj()).sum(axis=(1, 2))
    factor = np.concatenate([[1], np.cumprod(np.where(step == 0, 1, step / np.maximum(np.abs(step), 1e-30)))])
    return factor.astype(np.complex64)[np.nonzero(mask)[axis]]


def _model_error(signal, te, fat, table, fields, sigma):
    """Estimate what the model does not describe, as a fraction of the signal, from the best fits of some voxels."""
    freedom = 2 * te.size - _UNKNOWNS
    if freedom <= 0:
        return _MODEL_ERROR
    part = np.ascontiguousarray(signal[:: max(1, len(signal) // _SAMPLE)])
    field, rate = np.zeros(len(part), np.float32), np.zeros(len(part), np.float32)
    over_planes(_best, len(part), part, *table.arrays, fields.astype(np.float32), table.rates, field, rate)
    water, fat_part = np.zeros(len(part), np.complex64), np.zeros(len(part), np.complex64)
    over_planes(fit_voxels, len(part), part, te, fat, field, rate, water, fat_part, 0.0, 2 * RATES[-1])
    rest = part - (water[:, None] + fat_part[:, None] * fat) * np.exp((2j * np.pi * field - rate)[:, None] * te)
    power = (np.abs(part) ** 2).sum(axis=1)
    misfit = (np.abs(rest) ** 2).sum(axis=1) / freedom - sigma**2
    share = np.divide(misfit * te.size, power, out=np.zeros(len(part)), where=power > 0)
    return max(_CAUTION * float(np.sqrt(max(2 * np.median(share), 0))), _LEAST_ERROR)


@compiled(error_model="numpy")
def _best(
    start, stop, signal, first, second, coefficient, projector, diagonal, wave, penalty, fields, rates, field, rate
):
    """Find the field and R2* of the smallest residual."""
    parts = np.empty((penalty.size, 2, wave.shape[1] + 1), np.float32)
    line, own = np.empty(wave.shape[2], np.float32), np.empty(wave.shape[2], np.float32)
    free, one = np.zeros_like(penalty), np.float32(1)
    for v in range(start, stop):
        costs(signal[v], one, first, second, coefficient, projector, diagonal, wave, free, parts, line, own)
        lowest = np.argmin(own)
        field[v], rate[v] = fields[lowest], rates[best_rate(lowest, one, wave, free, parts)]


def _trust(
    signal: np.ndarray, voxels: Lattice, grid: Grid, sigma: float, error: float
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the variance of what is not water and fat, and the weight of the smoothness, of each voxel.

    What the model does not describe, such as flow, blurring and ghosts, is in proportion to the signal of the voxel
    and of those around it. So a voxel with less signal than its surroundings follows them, and has less influence.
    """
    power = np.zeros(voxels.mask.shape, np.float32)
    power[voxels.mask] = (signal.real**2 + signal.imag**2).mean(axis=1)
    width = [2 * round(_SURROUNDINGS / d / 2) + 1 for d in grid.voxel_size]
    total, square = uniform_filter(power, width), uniform_filter(power**2, width)
    around = np.divide(square, total, out=np.zeros_like(total), where=total > 0)[voxels.mask]
    own = power[voxels.mask]
    alone, variance = sigma**2 + error**2 * own, sigma**2 + error**2 * np.maximum(own, around)
    trust = np.maximum(alone / variance, _LEAST_TRUST)
    return variance.astype(np.float32), trust.astype(np.float32)


def _edge_weights(voxels: Lattice, trust: np.ndarray, grid: Grid, b0: float) -> np.ndarray:
    """Compute the cost of a difference of 1 Hz to the neighbours at +x, +y, +z [nats]."""
    rough = _ROUGHNESS * hz_per_ppm(b0) * np.clip(grid.voxel_size, 1.0, 8.0)
    after = voxels.neighbour[:, 3:]
    both = np.minimum(trust[:, None], trust[after])
    return np.where(after >= 0, both, 0).astype(np.float32) / rough.astype(np.float32)


def _of_blocks(cost: np.ndarray, level: Blocks, weight: np.ndarray, per_period: int) -> np.ndarray:
    """Choose a label for each block, starting from the messages of coarser blocks."""
    neighbour = level.lattice.neighbour
    label = minimise_on_grid(cost, neighbour, weight, _messages(cost, level.lattice, weight), _SWEEPS)
    rows, labels = np.arange(len(cost)), cost.shape[1]

    def own_cost(values: np.ndarray) -> np.ndarray:
        inside = (values >= 0) & (values < labels)
        return np.where(inside, cost[rows, np.clip(values, 0, labels - 1)], np.float32(1e30))

    reach = min(3 * per_period, labels)
    return shift_regions(label, neighbour, weight, per_period / 4, np.arange(-reach, reach + 1), own_cost)


def _messages(cost, own: Lattice, weight):
    """Compute messages to start from: those between blocks of 2 × 2 × 2, shared among the edges between them."""
    start = np.zeros((len(cost), 6, cost.shape[1]), np.float32)
    if len(cost) <= _COARSEST:
        return start
    level = blocks(own, (2, 2, 2))
    total = np.zeros((len(level.start) - 1, cost.shape[1]), np.float32)
    np.add.at(total, level.block, cost)
    faces = _face_weights(level, weight)
    messages = _messages(total, level.lattice, faces)
    minimise_on_grid(total, level.lattice.neighbour, faces, messages, _SWEEPS)
    for d in range(6):
        share = _edge_weight(own.neighbour, weight, d) / np.maximum(
            _edge_weight(level.lattice.neighbour, faces, d)[level.block], 1e-9
        )
        start[:, d] = messages[level.block, d] * np.minimum(share, 1)[:, None]
    return start


def _edge_weight(neighbour, weight, d):
    """Return the weight of the edges in one direction."""
    if d >= 3:
        return weight[:, d - 3]
    return np.where(neighbour[:, d] >= 0, weight[neighbour[:, d], d], 0)


def _face_weights(level: Blocks, weight: np.ndarray) -> np.ndarray:
    """Sum the weights of the edges between two blocks."""
    total = np.zeros((len(level.start) - 1, 3), np.float32)
    after = level.voxels.neighbour[:, 3:]
    for axis in range(3):
        across = (after[:, axis] >= 0) & (level.block[after[:, axis]] != level.block)
        total[:, axis] = np.bincount(level.block[across], weight[across, axis], len(total))
    return total


@compiled(error_model="numpy")
def _block_costs(
    start, stop, signal, variance, first, second, coefficient, projector, diagonal, wave, penalty, edges, members,
    cap, out,
):  # fmt: skip
    parts = np.empty((penalty.size, 2, wave.shape[1] + 1), np.float32)
    line, own = np.empty(wave.shape[2], np.float32), np.empty(wave.shape[2], np.float32)
    for b in range(start, stop):
        for i in range(edges[b], edges[b + 1]):
            v = members[i]
            costs(
                signal[v], variance[v], first, second, coefficient, projector, diagonal, wave, penalty, parts, line, own
            )
            lowest = own[0]
            for f in range(own.size):
                lowest = min(lowest, own[f])
            for f in range(own.size):
                # the field varies within a block, and lies between those that are compared
                excess = min(own[max(f - 1, 0)], own[f], own[min(f + 1, own.size - 1)]) - lowest
                out[b, f] += cap * excess / (cap + excess)


@leaf(error_model="numpy")
def _unlikely(rate):
    """Compute the cost of an R2* [nats]."""
    distance = np.log(max(rate, _LEAST_RATE) / _USUAL_RATE)
    return (distance / (_SPREAD if distance < 0 else _SPREAD_ABOVE)) ** 2 / 2


@compiled(error_model="numpy")
def _candidates(
    start, stop, signal, variance, first, second, coefficient, projector, diagonal, wave, penalty, te, fat, rates,
    near, window, lowest_field, step, value, cost, rate, start_signal,
):  # fmt: skip
    """Find the lowest local minima within a window around a field, and the phase of the signal at TE = 0 in each."""
    y, e1, e2 = np.empty(te.size, np.complex128), np.empty(te.size, np.complex128), np.empty(te.size, np.complex128)
    parts = np.empty((penalty.size, 2, wave.shape[1] + 1), np.float32)
    line, own = np.empty(wave.shape[2], np.float32), np.empty(wave.shape[2], np.float32)
    room, highest = cost.shape[1], 2 * rates[-1]
    excess, freedom = np.empty(room), 2 * te.size - _UNKNOWNS
    for v in range(start, stop):
        costs(signal[v], variance[v], first, second, coefficient, projector, diagonal, wave, penalty, parts, line, own)
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
                cost[v, k], value[v, k], rate[v, k] = cost[v, k - 1], value[v, k - 1], rate[v, k - 1]
            cost[v, place], value[v, place] = depth, lowest_field + step * (f + shift)
            rate[v, place] = rates[best_rate(f, variance[v], wave, penalty, parts)]
        if found == 0:
            found, cost[v, 0], value[v, 0], rate[v, 0] = 1, 0, near[v], rates[0]
        for e in range(te.size):
            y[e] = signal[v, e]
        least = np.inf
        for k in range(found):
            f_0, r_0 = np.float64(value[v, k]), np.float64(rate[v, k])
            f_k, r_k, rest, w, a = fit_signal(y, te, fat, f_0, r_0, 0.0, highest, _REFINEMENTS, e1, e2)
            value[v, k], rate[v, k], cost[v, k] = f_k, r_k, rest
            excess[k] = common_phase_excess(te, fat, r_k, w, a)
            least = min(least, rest)
            size = abs(w + a)
            start_signal[v, k] = (w + a) / size if size > 0 else 0j
        # if even the best fit is poor (displaced fat, dephasing), its misfits count less than those of others
        own_variance = max(variance[v], least / freedom) if freedom > 0 else variance[v]
        for k in range(found):
            turned = excess[k] / (2 * own_variance)
            prior = _unlikely(rate[v, k]) + _PHASE * turned / (_PHASE + turned)
            cost[v, k] = cost[v, k] / (2 * own_variance) + prior
