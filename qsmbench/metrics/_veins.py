"""Veins in groups of diameter and angle, and the overlap of masks with centre lines."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy import ndimage

from qsmbench.errors import NotApplicable
from qsmbench.grid import Grid
from qsmbench.ops.masks.centre_line import skeleton
from qsmbench.ops.masks.sides import right_half

DIAMETERS = (0.0, 1.0, 2.0, 4.0, np.inf)
"""Limits of the groups of diameter, in multiples of the mean voxel side."""

ANGLES = (0.0, 30.0, 60.0, 90.0)
"""Limits of the groups of the angle to B0, degrees."""

AWAY = 2.0
"""Distance from a true vein beyond which a voxel belongs to none, in voxels."""


def diameter_names() -> list[str]:
    """Return the names of the groups of diameter."""
    inner = [f"diameter {low:g}–{high:g} voxels" for low, high in pairwise(DIAMETERS[1:-1])]
    return [f"diameter below {DIAMETERS[1]:g} voxel", *inner, f"diameter from {DIAMETERS[-2]:g} voxels"]


def angle_names() -> list[str]:
    """Return the names of the groups of the angle to B0."""
    return [f"{low:g}–{high:g}° to B0" for low, high in pairwise(ANGLES)]


def by_diameter(diameter: np.ndarray, grid: Grid) -> np.ndarray:
    """Return the index of the group of diameter of each voxel, −1 outside veins.

    Args:
        diameter: (nx, ny, nz) mm, 0 outside veins.
        grid: voxel size.
    """
    edge = grid.voxel_volume ** (1 / 3)
    group = np.searchsorted(DIAMETERS[1:-1], diameter / edge, side="right")
    return np.where(diameter > 0, group, -1)


def by_angle(angle: np.ndarray) -> np.ndarray:
    """Return the index of the group of angle of each voxel; `angle` in degrees."""
    return np.searchsorted(ANGLES[1:-1], angle, side="right")


def groups_of_both(estimate: np.ndarray, truth: np.ndarray, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Return the groups of diameter of the voxels that were found, and of those that are true; −1 elsewhere.

    A voxel that was found belongs to the nearest true vein within two voxels, else to the group of its own diameter.

    Args:
        estimate: (nx, ny, nz) mm, 0 outside the veins that were found.
        truth: (nx, ny, nz) mm, 0 outside veins.
        grid: voxel size.
    """
    edge = grid.voxel_volume ** (1 / 3)
    true, own = by_diameter(truth, grid), by_diameter(estimate, grid)
    if not (truth > 0).any():
        return own, true
    distance, nearest = ndimage.distance_transform_edt(truth <= 0, sampling=grid.voxel_size, return_indices=True)
    found = np.where(distance <= AWAY * edge, true[tuple(nearest)], own)
    return np.where(estimate > 0, found, -1), true


def dice_of(found: np.ndarray, true: np.ndarray) -> float:
    """Compute the Dice coefficient of two masks; NaN if both are empty."""
    size = np.count_nonzero(found) + np.count_nonzero(true)
    return 2 * np.count_nonzero(found & true) / size if size else float("nan")


def cldice_of(precision: float, recall: float) -> float:
    """Compute the harmonic mean of the precision and the recall of centre lines; 0 if both are 0."""
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else precision + recall


def share(part: np.ndarray, whole: np.ndarray) -> float:
    """Return the share of the voxels of `whole` that are in `part`; NaN if it is empty."""
    size = np.count_nonzero(whole)
    return np.count_nonzero(part & whole) / size if size else float("nan")


def centre_lines(mask: np.ndarray, grid: Grid) -> np.ndarray:
    """Return the centre lines of a mask, (nx, ny, nz) bool."""
    return skeleton(np.asarray(mask), grid)


def errors(estimate: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the voxels that both have a value in, (nx, ny, nz) bool, and the error in each, (n,).

    Raises:
        NotApplicable: there is none.
    """
    both = (estimate != 0) & (truth > 0) & mask
    if not both.any():
        raise NotApplicable("no true vein has a value")
    return both, estimate[both].astype(float) - truth[both]


def in_groups(statistic, error: np.ndarray, group: np.ndarray, names: list[str]) -> dict[str, float]:
    """Return a statistic of the errors of each group; NaN where it has fewer than two.

    Args:
        statistic: of (n,) errors.
        error: (n,).
        group: (n,) index of the group of each.
        names: of the groups.
    """
    chosen = [error[group == i] for i in range(len(names))]
    return {name: float(statistic(e)) if e.size > 1 else np.nan for name, e in zip(names, chosen, strict=True)}


def left_and_right(chosen: np.ndarray, grid: Grid) -> tuple[list[str], np.ndarray]:
    """Return the names of the sides, and the index of the side of each chosen voxel.

    Args:
        chosen: (nx, ny, nz) bool, with n voxels.
        grid: its affine says where x = 0 is in the space of the scan.

    Returns:
        names, (n,) int.
    """
    return ["left", "right"], right_half(grid)[chosen].astype(int)


def half_width(error: np.ndarray) -> float:
    """Return half the width of the 95 % limits of agreement, 1.96 standard deviations."""
    return 1.96 * float(error.std(ddof=1))
