"""Property maps of a rendered phantom, the input of the scan simulation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np

from qsmbench.grid import Grid
from qsmbench.phantom.species import CHANNELS, SPECIES, WATER, Species, unweight
from qsmbench.spectra import Spectrum


@dataclass(frozen=True)
class Protons:
    """Maps of the protons of one species.

    Attributes:
        pd: (nx, ny, nz) float32, proton density relative to CSF.
        t1: (nx, ny, nz) float32, s.
        r2: (nx, ny, nz) float32, 1/s.
        r2star: (nx, ny, nz) float32, 1/s.
        spectrum: its resonances.
    """

    pd: np.ndarray
    t1: np.ndarray
    r2: np.ndarray
    r2star: np.ndarray
    spectrum: Spectrum


@dataclass
class Properties:
    """Maps of the properties of an object.

    A voxel's susceptibilities and proton densities are volume means; relaxation times and rates are means weighted by
    the proton density of their species, since only protons give signal.

    Attributes:
        grid: voxel grid.
        chi_para: (nx, ny, nz) float32, ppm relative to water, paramagnetic part.
        chi_dia: (nx, ny, nz) float32, ppm relative to water, diamagnetic part, as a positive number.
        water_pd: (nx, ny, nz) float32, proton density of water relative to CSF.
        t1: (nx, ny, nz) float32, s, of water; 0 where there is none.
        r2: (nx, ny, nz) float32, 1/s, of water; 0 where there is none.
        r2star: (nx, ny, nz) float32, 1/s, of water, due to sub-voxel structure; 0 where there is none.
        fat_pd: (nx, ny, nz) float32, proton density of fat relative to CSF.
        fat_t1: (nx, ny, nz) float32, s, of fat; 0 where there is none.
        fat_r2: (nx, ny, nz) float32, 1/s, of fat; 0 where there is none.
        fat_r2star: (nx, ny, nz) float32, 1/s, of fat, due to sub-voxel structure; 0 where there is none.
        labels: (nx, ny, nz) uint8, index of the region that fills most of the voxel; 0 is outside.
        mask: (nx, ny, nz) bool, the study mask: the brain of a head, the object of a simple phantom.
        regions: index, name and group of each label (group `dgm`: deep grey matter).
        ambient_chi: ppm, of the medium beyond the grid.
        spectra: of each species.
    """

    grid: Grid
    chi_para: np.ndarray
    chi_dia: np.ndarray
    water_pd: np.ndarray
    t1: np.ndarray
    r2: np.ndarray
    r2star: np.ndarray
    fat_pd: np.ndarray
    fat_t1: np.ndarray
    fat_r2: np.ndarray
    fat_r2star: np.ndarray
    labels: np.ndarray
    mask: np.ndarray
    regions: list[tuple[int, str, str]]
    ambient_chi: float
    spectra: dict[Species, Spectrum]

    @property
    def chi(self) -> np.ndarray:
        """(nx, ny, nz) float32, ppm relative to water: `chi_para` − `chi_dia`, a new array."""
        return self.chi_para - self.chi_dia

    @property
    def present(self) -> tuple[Species, ...]:
        """The species with protons: water, and others if there are any."""
        return tuple(s for s in SPECIES if s is WATER or getattr(self, s.pd).any())

    @property
    def pd(self) -> np.ndarray:
        """(nx, ny, nz) float32, proton density of all species relative to CSF."""
        return reduce(np.add, (getattr(self, s.pd) for s in self.present))

    @property
    def fat_fraction(self) -> np.ndarray:
        """(nx, ny, nz) float32, fraction of the protons in fat, 0–1, a new array."""
        total = self.pd
        return np.divide(self.fat_pd, total, out=np.zeros_like(total), where=total > 0)

    def mean_over_species(self, name: str) -> np.ndarray:
        """Return the mean of `r2` or `r2star` over the protons of all species, (nx, ny, nz) float32, 1/s."""
        if self.present == (WATER,):
            return getattr(self, name)
        total = self.pd
        whole = reduce(np.add, (getattr(self, s.pd) * getattr(self, getattr(s, name)) for s in self.present))
        return np.divide(whole, total, out=np.zeros_like(total), where=total > 0)

    def protons(self, species: Species) -> Protons:
        """Return the maps of one species."""
        pd, t1, r2, r2star = (getattr(self, name) for name in (species.pd, species.t1, species.r2, species.r2star))
        return Protons(pd, t1, r2, r2star, self.spectra[species])

    @classmethod
    def of(
        cls,
        grid: Grid,
        stack: np.ndarray,
        labels: np.ndarray,
        mask: np.ndarray,
        regions: list[tuple[int, str, str]],
        ambient_chi: float,
        spectra: dict[Species, Spectrum],
    ) -> Properties:
        """Return the properties of a painted stack.

        Args:
            grid: voxel grid.
            stack: (c, nx, ny, nz) float32, the channels in order, weighted by proton density; it is overwritten.
            labels: (nx, ny, nz) uint8.
            mask: (nx, ny, nz) bool.
            regions: index, name and group of each label.
            ambient_chi: ppm.
            spectra: of each species.
        """
        unweight(stack)
        maps = dict(zip(CHANNELS, stack, strict=True))
        return cls(grid, **maps, labels=labels, mask=mask, regions=regions, ambient_chi=ambient_chi, spectra=spectra)
