"""Painting a layer: the share of each voxel that lies in a shape takes on the layer's properties."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from qsmbench.phantom.distance import distance

BRICK = 4
"""Voxels along the edge of the bricks that are skipped, or filled, by one look at their centre."""


@njit(cache=True, nogil=True, inline="never")
def blend(f, values, label, stack, weight, labels, i, j, k):
    """Give the share `f` of voxel i, j, k to `values`, (c,), and `label`; the other arguments are as for `paint`."""
    for c in range(stack.shape[0]):
        stack[c, i, j, k] += np.float32(f) * (values[c] - stack[c, i, j, k])
    kept = weight[i, j, k] * (1 - f)
    if labels[i, j, k] == label:
        weight[i, j, k] = kept + f
    elif f >= kept:
        weight[i, j, k] = f
        labels[i, j, k] = label
    else:
        weight[i, j, k] = kept


@njit(cache=True, parallel=True, nogil=True)
def paint(
    code, parameters, data, affine, start, stop, fine, step, slack, depths, amounts, values, names,
    stack, weight, labels,
):  # fmt: skip
    """Paint one shape, and the shells inside it, over the maps; in place.

    Each row of voxels is written by one thread alone, so the result does not depend on how many there are.

    Args:
        code: (n, 2) int64, the shape's program.
        parameters: (m,) float64, its parameters.
        data: (k,) float32, the maps it samples.
        affine: (4, 4) float64, voxel index → world mm.
        start: (3,) int64, first voxel of the shape's box.
        stop: (3,) int64, one past its last voxel.
        fine: (3,) int64, parts into which a voxel on the surface is cut along each axis.
        step: mm, size of such a part: the width of the ramp of partial volume.
        slack: mm by which the distance at a brick's centre must exceed its half diagonal to decide for all of it.
        depths: (s,) float64, mm below the surface where each shell begins, ascending.
        amounts: (s,) float64, share of the space in each shell that the material takes, 0–1.
        values: (s, c) float32, what the maps hold in each shell.
        names: (s,) uint8, labels of the shells.
        stack: (c, nx, ny, nz) float32, the maps.
        weight: (nx, ny, nz) float32, share of the voxel that its label fills.
        labels: (nx, ny, nz) uint8.
    """
    n_x, n_y = -(-(stop[0] - start[0]) // BRICK), -(-(stop[1] - start[1]) // BRICK)
    n_z = -(-(stop[2] - start[2]) // BRICK)
    size = np.sqrt((affine[:3, :3] ** 2).sum())
    half = size * BRICK / 2 + slack
    parts = fine[0] * fine[1] * fine[2]
    deepest = depths[-1]
    solid = 0  # the innermost shell that hides those before it
    for s in range(depths.size):
        if amounts[s] == 1:
            solid = s
    near = (size + step) / 2 + slack
    for column in prange(n_x * n_y):
        work = np.empty(code.shape[0] + 1)
        share = np.empty(depths.size)
        i0, j0 = start[0] + (column // n_y) * BRICK, start[1] + (column % n_y) * BRICK
        i1, j1 = min(i0 + BRICK, stop[0]), min(j0 + BRICK, stop[1])
        for layer in range(n_z):
            k0 = start[2] + layer * BRICK
            k1 = min(k0 + BRICK, stop[2])
            a, b, c = (i0 + i1 - 1) / 2, (j0 + j1 - 1) / 2, (k0 + k1 - 1) / 2
            x = affine[0, 0] * a + affine[0, 1] * b + affine[0, 2] * c + affine[0, 3]
            y = affine[1, 0] * a + affine[1, 1] * b + affine[1, 2] * c + affine[1, 3]
            z = affine[2, 0] * a + affine[2, 1] * b + affine[2, 2] * c + affine[2, 3]
            brick = distance(x, y, z, code, parameters, data, work)
            if brick > half:
                continue
            inside = brick < -deepest - half
            for i in range(i0, i1):
                for j in range(j0, j1):
                    for k in range(k0, k1):
                        if inside:
                            for s in range(solid, depths.size):
                                blend(amounts[s], values[s], names[s], stack, weight, labels, i, j, k)
                            continue
                        share[:] = 0.0
                        x = affine[0, 0] * i + affine[0, 1] * j + affine[0, 2] * k + affine[0, 3]
                        y = affine[1, 0] * i + affine[1, 1] * j + affine[1, 2] * k + affine[1, 3]
                        z = affine[2, 0] * i + affine[2, 1] * j + affine[2, 2] * k + affine[2, 3]
                        if parts > 1 and distance(x, y, z, code, parameters, data, work) > near:
                            continue
                        for part in range(parts):
                            a = ((part % fine[0]) + 0.5) / fine[0] - 0.5
                            b = ((part // fine[0] % fine[1]) + 0.5) / fine[1] - 0.5
                            c = ((part // (fine[0] * fine[1])) + 0.5) / fine[2] - 0.5
                            xs = x + affine[0, 0] * a + affine[0, 1] * b + affine[0, 2] * c
                            ys = y + affine[1, 0] * a + affine[1, 1] * b + affine[1, 2] * c
                            zs = z + affine[2, 0] * a + affine[2, 1] * b + affine[2, 2] * c
                            d = distance(xs, ys, zs, code, parameters, data, work)
                            for s in range(depths.size):
                                f = 0.5 - (d + depths[s]) / step
                                share[s] += min(max(f, 0.0), 1.0)
                        first = 0
                        for s in range(depths.size):
                            if amounts[s] * share[s] >= parts:
                                first = s
                        for s in range(first, depths.size):
                            if share[s] > 0:
                                f = amounts[s] * share[s] / parts
                                blend(f, values[s], names[s], stack, weight, labels, i, j, k)
