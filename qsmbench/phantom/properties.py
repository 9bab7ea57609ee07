"""What rendering a phantom gives: the maps that the scanner simulation starts from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qsmbench.grid import Grid

CHANNELS = ("chi_para", "chi_dia", "pd", "t1", "r2", "r2star", "fat_fraction")
"""Order of the properties in every stack of them: ppm, ppm (positive), CSF = 1, s, 1/s, 1/s, 0–1."""

PD = CHANNELS.index("pd")
"""What comes after proton density mixes in proportion to it."""


@dataclass
class Properties:
    """Maps of the properties of an object.

    A voxel's susceptibilities and `pd` are means over what is in it; `t1`, `r2`, `r2star` and `fat_fraction` are
    means weighted by proton density, since a voxel's signal knows only its protons.

    Attributes:
        grid: where the voxels lie.
        chi_para: (nx, ny, nz) float32, ppm relative to water, of what is more paramagnetic than water.
        chi_dia: (nx, ny, nz) float32, ppm, of what is more diamagnetic than water, as a positive magnitude.
        pd: (nx, ny, nz) float32, proton density relative to CSF.
        t1: (nx, ny, nz) float32, s; 0 where there are no protons.
        r2: (nx, ny, nz) float32, 1/s; 0 where there are no protons.
        r2star: (nx, ny, nz) float32, 1/s, of what is finer than a voxel; 0 where there are no protons.
        fat_fraction: (nx, ny, nz) float32, share of the protons that are in fat, 0–1.
        labels: (nx, ny, nz) uint8, index of the region that fills most of the voxel; 0 is outside.
        mask: (nx, ny, nz) bool, what a study looks at: the brain of a head, the object of a simple phantom.
        regions: index, name and group of each label (group `dgm`: deep grey matter).
        ambient_chi: ppm, the medium that surrounds the volume beyond the grid.
    """

    grid: Grid
    chi_para: np.ndarray
    chi_dia: np.ndarray
    pd: np.ndarray
    t1: np.ndarray
    r2: np.ndarray
    r2star: np.ndarray
    fat_fraction: np.ndarray
    labels: np.ndarray
    mask: np.ndarray
    regions: list[tuple[int, str, str]]
    ambient_chi: float

    @property
    def chi(self) -> np.ndarray:
        """(nx, ny, nz) float32, ppm relative to water: `chi_para` − `chi_dia`, a new array."""
        return self.chi_para - self.chi_dia

    @classmethod
    def of(
        cls,
        grid: Grid,
        stack: np.ndarray,
        labels: np.ndarray,
        mask: np.ndarray,
        regions: list[tuple[int, str, str]],
        ambient_chi: float,
    ) -> Properties:
        """The properties whose maps are a painted `stack`, which they take over; see `unweight`."""
        unweight(stack)
        maps = dict(zip(CHANNELS, stack, strict=True))
        return cls(grid, **maps, labels=labels, mask=mask, regions=regions, ambient_chi=ambient_chi)


def unweight(stack: np.ndarray) -> None:
    """Turn sums of property × proton density into means, in place.

    Args:
        stack: (7, nx, ny, nz) float32 in the order of `CHANNELS`, those after `pd` multiplied by it.
    """
    pd = stack[PD]
    for volume in stack[PD + 1 :]:
        np.divide(volume, pd, out=volume, where=pd > 1e-6)
        volume[pd <= 1e-6] = 0
