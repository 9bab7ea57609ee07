"""What rendering a phantom gives: the maps that the scanner simulation starts from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qsmbench.grid import Grid

CHANNELS = ("chi", "pd", "t1", "r2star", "fat_fraction")
"""Order of the properties in every stack of them: ppm relative to water, CSF = 1, s, 1/s, 0–1."""


@dataclass
class Properties:
    """Maps of the properties of an object.

    A voxel's `chi` and `pd` are means over what is in it; `t1`, `r2star` and `fat_fraction` are means weighted
    by proton density, since a voxel's signal knows only its protons.

    Attributes:
        grid: where the voxels lie.
        chi: (nx, ny, nz) float32, ppm relative to water.
        pd: (nx, ny, nz) float32, proton density relative to CSF.
        t1: (nx, ny, nz) float32, s; 0 where there are no protons.
        r2star: (nx, ny, nz) float32, 1/s; 0 where there are no protons.
        fat_fraction: (nx, ny, nz) float32, share of the protons that are in fat, 0–1.
        labels: (nx, ny, nz) uint8, index of the region that fills most of the voxel; 0 is outside.
        mask: (nx, ny, nz) bool, what a study looks at: the brain of a head, the object of a simple phantom.
        regions: index, name and group of each label (group `dgm`: deep grey matter).
        ambient_chi: ppm, the medium that surrounds the volume beyond the grid.
    """

    grid: Grid
    chi: np.ndarray
    pd: np.ndarray
    t1: np.ndarray
    r2star: np.ndarray
    fat_fraction: np.ndarray
    labels: np.ndarray
    mask: np.ndarray
    regions: list[tuple[int, str, str]]
    ambient_chi: float


def unweight(stack: np.ndarray) -> None:
    """Turn sums of property × proton density into means, in place.

    Args:
        stack: (5, nx, ny, nz) float32 in the order of `CHANNELS`, the last three multiplied by `pd`.
    """
    pd = stack[1]
    for volume in stack[2:]:
        np.divide(volume, pd, out=volume, where=pd > 1e-6)
        volume[pd <= 1e-6] = 0
