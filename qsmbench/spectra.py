"""Spectra of protons, from `phantoms/spectra.csv`: one table for the simulator and for the methods."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache

import numpy as np

from qsmbench.errors import QsmbenchError
from qsmbench.paths import data_dir
from qsmbench.units import hz_per_ppm

BODY_TEMPERATURE = 37.0
"""°C, at which the shifts of the table hold."""

SHIFT_OF_WATER = -0.01
"""ppm/°C by which water's resonance moves while others stay (Ishihara 1995, doi:10.1002/mrm.1910340606)."""


@dataclass(frozen=True)
class Spectrum:
    """Resonances of one kind of protons.

    Attributes:
        shift: (n_peaks,) ppm from water.
        amplitude: (n_peaks,) of each peak, relative to each other.
        source: reference.
    """

    shift: tuple[float, ...]
    amplitude: tuple[float, ...]
    source: str

    @property
    def is_reference(self) -> bool:
        """Whether it is a single peak at 0 ppm."""
        return self.shift == (0.0,)

    def dephasing(self, te: np.ndarray, b0: float) -> np.ndarray:
        """Compute the complex signal of the spectrum alone, relative to as many protons at 0 ppm: (n_echoes,).

        Args:
            te: (n_echoes,) s.
            b0: T.
        """
        amplitude = np.array(self.amplitude)
        phase = 2 * np.pi * hz_per_ppm(b0) * np.outer(te, self.shift)
        return np.exp(1j * phase) @ (amplitude / amplitude.sum())


@cache
def spectrum(species: str, peaks: int | None = None, temperature: float = BODY_TEMPERATURE) -> Spectrum:
    """Return the spectrum of a species.

    Args:
        species: water or fat.
        peaks: number of peaks, which selects one of the spectra of the table; None: the first one.
        temperature: °C, which moves all peaks relative to water.

    Raises:
        QsmbenchError: the table has none with so many peaks.
    """
    known = _spectra()[species]
    if (chosen := peaks or next(iter(known))) not in known:
        raise QsmbenchError(f"peaks is {peaks!r}; the spectra of {species} have {', '.join(map(str, known))}")
    found = known[chosen]
    if found.is_reference:
        return found
    warmer = -SHIFT_OF_WATER * (temperature - BODY_TEMPERATURE)
    return Spectrum(tuple(shift + warmer for shift in found.shift), found.amplitude, found.source)


@cache
def _spectra() -> dict[str, dict[int, Spectrum]]:
    """Read the table: species → number of peaks → spectrum."""
    with (data_dir() / "phantoms" / "spectra.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found: dict[str, dict[int, Spectrum]] = {}
    for name, peaks in dict.fromkeys((row["species"], row["peaks"]) for row in rows):
        own = [row for row in rows if (row["species"], row["peaks"]) == (name, peaks)]
        shift, amplitude = (tuple(float(row[key]) for row in own) for key in ("shift", "amplitude"))
        found.setdefault(name, {})[int(peaks)] = Spectrum(shift, amplitude, own[0]["source"])
    return found
