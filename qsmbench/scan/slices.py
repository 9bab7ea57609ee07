"""2D imaging: slices with a gap between them, excited with a profile."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from qsmbench.scan.blocks import Factor, block_mean
from qsmbench.typed_yaml import Model


class Slices(Model):
    """Slices along the grid's z; their thickness is the third of the grid's `voxel_size`."""

    gap: Annotated[float, Field(ge=0)] = Field(0, description="gap between slices, mm")
    profile: Literal["box", "gaussian"] = Field("box", description="profile of the flip angle across a slice")


def profile(slices: Slices, thickness: float, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the profile on `n` sub-slices between the centres of two slices: exact for a box, sampled for a Gaussian.

    A Gaussian has half height at the faces of the slice and ends half-way to the next slice.

    Args:
        slices: gap and kind of profile.
        thickness: mm.
        n: sub-slices over thickness and gap.

    Returns:
        flip angle (n,) relative to the centre of the slice, and excited fraction (n,) of each sub-slice.
    """
    spacing = thickness + slices.gap
    middles = ((np.arange(n) + 0.5) / n - 0.5) * spacing
    if slices.profile == "gaussian":
        return np.exp(-4 * np.log(2) * (middles / thickness) ** 2), np.ones(n)
    half = spacing / n / 2
    inside = np.minimum(middles + half, thickness / 2) - np.maximum(middles - half, -thickness / 2)
    share = np.clip(inside / (2 * half), 0, 1)
    return np.ones(n), share


def slice_mean(volume: np.ndarray, factor: Factor, weight: np.ndarray | None) -> np.ndarray:
    """Return the mean of each block of sub-voxels, float32.

    Args:
        volume: on the fine grid.
        factor: sub-voxels per voxel (fx, fy, fz).
        weight: (fz,) of the sub-voxels along z; None: uniform.
    """
    if weight is None:
        return block_mean(volume, factor)
    fx, fy, fz = factor
    flat = block_mean(volume, (fx, fy, 1))
    share = (weight / weight.sum()).astype(np.float32)
    total = flat[:, :, ::fz] * share[0]
    for c in range(1, fz):
        total += flat[:, :, c::fz] * share[c]
    return total
