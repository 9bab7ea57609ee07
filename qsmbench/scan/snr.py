"""Signal-to-noise ratio: a number, or scaled from a reference scan with other voxels and field strength."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field, PositiveFloat, field_validator

from qsmbench.errors import QsmbenchError
from qsmbench.scan.geometry import ScanGeometry, Sizes
from qsmbench.scan.kspace import KSpace
from qsmbench.scan.readout import Readout
from qsmbench.typed_yaml import Model


class At(Model):
    """The reference scan of an SNR, of the same kind and field of view; omitted keys are those of this scan."""

    b0: PositiveFloat | None = Field(None, description="field strength, T")
    voxel_size: Sizes | None = Field(None, description="acquired voxel size, mm")
    bandwidth: PositiveFloat | None = Field(None, description="bandwidth, Hz per acquired pixel")

    @field_validator("voxel_size", mode="before")
    @classmethod
    def _scalar(cls, value: Any) -> Any:
        return (value,) * 3 if isinstance(value, int | float) and not isinstance(value, bool) else value


class Snr(Model):
    """SNR of the first echo: mean magnitude in a region divided by σ of the real and imaginary parts."""

    value: PositiveFloat = Field(
        description="mean magnitude of the first echo over the standard deviation σ of the noise"
    )
    region: str | None = Field(None, description="name or group of regions; null: the study mask")
    at: At | None = Field(None, description="the scan that has this SNR; null: this one")


def relative(b0: float, voxel: np.ndarray, box: np.ndarray, encoded: list[int], bandwidth: float) -> float:
    """Return the SNR up to a constant: B0 × voxel volume × √(total readout time).

    For noise from the body (Edelstein 1986, doi:10.1002/mrm.1910030413); each line of k-space is read for 1/bandwidth,
    and the number of lines is that of the voxels along the phase-encoded axes.

    Args:
        b0: T.
        voxel: (3,) mm, acquired.
        box: (3,) mm, field of view.
        encoded: axes that are phase-encoded.
        bandwidth: Hz per acquired pixel.
    """
    lines = np.prod([box[a] / voxel[a] for a in encoded])
    return float(b0 * np.prod(voxel) * np.sqrt(lines / bandwidth))


def snr_of(snr: Snr, geometry: ScanGeometry, b0: float, readout: Readout, kspace: KSpace, slices: bool) -> float:
    """Return the SNR of this scan, scaled from the reference scan if there is one.

    Args:
        snr: as given in the protocol.
        geometry: grid and thickness of the scan.
        b0: T.
        readout: axis and bandwidth.
        kspace: measured part, which reduces lines and enlarges voxels.
        slices: whether z is an axis of slices rather than of frequencies.
    """
    if snr.at is None:
        return snr.value
    grid = geometry.grid
    voxel = np.array([*grid.voxel_size[:2], geometry.thickness])
    box = np.array(grid.shape) * voxel
    encoded = [a for a in range(3) if a != readout.along and not (slices and a == 2)]
    # fewer samples along the readout take less time, and, as lines left out do, make voxels larger
    sampled = kspace.sampled
    bandwidth = (readout.bandwidth or 1.0) / sampled[readout.along]
    here = relative(b0, voxel / sampled, box, encoded, bandwidth)
    there = relative(
        snr.at.b0 or b0,
        np.array(snr.at.voxel_size or voxel / sampled),
        box,
        encoded,
        snr.at.bandwidth or bandwidth,
    )
    return snr.value * here / there


def region_mask(
    name: str | None, labels: np.ndarray, regions: list[tuple[int, str, str]], mask: np.ndarray
) -> np.ndarray:
    """Return the voxels of a region or a group of regions within the mask; (nx, ny, nz) bool.

    Args:
        name: of the region or group; None: all of the mask.
        labels: (nx, ny, nz) uint8.
        regions: index, name and group of each label.
        mask: (nx, ny, nz) bool.

    Raises:
        QsmbenchError: there is no such region, or it has no voxel in the mask.
    """
    if name is None:
        return mask
    wanted = [index for index, region, group in regions if name in (region, group)]
    if not wanted:
        known = sorted({r for _, r, _ in regions} | {g for _, _, g in regions if g})
        raise QsmbenchError(f"snr.region is {name!r}; choose from {', '.join(known)}")
    found = np.isin(labels, wanted) & mask
    if not found.any():
        raise QsmbenchError(f"snr.region is {name!r}; it has no voxel in the scan's mask; choose another")
    return found
