"""Spectra of fat: the shift of each peak from water and its share of the protons."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Spectrum:
    """The peaks of one kind of protons.

    Attributes:
        shift: (n_peaks,) ppm from water at 37 °C.
        amplitude: (n_peaks,) share of each peak, relative to each other.
        source: of the values.
    """

    shift: tuple[float, ...]
    amplitude: tuple[float, ...]
    source: str


FAT_SPECTRA = {
    "six-peak": Spectrum(
        (-3.80, -3.40, -2.60, -1.95, -0.50, 0.60),
        (0.088, 0.700, 0.120, 0.006, 0.039, 0.047),
        "six-peak model, Silva 2023, doi:10.1002/mrm.29597",
    ),
    "seven-peak": Spectrum(
        (-3.80, -3.40, -3.11, -2.67, -2.45, -1.93, 0.61),
        (0.083, 0.627, 0.071, 0.096, 0.066, 0.015, 0.042),
        "seven-peak model, Silva 2023, doi:10.1002/mrm.29597",
    ),
    "nine-peak": Spectrum(
        (-3.80, -3.40, -3.10, -2.68, -2.46, -1.95, -0.50, 0.49, 0.59),
        (0.088, 0.642, 0.058, 0.062, 0.058, 0.006, 0.039, 0.010, 0.037),
        "triglycerides of chain length 17.45 with 1.92 double bonds, Hamilton 2011, doi:10.1002/nbm.1622",
    ),
    "single-peak": Spectrum((-3.40,), (1.0,), "the methylene peak alone, which misses 30 % of the protons"),
}
"""Spectra by name."""
