"""The species of protons in a voxel, such as water and fat, and the channels of a phantom's maps.

A tissue states its total proton density and the fraction of each species. In a stack of maps each species has its own
proton density and relaxation; their signals are added, their properties are never averaged with each other.
Susceptibility is that of the voxel: all its protons are in the same field.

Susceptibility and proton density are averaged by volume, relaxation by the proton density of its species. So a stack
contains the latter multiplied by that proton density, until `unweight` divides by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class Channel:
    """A property with a map.

    Attributes:
        name: of the property.
        unit: of its values; empty if it has none.
        weight: name of the proton density that it is multiplied by in a stack of maps; None if averaged by volume.
    """

    name: str
    unit: str
    weight: str | None = None


@dataclass(frozen=True)
class Species:
    """Protons of one kind.

    Attributes:
        name: of the species.
        prefix: of the names of its relaxation times and rates.
    """

    name: str
    prefix: str

    @property
    def pd(self) -> str:
        """Channel of its own proton density."""
        return f"{self.name}_pd"

    @property
    def fraction(self) -> str:
        """Name of its share of the proton density of a tissue; that of water is the remainder."""
        return f"{self.name}_fraction"

    @property
    def t1(self) -> str:
        """Channel of the longitudinal relaxation time."""
        return f"{self.prefix}t1"

    @property
    def r2(self) -> str:
        """Channel of the irreversible transverse relaxation rate."""
        return f"{self.prefix}r2"

    @property
    def r2star(self) -> str:
        """Channel of the effective transverse relaxation rate."""
        return f"{self.prefix}r2star"

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Its channels."""
        relaxation = ((self.t1, "s"), (self.r2, "1/s"), (self.r2star, "1/s"))
        return (Channel(self.pd, ""), *(Channel(name, unit, self.pd) for name, unit in relaxation))


WATER = Species("water", "")
FAT = Species("fat", "fat_")

SPECIES = (WATER, FAT)
"""The species that a phantom's protons belong to; all but water have spectra in `phantoms/spectra.csv`."""

CHI = ("chi_para", "chi_dia")
"""Channels of χ+ and χ−, the latter as a positive number."""

PROPERTIES = (*(Channel(name, "ppm") for name in CHI), *(channel for s in SPECIES for channel in s.channels))
"""All channels, in the order of every stack of maps. A proton density of 1 is that of CSF."""

CHANNELS = tuple(channel.name for channel in PROPERTIES)
"""Their names."""

REQUIRED = (*CHI, "pd", WATER.t1, WATER.r2, *(s.fraction for s in SPECIES[1:]))
"""What a tissue must state: χ, total proton density, relaxation of its water, fraction of the other species."""

STATED = (*REQUIRED, WATER.r2star, *(name for s in SPECIES[1:] for name in (s.t1, s.r2, s.r2star)))
"""All that a tissue can state."""

UNITS = {"pd": "", **{s.fraction: "" for s in SPECIES}, **{channel.name: channel.unit for channel in PROPERTIES}}
"""Unit of each channel and of each stated property."""

# what follows is for compiled loops, to which numbers and tuples of numbers are constants

CHI_PARA, CHI_DIA = (CHANNELS.index(name) for name in CHI)
"""Numbers of the channels of χ."""

RELAXATION = tuple(tuple(CHANNELS.index(name) for name in (s.pd, s.t1, s.r2, s.r2star)) for s in SPECIES)
"""Numbers of the channels PD, T1, R2 and R2* of each species."""

WATER_PD = CHANNELS.index(WATER.pd)
"""Number of the channel of water's proton density."""

WEIGHTS = tuple(CHANNELS.index(c.weight) if c.weight else -1 for c in PROPERTIES)
"""Number of the proton density that each channel is multiplied by in a stack; −1: none."""


FatPeaks = Literal[6, 7, 9]
"""Numbers of peaks of the spectra of fat."""


def in_order(values: Mapping[str, float]) -> np.ndarray:
    """Return the value of each channel, (c,) in the order of `CHANNELS`.

    Args:
        values: of `STATED`; the relaxation of a species without protons may be absent.
    """
    others = sum(values[s.fraction] for s in SPECIES[1:])
    shares = {WATER: 1 - others, **{s: values[s.fraction] for s in SPECIES[1:]}}
    found = {name: values[name] for name in CHI}
    for s, share in shares.items():
        relaxation = (s.t1, s.r2, s.r2star)
        found[s.pd] = values["pd"] * share
        found |= {name: values[name] if share > 0 else values.get(name, 0.0) for name in relaxation}
    return np.array([found[name] for name in CHANNELS])


def weight(values: np.ndarray) -> np.ndarray:
    """Return values, (…, c), with each channel multiplied by its proton density, as they mix."""
    weighted = values.copy()
    for channel, density in enumerate(WEIGHTS):
        if density >= 0:
            weighted[..., channel] *= values[..., density]
    return weighted


def unweight(stack: np.ndarray) -> None:
    """Turn sums of property × proton density into means, in place.

    Args:
        stack: (c, nx, ny, nz) float32, the channels in their order, as they mix.
    """
    for channel, density in enumerate(WEIGHTS):
        if density >= 0 and stack[density].any():  # maps of a species without protons stay untouched
            pd, volume = stack[density], stack[channel]
            np.divide(volume, pd, out=volume, where=pd > 1e-6)
            volume[pd <= 1e-6] = 0
