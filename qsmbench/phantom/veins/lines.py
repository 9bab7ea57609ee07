"""The centre lines of veins on a grid: which voxels are veins, their diameter, angle and oxygen extraction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qsmbench.compiled import compiled
from qsmbench.grid import Grid

STEP = 0.25
"""Spacing of the points along a centre line, in voxels."""

TOGETHER = 1000
"""Number of veins whose points are computed at a time; the points of all veins of a fine grid take gigabytes."""


def vein_maps(
    veins: Sequence[np.ndarray], extraction: np.ndarray, number: np.ndarray, grid: Grid
) -> dict[str, np.ndarray]:
    """Return the truth about veins on a grid.

    A voxel is a vein if its centre lies in one, or if a centre line runs through it, however thin the vein; where
    several meet, it is the widest.

    Args:
        veins: points (n, 4) of each: world x, y, z, radius [mm].
        extraction: (n_veins,) oxygen extraction fraction, 0–1.
        number: (n_veins,) of the name of each, 1–255.
        grid: of the maps.

    Returns:
        vein (bool), vein_diameter [mm], vein_angle [degrees to B0], oef [0–1] and vein_name (uint8), each (nx, ny, nz).
    """
    diameter, angle, oef = (np.zeros(grid.shape, np.float32) for _ in range(3))
    name = np.zeros(grid.shape, np.uint8)
    distance = np.full(grid.shape, np.inf, np.float32)
    inverse = np.linalg.inv(grid.affine)
    size, edge = np.array(grid.voxel_size), min(grid.voxel_size)
    turn = np.linalg.inv(grid.affine[:3, :3] / size)
    for start in range(0, len(veins), TOGETHER):
        of_vein, place, radius, direction = _along(veins[start : start + TOGETHER], STEP * edge)
        voxel = place @ inverse[:3, :3].T + inverse[:3, 3]
        cosine = np.abs((direction @ turn.T) @ np.array(grid.b0_dir))
        degrees = np.degrees(np.arccos(np.clip(cosine, 0, 1)))
        own = extraction[start + of_vein], number[start + of_vein]
        _draw(voxel, radius, degrees, *own, size, diameter, angle, oef, name, distance)
    return {"vein": diameter > 0, "vein_diameter": diameter, "vein_angle": angle, "oef": oef, "vein_name": name}


def _along(veins: Sequence[np.ndarray], step: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return places along veins, about `step` apart: vein (m,), place (m, 3) mm, radius (m,) mm, direction (m, 3)."""
    begin = np.concatenate([points[:-1] for points in veins])
    pieces = np.concatenate([points[1:] for points in veins]) - begin
    lengths = np.linalg.norm(pieces[:, :3], axis=1)
    counts = np.maximum(np.ceil(lengths / step).astype(int), 1)
    piece = np.repeat(np.arange(len(counts)), counts)
    share = (np.arange(len(piece)) - (np.cumsum(counts) - counts)[piece] + 0.5) / counts[piece]
    values = begin[piece] + share[:, None] * pieces[piece]
    direction = pieces[piece, :3] / np.maximum(lengths[piece, None], 1e-9)
    of_vein = np.repeat(np.arange(len(veins)), [len(points) - 1 for points in veins])[piece]
    return of_vein, values[:, :3], values[:, 3], direction


@compiled()
def _draw(voxel, radius, degrees, fraction, number, size, diameter, angle, oef, name, distance):
    """Draw the balls about points of veins into the maps, in place.

    `distance` is that of a voxel's centre from the wall of the vein that it belongs to, negative inside: of veins that
    contain the centre, the one in which it is deepest wins, of others the widest.
    """
    nx, ny, nz = diameter.shape
    for n in range(len(radius)):
        x, y, z = voxel[n]
        r = radius[n]
        for i in range(max(int(np.floor(x - r / size[0] + 0.5)), 0), min(int(np.ceil(x + r / size[0] + 0.5)), nx)):
            for j in range(max(int(np.floor(y - r / size[1] + 0.5)), 0), min(int(np.ceil(y + r / size[1] + 0.5)), ny)):
                for k in range(
                    max(int(np.floor(z - r / size[2] + 0.5)), 0), min(int(np.ceil(z + r / size[2] + 0.5)), nz)
                ):
                    a, b, c = (i - x) * size[0], (j - y) * size[1], (k - z) * size[2]
                    deep = np.sqrt(a * a + b * b + c * c) - r
                    through = abs(i - x) <= 0.5 and abs(j - y) <= 0.5 and abs(k - z) <= 0.5
                    if deep > 0 and not through:
                        continue
                    if deep <= 0:
                        taken = deep < distance[i, j, k]
                    else:
                        taken = distance[i, j, k] > 0 and 2 * r > diameter[i, j, k]
                    if taken:
                        distance[i, j, k] = deep
                        diameter[i, j, k] = 2 * r
                        angle[i, j, k] = degrees[n]
                        oef[i, j, k] = fraction[n]
                        name[i, j, k] = number[n]
