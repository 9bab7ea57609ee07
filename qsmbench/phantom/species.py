"""The channels of a phantom's maps, and the species of protons that they describe.

Susceptibility and proton density are averaged by volume, properties of protons by proton density. So a stack of maps
contains the latter multiplied by the proton density, until `Properties` divides by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from qsmbench.units import hz_per_ppm


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
    """Protons of one kind: the names of the channels with their properties, and their spectrum.

    Attributes:
        name: of the species.
        chi: χ+ and χ− of their medium.
        pd: total proton density, of which this species has `fraction`.
        fraction: 0–1; None for the remainder.
        t1: longitudinal relaxation time.
        r2: irreversible transverse relaxation rate.
        r2star: effective transverse relaxation rate.
        shift: ppm from water, of each peak of the spectrum.
        amplitude: of each peak, relative to each other.
        source: of the spectrum.
    """

    name: str
    chi: tuple[str, str]
    pd: str
    fraction: str | None
    t1: str
    r2: str
    r2star: str
    shift: tuple[float, ...]
    amplitude: tuple[float, ...]
    source: str

    def dephasing(self, te: np.ndarray, b0: float) -> np.ndarray:
        """Compute the complex signal of the spectrum alone, relative to as many protons at 0 ppm: (n_echoes,).

        Args:
            te: (n_echoes,) s.
            b0: T.
        """
        amplitude = np.array(self.amplitude)
        phase = 2 * np.pi * hz_per_ppm(b0) * np.outer(te, self.shift)
        return np.exp(1j * phase) @ (amplitude / amplitude.sum())


PROPERTIES = (
    Channel("chi_para", "ppm"),
    Channel("chi_dia", "ppm"),  # as a positive number
    Channel("pd", ""),  # CSF = 1
    Channel("t1", "s", weight="pd"),
    Channel("r2", "1/s", weight="pd"),
    Channel("r2star", "1/s", weight="pd"),
    Channel("fat_fraction", "", weight="pd"),
)
"""All channels, in the order of every stack of maps."""

CHANNELS = tuple(channel.name for channel in PROPERTIES)
"""Their names."""

WATER = Species(
    name="water",
    chi=("chi_para", "chi_dia"),
    pd="pd",
    fraction=None,
    t1="t1",
    r2="r2",
    r2star="r2star",
    shift=(0.0,),
    amplitude=(1.0,),
    source="the reference of all shifts",
)

FAT = Species(
    name="fat",
    chi=("chi_para", "chi_dia"),
    pd="pd",
    fraction="fat_fraction",
    t1="t1",
    r2="r2",
    r2star="r2star",
    shift=(-3.80, -3.40, -2.60, -1.95, -0.50, 0.60),
    amplitude=(0.088, 0.700, 0.120, 0.006, 0.039, 0.047),
    source="six-peak model, Silva 2023, doi:10.1002/mrm.29597",
)

SPECIES = (WATER, FAT)
"""The species that a phantom's protons belong to."""

# what follows is for compiled loops, to which numbers and tuples of numbers are constants

CHI_PARA, CHI_DIA = (CHANNELS.index(name) for name in WATER.chi)
"""Numbers of the channels of χ."""

RELAXATION = tuple(
    dict.fromkeys(
        (CHANNELS.index(s.pd), CHANNELS.index(s.t1), CHANNELS.index(s.r2), CHANNELS.index(s.r2star)) for s in SPECIES
    )
)
"""Numbers of the channels PD, T1, R2 and R2* of each species, once for those that share them."""

WEIGHTS = tuple(CHANNELS.index(c.weight) if c.weight else -1 for c in PROPERTIES)
"""Number of the proton density that each channel is multiplied by in a stack; −1: none."""


def in_order(values: Mapping[str, float]) -> np.ndarray:
    """Return the value of each channel, (c,) in the order of `CHANNELS`."""
    return np.array([values[name] for name in CHANNELS])


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
        if density >= 0:
            pd, volume = stack[density], stack[channel]
            np.divide(volume, pd, out=volume, where=pd > 1e-6)
            volume[pd <= 1e-6] = 0
