"""Property maps of a rendered phantom, the input of the scan simulation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np

from qsmbench.grid import Grid
from qsmbench.phantom.species import CHANNELS, SPECIES, Species, unweight


@dataclass
class Properties:
    """Maps of the properties of an object.

    A voxel's susceptibilities and `pd` are volume means; `t1`, `r2`, `r2star` and `fat_fraction` are means weighted by
    proton density, since only protons give signal.

    Attributes:
        grid: voxel grid.
        chi_para: (nx, ny, nz) float32, ppm relative to water, paramagnetic part.
        chi_dia: (nx, ny, nz) float32, ppm relative to water, diamagnetic part, as a positive number.
        pd: (nx, ny, nz) float32, proton density relative to CSF.
        t1: (nx, ny, nz) float32, s; 0 where there are no protons.
        r2: (nx, ny, nz) float32, 1/s; 0 where there are no protons.
        r2star: (nx, ny, nz) float32, 1/s, due to sub-voxel structure; 0 where there are no protons.
        fat_fraction: (nx, ny, nz) float32, fraction of the protons in fat, 0–1.
        labels: (nx, ny, nz) uint8, index of the region that fills most of the voxel; 0 is outside.
        mask: (nx, ny, nz) bool, the study mask: the brain of a head, the object of a simple phantom.
        regions: index, name and group of each label (group `dgm`: deep grey matter).
        ambient_chi: ppm, of the medium beyond the grid.
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

    def protons(self, species: Species) -> np.ndarray:
        """Return the proton density of one species relative to CSF, (nx, ny, nz) float32, a new array."""
        if species.fraction is not None:
            return getattr(self, species.pd) * getattr(self, species.fraction)
        others = reduce(np.add, (getattr(self, s.fraction) for s in SPECIES if s.fraction is not None))
        return getattr(self, species.pd) * (1 - others)

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
        """Return the properties of a painted stack.

        Args:
            grid: voxel grid.
            stack: (c, nx, ny, nz) float32, the channels in order, weighted by proton density; it is overwritten.
            labels: (nx, ny, nz) uint8.
            mask: (nx, ny, nz) bool.
            regions: index, name and group of each label.
            ambient_chi: ppm.
        """
        unweight(stack)
        maps = dict(zip(CHANNELS, stack, strict=True))
        return cls(grid, **maps, labels=labels, mask=mask, regions=regions, ambient_chi=ambient_chi)
