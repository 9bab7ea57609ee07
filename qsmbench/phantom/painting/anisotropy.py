"""Dependence of χ and R2* of white matter on the angle between fibres and B0."""

from __future__ import annotations

import numpy as np

from qsmbench.compiled import compiled
from qsmbench.phantom.lookup import trilinear
from qsmbench.phantom.painting.canvas import Canvas
from qsmbench.phantom.painting.fibres import SPACING, Course
from qsmbench.phantom.species import CHI_DIA, CHI_PARA, RELAXATION
from qsmbench.threads import over_planes


def apply(canvas: Canvas, courses: dict[int, Course], strength: np.ndarray) -> None:
    """Apply the dependence of χ and R2* on the angle θ between fibres and B0 to a painted canvas, in place.

    χ = χ0 + δχ·cos²θ, in signed terms: a positive δχ reduces |χ−|, and the excess is added to χ+.
    R2* = mean + δR2*·(sin²θ − 2/3), which preserves the mean over all orientations (Lee 2011,
    doi:10.1016/j.neuroimage.2011.04.026, without their sin⁴θ term), and is not below R2.

    Args:
        canvas: with all channels.
        courses: fibre directions, by label.
        strength: (256, 2) float32 for each label: δχ [ppm] and δR2* [1/s].
    """
    axes = canvas.grid.affine[:3, :3] / np.array(canvas.grid.voxel_size)
    b0 = axes @ np.array(canvas.grid.b0_dir)  # in the head's axes
    b0 /= np.linalg.norm(b0)
    squares: list[np.ndarray] = []
    start = np.full(256, -1)  # in `squares`
    shape, origin = np.zeros((256, 3), np.int64), np.zeros((256, 3))
    starts: dict[int, int] = {}  # regions may share a course
    length = 0
    for label, course in courses.items():
        if not strength[label].any():
            continue
        if id(course) not in starts:
            starts[id(course)] = length
            squares.append(course.along(b0).ravel())
            length += squares[-1].size
        start[label], shape[label], origin[label] = starts[id(course)], course.tensor.shape[:3], course.origin
    if squares:
        over_planes(
            _orient, canvas.grid.shape[0], canvas.stack, canvas.weight, canvas.labels, np.concatenate(squares), start,
            shape, origin, strength, canvas.grid.affine,
        )  # fmt: skip


@compiled(error_model="numpy")
def _orient(first, stop, stack, weight, labels, squares, start, shape, origin, strength, affine):
    for i in range(first, stop):
        for j in range(labels.shape[1]):
            for k in range(labels.shape[2]):
                label = labels[i, j, k]
                if start[label] < 0:
                    continue
                x = affine[0, 0] * i + affine[0, 1] * j + affine[0, 2] * k + affine[0, 3]
                y = affine[1, 0] * i + affine[1, 1] * j + affine[1, 2] * k + affine[1, 3]
                z = affine[2, 0] * i + affine[2, 1] * j + affine[2, 2] * k + affine[2, 3]
                u, v = (x - origin[label, 0]) / SPACING, (y - origin[label, 1]) / SPACING
                w = (z - origin[label, 2]) / SPACING
                nx, ny, nz = shape[label, 0], shape[label, 1], shape[label, 2]
                square = trilinear(squares, start[label], nx, ny, nz, u, v, w)
                dia = stack[CHI_DIA, i, j, k] - weight[i, j, k] * strength[label, 0] * square
                stack[CHI_PARA, i, j, k] += max(-dia, 0.0)
                stack[CHI_DIA, i, j, k] = max(dia, 0.0)
                # sin² − 2/3 = 1/3 − cos²
                for pd, _, r2, r2star in RELAXATION:
                    if stack[pd, i, j, k] == 0:
                        continue
                    more = weight[i, j, k] * strength[label, 1] * (1 / 3 - square) * stack[pd, i, j, k]
                    stack[r2star, i, j, k] = max(stack[r2star, i, j, k] + more, stack[r2, i, j, k])
