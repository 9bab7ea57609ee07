"""Painting: the fraction of each voxel inside a shape is set to its properties, or changed by its effect."""

from __future__ import annotations

import numpy as np

from qsmbench.compiled import compiled, leaf
from qsmbench.phantom.painting.bounds import SAFETY, bounds
from qsmbench.phantom.painting.distance import distances
from qsmbench.phantom.species import CHI_DIA, CHI_PARA, RELAXATION, WATER_PD
from qsmbench.phantom.warp import slopes, to_template

BRICK = 4
"""Edge length [voxels] of bricks that are skipped or filled by evaluating only their centre."""

TOGETHER = 4
"""Number of bricks in a row for which a program is shortened together, before it is shortened for each."""

POINTS = BRICK**3
"""Number of points whose distances are computed together."""

OUTSIDE, SURFACE, INSIDE = range(3)
"""Location of a box of voxels; unknown ones count as on the surface."""


@leaf()
def _mark(f, label, weight, labels, i, j, k):
    # the label of what fills most of the voxel; 0 leaves it as it is
    if label == 0:
        return
    kept = weight[i, j, k] * (1 - f)
    if labels[i, j, k] == label:
        weight[i, j, k] = kept + f
    elif f >= kept:
        weight[i, j, k] = f
        labels[i, j, k] = label
    else:
        weight[i, j, k] = kept


@leaf()
def blend(f, values, label, stack, weight, labels, i, j, k):
    """Assign a fraction of a voxel to a material; arguments in common with `paint` have the same meaning.

    Args:
        f: share of the voxel, 0–1.
        values: (c,), values of the maps in the material.
        label: of its region; 0: labels are not changed.
        stack: in place.
        weight: in place.
        labels: in place.
        i: index of the voxel along x.
        j: along y.
        k: along z.
    """
    for c in range(stack.shape[0]):
        missing = values[c] - stack[c, i, j, k]
        if missing != 0:  # a map that stays zero takes no memory
            stack[c, i, j, k] += np.float32(f) * missing
    _mark(f, label, weight, labels, i, j, k)


@leaf()
def _change_chi(f, factors, amounts, stack, i, j, k):
    # returns by how much χ+ and χ− have grown; what is taken from χ+ beyond what there is makes χ− grow
    old_para, old_dia = stack[CHI_PARA, i, j, k], stack[CHI_DIA, i, j, k]
    para = old_para + f * (old_para * (factors.chi_para - 1) + amounts.chi_para)
    dia = old_dia + f * (old_dia * (factors.chi_dia - 1) + amounts.chi_dia)
    dia += max(-para, np.float32(0))
    para = max(para, np.float32(0))
    stack[CHI_PARA, i, j, k], stack[CHI_DIA, i, j, k] = para, dia
    return (para - old_para) + (dia - old_dia)


@leaf()
def _change_protons(f, factors, amounts, more_r2prime, channels, stack, i, j, k):
    # density and relaxation of those whose PD, T1, R2 and R2* are in `channels`
    pd, t1, r2, r2star = channels
    old = stack[pd, i, j, k]
    if old <= 0:
        return
    new = old * (1 + f * (factors.pd - 1))
    time, rate, total = stack[t1, i, j, k], stack[r2, i, j, k], stack[r2star, i, j, k]
    time, rate, total = time / old, rate / old, total / old
    reversible = total - rate
    if pd == WATER_PD:  # what is dissolved meets water alone, while all protons are in the same field
        if time > 0:
            time = 1 / max(1 / time * (1 + f * (factors.r1 - 1)) + f * amounts.r1, np.float32(1e-3))
        rate = max(rate * (1 + f * (factors.r2 - 1)) + f * amounts.r2, np.float32(0))
    total = rate + max(reversible + more_r2prime, np.float32(0))
    stack[pd, i, j, k], stack[t1, i, j, k] = new, time * new
    stack[r2, i, j, k], stack[r2star, i, j, k] = rate * new, total * new


@leaf()
def _change(f, affine, ramp, factors, amounts, relaxivity, label, stack, weight, labels, i, j, k):
    # what `affect` does to the voxel of which the shape fills f
    x, y, z = world(float(i), float(j), float(k), affine)
    g = min(max(ramp[0] * x + ramp[1] * y + ramp[2] * z + ramp[3], 0.0), 1.0)
    strength = np.float32(f * g)
    more = relaxivity * _change_chi(strength, factors, amounts, stack, i, j, k)
    for channels in RELAXATION:
        _change_protons(strength, factors, amounts, more, channels, stack, i, j, k)
    _mark(f, label, weight, labels, i, j, k)


@leaf()
def world(i, j, k, affine):
    """Return x, y, z [mm] of the voxel index i, j, k, all float64; `affine`, (4, 4), maps it there."""
    x = affine[0, 0] * i + affine[0, 1] * j + affine[0, 2] * k + affine[0, 3]
    y = affine[1, 0] * i + affine[1, 1] * j + affine[1, 2] * k + affine[1, 3]
    z = affine[2, 0] * i + affine[2, 1] * j + affine[2, 2] * k + affine[2, 3]
    return x, y, z


@leaf()
def diagonal(affine):
    """Return the diagonal of a voxel [mm]; `affine`, (4, 4), maps its index to world mm."""
    total = 0.0
    for a in range(3):
        for b in range(3):
            total += affine[a, b] ** 2
    return np.sqrt(total)


@leaf()
def _template(i, j, k, affine, warp, to_warp):
    # where the voxel index i, j, k lies in the template [mm]
    x, y, z = world(i, j, k, affine)
    return to_template(x, y, z, warp, to_warp)


@leaf()
def _box(first, stop, affine):
    # centre and half widths [mm] of the box of voxels from `first` up to `stop`
    a, b, c = (first[0] + stop[0] - 1) / 2, (first[1] + stop[1] - 1) / 2, (first[2] + stop[2] - 1) / 2
    x, y, z = world(a, b, c, affine)
    i, j, k = (stop[0] - first[0]) / 2, (stop[1] - first[1]) / 2, (stop[2] - first[2]) / 2
    hx = abs(affine[0, 0]) * i + abs(affine[0, 1]) * j + abs(affine[0, 2]) * k
    hy = abs(affine[1, 0]) * i + abs(affine[1, 1]) * j + abs(affine[1, 2]) * k
    hz = abs(affine[2, 0]) * i + abs(affine[2, 1]) * j + abs(affine[2, 2]) * k
    return x, y, z, hx, hy, hz


@leaf()
def _place_centre(first, stop, affine, warp, to_warp, points):
    # the first point is the centre of the box of voxels from `first` up to `stop`; returns the number of points
    x, y, z, _, _, _ = _box(first, stop, affine)
    points[0, 0], points[1, 0], points[2, 0] = to_template(x, y, z, warp, to_warp)
    return np.int64(1)  # for a literal, what takes it would be compiled again


@leaf()
def _place_centres(first, stop, affine, warp, to_warp, points):
    # the points are the centres of the voxels in the box, in their order; returns their number
    n = 0
    for i in range(first[0], stop[0]):
        for j in range(first[1], stop[1]):
            for k in range(first[2], stop[2]):
                x, y, z = _template(float(i), float(j), float(k), affine, warp, to_warp)
                points[0, n], points[1, n], points[2, n] = x, y, z
                n += 1
    return n


@leaf()
def _steepness(first, stop, affine, warp, to_warp, found):
    # the slopes of the displacement in the box of voxels from `first` up to `stop`, and how much it may stretch there
    x, y, z, hx, hy, hz = _box(first, stop, affine)
    return slopes(x, y, z, hx + SAFETY, hy + SAFETY, hz + SAFETY, warp, to_warp, found)


@leaf()
def _where(first, stop, step, depths, affine, warp, to_warp, steep, code, parameters, data, work, begin, short):
    # where the box of voxels from `first` up to `stop` lies: all of it outside, or all of it in the deepest shell; and
    # the length of the program `short` that does for it
    x, y, z, hx, hy, hz = _box(first, stop, affine)
    x, y, z = to_template(x, y, z, warp, to_warp)
    mx = hx + steep[0, 0] * hx + steep[0, 1] * hy + steep[0, 2] * hz + SAFETY
    my = hy + steep[1, 0] * hx + steep[1, 1] * hy + steep[1, 2] * hz + SAFETY
    mz = hz + steep[2, 0] * hx + steep[2, 1] * hy + steep[2, 2] * hz + SAFETY
    low, high, length = bounds(x, y, z, mx, my, mz, code, parameters, data, work[0], work[1], begin, short)
    if low + depths[0] > step / 2 + SAFETY:
        return OUTSIDE, length
    return INSIDE if high + depths[-1] < -step / 2 - SAFETY else SURFACE, length


@compiled()
def places_in_voxel(fine):
    """Return where the parts of a voxel lie in it along each axis, (parts, 3) 0–1; `fine`, (3,), says how many."""
    found = np.empty((fine[0] * fine[1] * fine[2], 3))
    for part in range(len(found)):
        found[part, 0] = ((part % fine[0]) + 0.5) / fine[0]
        found[part, 1] = ((part // fine[0] % fine[1]) + 0.5) / fine[1]
        found[part, 2] = ((part // (fine[0] * fine[1])) + 0.5) / fine[2]
    return found


@leaf()
def _shares(i, j, k, places, step, depths, affine, warp, to_warp, code, parameters, data, points, work, found, share):
    # how many of the voxel's parts lie deeper than each of `depths`
    for s in range(depths.size):
        share[s] = 0.0
    for start in range(0, places.shape[0], POINTS):
        n = min(POINTS, places.shape[0] - start)
        for m in range(n):
            a, b, c = places[start + m, 0], places[start + m, 1], places[start + m, 2]
            x, y, z = _template(i + a - 0.5, j + b - 0.5, k + c - 0.5, affine, warp, to_warp)
            points[0, m], points[1, m], points[2, m] = x, y, z
        distances(points, n, code, parameters, data, work, found)
        for m in range(n):
            for s in range(depths.size):
                share[s] += min(max(0.5 - (found[m] + depths[s]) / step, 0.0), 1.0)


def n_columns(start, stop):
    """Return the number of columns of bricks along z in the box of voxels from `start`, (3,), up to `stop`, (3,)."""
    return int(-(-(stop[0] - start[0]) // BRICK) * -(-(stop[1] - start[1]) // BRICK))


@leaf()
def _after_another(share, parts, amounts, outer):
    # `share` of shell s becomes the fraction to blend it with after those outside of it. The inner ones lie within it:
    # blended with all that is deeper, each would leave too much of the one before in voxels that both surfaces cross.
    last = share.size - 1
    deeper, filled = share[last] / parts, 0.0  # what is deeper than the shell's surface, and what inner shells fill
    own = deeper
    share[last] = amounts[last] * share[last] / parts
    for s in range(last - 1, outer - 1, -1):
        filled += share[s + 1] * (1 - filled)
        own = share[s] / parts - deeper + (1 - amounts[s + 1]) * own
        deeper = share[s] / parts
        share[s] = min(max(amounts[s] * own / (1 - filled), 0.0), 1.0) if filled < 1 else 0.0


@compiled()
def paint(
    column, end_column, code, parameters, data, affine, warp, to_warp, start, stop, fine, step, slack,
    depths, amounts, values, names, stack, weight, labels,
):  # fmt: skip
    """Paint one shape, and the shells inside it, over some columns of bricks of the maps; in place.

    Args:
        column: index of the first of the `n_columns`.
        end_column: one past the last.
        code: (n, 2) int64, the shape's program.
        parameters: (m,) float64, its parameters.
        data: (k,) float32, the maps that it samples.
        affine: (4, 4) float64, voxel index → world mm.
        warp: (3·nx·ny·nz,) float32 mm, map from world to template; empty for none (see `warp.py`).
        to_warp: (3, 5) float64, world mm → index into `warp`, and the number of its points along each axis.
        start: (3,) int64, first voxel of the shape's box.
        stop: (3,) int64, one past its last voxel.
        fine: (3,) int64, sub-voxels of a voxel on the surface along each axis.
        step: size of a sub-voxel, mm: the width of the partial-volume ramp.
        slack: mm by which the distance at a brick's centre must exceed its half diagonal to apply to the whole brick.
        depths: (s,) float64, mm below the surface where each shell begins, ascending.
        amounts: (s,) float64, share of the space in each shell that the material takes, 0–1.
        values: (s, c) float32, values of the maps in each shell.
        names: (s,) uint8, labels of the shells.
        stack: (c, nx, ny, nz) float32, the maps.
        weight: (nx, ny, nz) float32, fraction of the voxel that its label fills.
        labels: (nx, ny, nz) uint8.
    """
    n_y, n_z = -(-(stop[1] - start[1]) // BRICK), -(-(stop[2] - start[2]) // BRICK)
    size, places = diagonal(affine), places_in_voxel(fine)
    deepest, parts, several = depths[-1], places.shape[0], code.shape[0] > 1
    solid = 0  # the innermost shell that hides those before it
    for s in range(depths.size):
        if amounts[s] == 1:
            solid = s
    room, begin = np.empty((2, code.shape[0] + 1)), np.empty(code.shape[0], np.int64)
    of_bricks, of_brick, of_voxel = np.empty_like(code), np.empty_like(code), np.empty_like(code)
    share, steep = np.empty(depths.size), np.empty((3, 3))
    points, work = np.empty((3, POINTS)), np.empty((code.shape[0], POINTS))
    centres, found = np.empty(POINTS), np.empty(POINTS)
    for at in range(column, end_column):
        i0, j0 = start[0] + (at // n_y) * BRICK, start[1] + (at % n_y) * BRICK
        i1, j1 = min(i0 + BRICK, stop[0]), min(j0 + BRICK, stop[1])
        program, where = code, SURFACE
        for layer in range(n_z):
            k0 = start[2] + layer * BRICK
            k1 = min(k0 + BRICK, stop[2])
            if several and layer % TOGETHER == 0:
                first, end = (i0, j0, k0), (i1, j1, min(k0 + TOGETHER * BRICK, stop[2]))
                _steepness(first, end, affine, warp, to_warp, steep)
                where, length = _where(
                    first, end, step, depths, affine, warp, to_warp, steep, code, parameters, data, room, begin,
                    of_bricks,
                )  # fmt: skip
                program = of_bricks[:length]
            if where == OUTSIDE:
                continue
            first, end = (i0, j0, k0), (i1, j1, k1)
            n = _place_centre(first, end, affine, warp, to_warp, points)
            distances(points, n, program, parameters, data, work, found)
            brick = found[0]
            stretch = _steepness(first, end, affine, warp, to_warp, steep)
            half, near = stretch * size * BRICK / 2 + slack, (stretch * size + step) / 2 + slack
            if brick > half:
                continue
            inside, of_here = brick < -deepest - half, SURFACE
            if not inside:
                of_here, length = _where(
                    first, end, step, depths, affine, warp, to_warp, steep, program, parameters, data, room, begin,
                    of_brick,
                )  # fmt: skip
                if of_here == OUTSIDE:
                    continue
                near_by = of_brick[:length]
                if of_here == SURFACE:
                    n = _place_centres(first, end, affine, warp, to_warp, points)
                    distances(points, n, near_by, parameters, data, work, centres)
            voxel = -1
            for i in range(i0, i1):
                for j in range(j0, j1):
                    for k in range(k0, k1):
                        voxel += 1
                        if inside:
                            for s in range(solid, depths.size):
                                blend(amounts[s], values[s], names[s], stack, weight, labels, i, j, k)
                            continue
                        here, last = of_here, near_by
                        if here == SURFACE and centres[voxel] > near:
                            continue
                        if here == SURFACE and parts > 1:
                            first, end = (i, j, k), (i + 1, j + 1, k + 1)
                            here, length = _where(
                                first, end, step, depths, affine, warp, to_warp, steep, near_by, parameters, data,
                                room, begin, of_voxel,
                            )  # fmt: skip
                            last = of_voxel[:length]
                        if here == OUTSIDE:
                            continue
                        for s in range(depths.size):
                            share[s] = parts
                        if here == SURFACE and parts == 1:
                            for s in range(depths.size):
                                share[s] = min(max(0.5 - (centres[voxel] + depths[s]) / step, 0.0), 1.0)
                        elif here == SURFACE:
                            _shares(
                                i, j, k, places, step, depths, affine, warp, to_warp, last, parameters, data,
                                points, work, found, share,
                            )  # fmt: skip
                        outer = 0
                        for s in range(depths.size):
                            if amounts[s] * share[s] >= parts:
                                outer = s
                        _after_another(share, parts, amounts, outer)
                        for s in range(outer, depths.size):
                            if share[s] > 0:
                                blend(share[s], values[s], names[s], stack, weight, labels, i, j, k)


@compiled()
def affect(
    column, end_column, code, parameters, data, affine, warp, to_warp, start, stop, fine, step, slack,
    ramp, factors, amounts, relaxivity, label, stack, weight, labels,
):  # fmt: skip
    """Change the properties inside a shape, in place; arguments in common with `paint` have the same meaning.

    If the shape fills a fraction f of a voxel, χ+, χ−, PD, and R1 and R2 of water become v + f·((factor − 1)·v +
    amount), and the reversible rate R2* − R2 of each species increases by `relaxivity` times the increase of χ+ and χ−.
    No value becomes negative: what is taken from χ+ beyond what the tissue has makes χ− grow, so that χ changes by the
    amount all the same.

    Args:
        ramp: (4,) float64, the effect's strength g = n·x + o, clipped to 0–1, as n (1/mm) and o.
        factors: `Factors` of float32.
        amounts: `Amounts` of float32.
        relaxivity: 1/s/ppm.
        label: of the region that it creates; 0: labels are not changed.
    """
    n_y, n_z = -(-(stop[1] - start[1]) // BRICK), -(-(stop[2] - start[2]) // BRICK)
    size, places = diagonal(affine), places_in_voxel(fine)
    depths = np.zeros(1)
    parts = places.shape[0]
    share, steep = np.empty(1), np.empty((3, 3))
    points, work = np.empty((3, POINTS)), np.empty((code.shape[0], POINTS))
    centres, found = np.empty(POINTS), np.empty(POINTS)
    for at in range(column, end_column):
        i0, j0 = start[0] + (at // n_y) * BRICK, start[1] + (at % n_y) * BRICK
        i1, j1 = min(i0 + BRICK, stop[0]), min(j0 + BRICK, stop[1])
        for layer in range(n_z):
            k0 = start[2] + layer * BRICK
            k1 = min(k0 + BRICK, stop[2])
            first, end = (i0, j0, k0), (i1, j1, k1)
            stretch = _steepness(first, end, affine, warp, to_warp, steep)
            n = _place_centre(first, end, affine, warp, to_warp, points)
            distances(points, n, code, parameters, data, work, found)
            if found[0] > stretch * size * BRICK / 2 + slack:
                continue
            n = _place_centres(first, end, affine, warp, to_warp, points)
            distances(points, n, code, parameters, data, work, centres)
            near, voxel = (stretch * size + step) / 2 + slack, -1
            for i in range(i0, i1):
                for j in range(j0, j1):
                    for k in range(k0, k1):
                        voxel += 1
                        if centres[voxel] > near:
                            continue
                        _shares(
                            i, j, k, places, step, depths, affine, warp, to_warp, code, parameters, data,
                            points, work, found, share,
                        )  # fmt: skip
                        f = share[0] / parts
                        if f > 0:
                            _change(
                                f, affine, ramp, factors, amounts, relaxivity, label, stack, weight, labels, i, j, k
                            )  # fmt: skip


@compiled()
def affect_shares(plane, end_plane, shares, affine, ramp, factors, amounts, relaxivity, label, stack, weight, labels):
    """Change the properties of a `share` of each voxel, (nx, ny, nz) float32, as `affect` does."""
    for i in range(plane, end_plane):
        for j in range(shares.shape[1]):
            for k in range(shares.shape[2]):
                if shares[i, j, k] > 0:
                    _change(
                        shares[i, j, k], affine, ramp, factors, amounts, relaxivity, label, stack, weight, labels,
                        i, j, k,
                    )  # fmt: skip


@compiled()
def paint_shares(plane, end_plane, shares, amount, values, label, stack, weight, labels):
    """Fill a share of each voxel, (nx, ny, nz) float32, with `amount` (0–1) of a material, as `paint` does."""
    for i in range(plane, end_plane):
        for j in range(shares.shape[1]):
            for k in range(shares.shape[2]):
                if shares[i, j, k] > 0:
                    blend(amount * shares[i, j, k], values, label, stack, weight, labels, i, j, k)
