"""The readout: axis, bandwidth and polarity; and the effects of fat, B0 and eddy currents along it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import scipy.fft
from pydantic import Field, PositiveFloat

from qsmbench.compiled import compiled
from qsmbench.grid import Grid
from qsmbench.scan.harmonics import evaluate
from qsmbench.threads import n_threads, over_planes
from qsmbench.typed_yaml import Model
from qsmbench.units import hz_per_ppm

if TYPE_CHECKING:
    from qsmbench.spectra import Spectrum

AXES = ("x", "y", "z")


class Readout(Model):
    """Readout of a line of k-space."""

    axis: Literal["x", "y", "z"] = Field("x", description="readout axis; the others are phase-encoded")
    bandwidth: PositiveFloat | None = Field(
        None, description="Hz per pixel of the image; null: so high that fat is not displaced"
    )
    polarity: Literal["monopolar", "bipolar"] = Field("monopolar", description="bipolar: even echoes read backwards")
    distortion: bool = Field(False, description="whether B0 displaces the signal along the readout; needs a bandwidth")
    eddy: list[float] = Field(
        [],
        max_length=9,
        description="phase, rad, whose sign alternates with the echoes: coefficients as in phase_offset; 1, x, y, z …",
    )

    @property
    def along(self) -> int:
        """Index of the readout's axis."""
        return AXES.index(self.axis)


def direction(readout: Readout, n_echoes: int) -> np.ndarray:
    """Return the readout direction of each echo: 1 forwards, −1 backwards, (n_echoes,)."""
    forwards = np.ones(n_echoes)
    if readout.polarity == "bipolar":
        forwards[1::2] = -1
    return forwards


def chemical_shift(n: int, spectrum: Spectrum, readout: Readout, te: np.ndarray, b0: float) -> np.ndarray:
    """Return the factor of a spectrum along the readout, relative to water.

    Each sample is read some time before or after TE, during which each peak accumulates phase. This displaces the peak
    by its shift [Hz] divided by the bandwidth [Hz per pixel]; opposite to the readout direction if it resonates below
    water, as most of fat does. The factor depends on the sample alone, and B0 on the place that the signal comes from:
    so it is applied after `distort`.

    Args:
        n: pixels along the readout.
        spectrum: of a species.
        readout: with a bandwidth.
        te: (n_echoes,) s.
        b0: T.

    Returns:
        (n, n_echoes) complex, in the order of an FFT.
    """
    assert readout.bandwidth is not None
    # phase grows with the field here, while a forward transform turns the other way: hence the minus
    late = -np.fft.fftfreq(n)[:, None] / readout.bandwidth * direction(readout, len(te))
    return spectrum.dephasing((te + late).ravel(), b0).reshape(n, len(te))


def distort(image: np.ndarray, field: np.ndarray, readout: Readout, b0: float) -> np.ndarray:
    """Displace the signal along the readout by the B0 offset [Hz] divided by the bandwidth [Hz per pixel].

    Each sample of a line is the sum over its voxels with the phase that their field has caused so far: no
        interpolation.

    Args:
        image: (nx, ny, nz, n_echoes) complex64.
        field: (nx, ny, nz) float32, ppm of B0, mean over the voxel.
        readout: with a bandwidth.
        b0: T.

    Returns:
        (nx, ny, nz, n_echoes) complex64.
    """
    assert readout.bandwidth is not None
    lines = np.ascontiguousarray(np.moveaxis(image, readout.along, 2))
    pixels = np.moveaxis(field, readout.along, 2) * np.float32(hz_per_ppm(b0) / readout.bandwidth)
    samples = np.zeros_like(lines)
    over_planes(_read, lines.shape[0], samples, lines, pixels, direction(readout, image.shape[-1]))
    moved = scipy.fft.ifft(np.fft.ifftshift(samples, axes=2), axis=2, workers=n_threads())
    return np.ascontiguousarray(np.moveaxis(moved, 2, readout.along))


@compiled()
def _read(start, stop, samples, lines, pixels, forwards):
    """Sample the lines in planes start … stop − 1, from the lowest frequency on; `pixels`: how far each voxel moves."""
    n = lines.shape[2]
    total = np.empty(n, np.complex128)
    for i in range(start, stop):
        for j in range(lines.shape[1]):
            for e in range(lines.shape[3]):
                total[:] = 0
                for x in range(n):
                    if lines[i, j, x, e] == 0:
                        continue
                    angle = 2 * np.pi * (x + forwards[e] * pixels[i, j, x]) / n
                    z = lines[i, j, x, e] * np.exp(1j * angle * (n // 2))
                    turn = np.exp(-1j * angle)
                    for k in range(n):
                        total[k] += z
                        z *= turn
                for k in range(n):
                    samples[i, j, k, e] = total[k]


def eddy_phase(readout: Readout, n_echoes: int, grid: Grid) -> np.ndarray:
    """Return the phase caused by eddy currents; its sign alternates between echoes, the first is positive.

    Mostly linear along the readout, and opposite for gradients of opposite polarity (Li 2015,
    doi:10.1007/s10334-014-0470-3).

    Args:
        readout: with the coefficients of the phase.
        n_echoes: number of echoes.
        grid: of the image.

    Returns:
        (nx, ny, nz, n_echoes) float32, rad.
    """
    sign = np.where(np.arange(n_echoes) % 2, -1, 1).astype(np.float32)
    return evaluate(np.array(readout.eddy), grid)[..., None] * sign
