"""Spectra of protons, from `phantoms/spectra.csv`: one table for the simulator and for the methods."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache

import numpy as np

from qsmbench.errors import QsmbenchError
from qsmbench.paths import data_dir
from qsmbench.units import hz_per_ppm


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
def _spectra() -> dict[tuple[str, int], Spectrum]:
    with (data_dir() / "phantoms" / "spectra.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found = {}
    for key in dict.fromkeys((row["species"], int(row["peaks"])) for row in rows):
        own = [row for row in rows if (row["species"], int(row["peaks"])) == key]
        shift, amplitude = (tuple(float(row[name]) for row in own) for name in ("shift", "amplitude"))
        found[key] = Spectrum(shift, amplitude, own[0]["source"])
    return found


def spectrum(species: str, peaks: int) -> Spectrum:
    """Return the spectrum of a species with a number of peaks.

    Raises:
        QsmbenchError: the table has none with so many peaks.
    """
    known = _spectra()
    if (species, peaks) not in known:
        choices = ", ".join(str(n) for s, n in known if s == species)
        raise QsmbenchError(f"peaks is {peaks!r}; the spectra of {species} have {choices}")
    return known[species, peaks]
