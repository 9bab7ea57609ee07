"""Texture within tissues: iron and myelin vary smoothly, and χ, R2*, R1 and PD vary with them."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from qsmbench.compiled import compiled, leaf
from qsmbench.grid import Grid
from qsmbench.phantom.atlas import Atlas
from qsmbench.phantom.description.models import Texture
from qsmbench.phantom.lookup import trilinear
from qsmbench.phantom.painting.boxes import grid_box
from qsmbench.phantom.painting.canvas import Canvas
from qsmbench.phantom.species import CHI_DIA, CHI_PARA, RELAXATION, WATER_PD, WEIGHTS
from qsmbench.seeds import generator
from qsmbench.threads import over_planes

IRON, MYELIN, BALANCE = 0, 1, 2
"""Order of the fields."""

FOLLOWS = 3
"""After them: whether a tissue's R2* varies, too."""


def noise(texture: Texture, subject: int, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Draw fields of mean 0 and variance 1; also return the position of their first point.

    They are for iron, for myelin and, if a group has any, for the balance of χ+ and χ−.

    Args:
        texture: seed, spacing and scales.
        subject: number of the subject.
        grid: the box to cover; the same box gives the same texture.

    Returns:
        (2 or 3, nx, ny, nz) float32, and (3,) world mm.
    """
    low, high = grid_box(grid)
    start = low - 2 * texture.spacing
    count = np.ceil((high - start) / texture.spacing).astype(int) + 3
    fields = _smooth(texture, generator([texture.seed, subject, 3]), (2, *count))
    if any(grain.balance for grain in texture.groups.values()):
        fields = np.concatenate([fields, _smooth(texture, generator([texture.seed, subject, 4]), (1, *count))])
    return fields, start


def _smooth(texture: Texture, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw fields of mean 0 and variance 1 on the lattice, (fields, nx, ny, nz)."""
    total: np.ndarray = np.zeros(shape, np.float32)
    for scale in texture.scales:
        white = rng.standard_normal(total.shape, dtype=np.float32)
        for field, values in enumerate(white):
            smooth = ndimage.gaussian_filter(values, scale / texture.spacing, mode="wrap")
            total[field] += smooth / smooth.std()
    return total / np.float32(np.sqrt(len(texture.scales)))


def apply(
    canvas: Canvas,
    texture: Texture,
    fields: np.ndarray,
    origin: np.ndarray,
    grains: np.ndarray,
    atlas: Atlas,
    dr: float,
) -> None:
    """Apply texture to a painted canvas, in place; the mean over each region does not change.

    Args:
        canvas: with all channels.
        texture: relative changes of R1 and PD.
        fields: (2 or 3, mx, my, mz) float32, from `noise`.
        origin: (3,) world mm of their first point.
        grains: (256, 4) float32 for each label: standard deviations of iron, myelin and balance, and whether R2*
            varies.
        atlas: labels of the whole object, to compute the mean of the fields in each region.
        dr: relaxivity of susceptibility at the canvas's field, 1/s/ppm.
    """
    to_field = np.diag([*(1 / np.full(3, texture.spacing)), 1.0])
    to_field[:3, 3] = -np.asarray(origin) / texture.spacing
    means = _means(atlas, fields, to_field)
    coupling = np.array([texture.r1, texture.r1_iron, texture.pd])
    over_planes(
        _vary, canvas.grid.shape[0], canvas.stack, canvas.weight, canvas.labels, fields.ravel(), fields.shape[1:],
        to_field @ canvas.grid.affine, grains, means, coupling, dr,
    )  # fmt: skip


def _means(atlas: Atlas, fields: np.ndarray, to_field: np.ndarray) -> np.ndarray:
    """Return the mean of the fields over each label of the atlas, (256, fields)."""
    grid: Grid = atlas.grid
    index = np.indices(grid.shape).reshape(3, -1)
    matrix = to_field @ grid.affine
    place = matrix[:3, :3] @ index + matrix[:3, 3:]
    labels = atlas.labels.ravel()
    count = np.maximum(np.bincount(labels, minlength=256), 1)
    sampled = (ndimage.map_coordinates(f, place, order=1, mode="nearest") for f in fields)
    return np.stack([np.bincount(labels, weights=s, minlength=256) / count for s in sampled], axis=1)


@leaf()
def _deviation(field, fields, shape, x, y, z, mean, sd, weight):
    """Return the relative change by a field at x, y, z between its points, in the share `weight` of a voxel."""
    nx, ny, nz = shape
    value = trilinear(fields, field * nx * ny * nz, nx, ny, nz, x, y, z)
    # no more than 2.5 standard deviations, so that nothing turns negative
    return weight * min(max(value - mean, -2.5), 2.5) * sd


@compiled(error_model="numpy")
def _vary(start, stop, stack, weight, labels, fields, shape, affine, grains, means, coupling, dr):
    for i in range(start, stop):
        for j in range(labels.shape[1]):
            for k in range(labels.shape[2]):
                label = labels[i, j, k]
                if grains[label, IRON] == 0 and grains[label, MYELIN] == 0 and grains[label, BALANCE] == 0:
                    continue
                x = affine[0, 0] * i + affine[0, 1] * j + affine[0, 2] * k + affine[0, 3]
                y = affine[1, 0] * i + affine[1, 1] * j + affine[1, 2] * k + affine[1, 3]
                z = affine[2, 0] * i + affine[2, 1] * j + affine[2, 2] * k + affine[2, 3]
                mean_iron, mean_myelin = means[label, IRON], means[label, MYELIN]
                sd_iron, sd_myelin = grains[label, IRON], grains[label, MYELIN]
                more_iron = _deviation(IRON, fields, shape, x, y, z, mean_iron, sd_iron, weight[i, j, k])
                more_myelin = _deviation(MYELIN, fields, shape, x, y, z, mean_myelin, sd_myelin, weight[i, j, k])
                para, dia = stack[CHI_PARA, i, j, k] * more_iron, stack[CHI_DIA, i, j, k] * more_myelin
                stack[CHI_PARA, i, j, k] += para
                stack[CHI_DIA, i, j, k] += dia
                kept = 1 - coupling[2] * more_myelin  # of the proton density
                r1 = 1 + coupling[0] * more_myelin + coupling[1] * more_iron
                for density, t1, _, r2star in RELAXATION:
                    pd = stack[density, i, j, k]
                    if pd == 0:
                        continue
                    if density == WATER_PD:
                        pd *= kept
                        stack[density, i, j, k] = pd
                        for c in range(len(WEIGHTS)):
                            if WEIGHTS[c] == density:
                                stack[c, i, j, k] *= kept / r1 if c == t1 else kept
                    if grains[label, FOLLOWS] > 0:
                        stack[r2star, i, j, k] += pd * dr * (para + dia)
                if grains[label, BALANCE] > 0:  # χ+ in place of χ−, which R2* does not show
                    total = stack[CHI_PARA, i, j, k] + stack[CHI_DIA, i, j, k]
                    mean, sd = means[label, BALANCE], grains[label, BALANCE]
                    moved = total * _deviation(BALANCE, fields, shape, x, y, z, mean, sd, weight[i, j, k])
                    moved = min(max(moved, -stack[CHI_PARA, i, j, k]), stack[CHI_DIA, i, j, k])
                    stack[CHI_PARA, i, j, k] += moved
                    stack[CHI_DIA, i, j, k] -= moved
