"""Acquisition protocols: `configs/protocols/*.yaml`, typed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, field_validator, model_validator

from qsmbench.errors import QsmbenchError, suggest
from qsmbench.paths import data_dir
from qsmbench.scan.acquired_mask import AcquiredMask
from qsmbench.scan.b1 import B1
from qsmbench.scan.breathing import Breathing
from qsmbench.scan.coils import Coils, whole_turns
from qsmbench.scan.geometry import GridChoice, Point
from qsmbench.scan.kspace import KSpace
from qsmbench.scan.motion import Motion
from qsmbench.scan.peristalsis import Peristalsis
from qsmbench.scan.readout import Readout
from qsmbench.scan.respiration import Respiration
from qsmbench.scan.slices import Slices
from qsmbench.scan.snr import Snr
from qsmbench.typed_yaml import Model, load_yaml

Positive = Annotated[float, Field(gt=0)]

CHANGING = "motion", "breathing", "respiration", "peristalsis"
"""Keys of what changes from line to line of k-space."""


class Protocol(Model):
    """A spoiled gradient-echo acquisition; 3D, unless it has `slices`. What is not stated is not simulated."""

    description: str = Field(description="one line, shown by `qsmbench list protocols`")
    source: str = Field(description="reference of the numbers; assumed: neither measured nor published")
    b0: Annotated[float, Field(gt=0.01, le=30)] = Field(description="main field, T")
    te: list[Positive] = Field(min_length=1, description="echo times, s, increasing")
    tr: Positive = Field(description="repetition time, s")
    flip_angle: Annotated[float, Field(gt=0, le=180)] = Field(description="flip angle, degrees")
    snr: Snr | None = Field(description="SNR of the first echo; a number applies to the mask; null: no noise")
    shim_order: Annotated[int, Field(ge=0, le=2)] = Field(description="order of the shim fitted over the mask")
    phase_offset: list[float] = Field(
        max_length=9,
        description="phase at TE = 0, rad: coefficients of 1, x, y, z, xy, xz, yz, x²−y², 2z²−x²−y²",
    )
    grid: GridChoice | None = Field(None, description="voxel grid of the scan; null: that of the phantom")
    slices: Slices | None = Field(None, description="2D imaging; null: 3D")
    readout: Readout = Field(Readout(), description="axis, bandwidth, polarity, phase between odd and even echoes")
    kspace: KSpace = Field(KSpace(), description="part of k-space that is measured")
    b1: B1 | None = Field(None, description="profiles of the radio-frequency fields")
    coils: Coils | None = Field(None, description="receive coils; null: one, of uniform sensitivity")
    isocentre: Point | None = Field(
        None,
        description="centre of B1, coils and motion in the coordinates of the phantom, mm; null: its own centre",
    )
    motion: Motion | None = Field(None, description="poses of the head during the scan")
    breathing: Breathing | None = Field(None, description="change of B0 from line to line by breathing")
    respiration: Respiration | None = Field(None, description="motion of the organs of a trunk by breathing")
    peristalsis: Peristalsis | None = Field(None, description="motion of the bowel by itself")
    duration: Positive | None = Field(
        None, description="duration of the scan for what changes in it, s; null: a TR for each line of k-space"
    )
    orientations: list[Point] = Field(
        [(0, 0, 0)], min_length=1, description="rotation of the head about x, y, z in each scan, degrees"
    )
    mask: AcquiredMask = Field(AcquiredMask(), description="mask that is given to the methods")

    @field_validator("snr", mode="before")
    @classmethod
    def _plain(cls, snr: Any) -> Any:
        return {"value": snr} if isinstance(snr, int | float | str) else snr

    @field_validator("te")
    @classmethod
    def _increasing(cls, te: list[float]) -> list[float]:
        if np.any(np.diff(te) <= 0) or te[-1] > 1:
            raise ValueError("echo times must increase and be in seconds")
        return te

    @model_validator(mode="after")
    def _fits(self) -> Protocol:
        stated = self.snr.at.bandwidth if self.snr and self.snr.at else None
        if stated and self.readout.bandwidth is None:
            raise ValueError(f"snr.at.bandwidth is {stated:g}, but readout.bandwidth is null; set both or neither")
        if self.readout.distortion and self.readout.bandwidth is None:
            raise ValueError("readout.distortion is true, but readout.bandwidth is null; set it")
        if self.slices and self.readout.axis == "z":
            raise ValueError("readout.axis is z, but z is the axis of the slices; choose from x, y")
        if self.slices and (self.kspace.fraction[2] != 1 or self.kspace.partial_fourier[2] != 1):
            raise ValueError(
                "kspace is truncated along z, but z is the axis of the slices; its third numbers must be 1"
            )
        if self.coils and self.coils.combine == "mcpc" and not whole_turns(self.te):
            raise ValueError("coils.combine is mcpc, but the first echo time is not a multiple of the echo spacing")
        moving = [name for name in ("motion", "respiration", "peristalsis") if getattr(self, name)]
        if self.motion and len(moving) > 1:
            raise ValueError(f"motion and {moving[1]} are both set; choose one of them")
        if self.coils:
            self._check_acceleration(self.coils.acceleration)
        return self

    def _check_acceleration(self, factors: Sequence[int]) -> None:
        changing = next((name for name in CHANGING if getattr(self, name)), None)
        if max(factors) > 1 and changing:  # the time of each line is that of a scan of all lines
            raise ValueError(f"coils.acceleration is {tuple(factors)}, and there is {changing}; choose one of them")
        encoded = [a for a in "xyz" if a != self.readout.axis and not (self.slices and a == "z")]
        for axis, factor in zip("xyz", factors, strict=True):
            if factor > 1 and axis not in encoded:
                raise ValueError(
                    f"coils.acceleration is {factor} along {axis}, which is not phase-encoded; choose from "
                    f"{', '.join(encoded)}"
                )

    @property
    def positions(self) -> int:
        """About how many positions the object has during the scan, each of which has its own field."""
        if self.motion:
            return self.motion.poses
        contractions = int(self.duration / self.peristalsis.period) if self.peristalsis and self.duration else 0
        return 1 + contractions + (self.respiration.states if self.respiration else 0)

    def check_orientation(self, index: int) -> None:
        """Check that the protocol has an orientation.

        Raises:
            QsmbenchError: it does not.
        """
        last = len(self.orientations) - 1
        if not 0 <= index <= last:
            raise QsmbenchError(f"orientation is {index}; choose from {f'0…{last}' if last else '0'} of this protocol")


def protocols() -> dict[str, Path]:
    """Return the files of the protocols that come with qsmbench, by name."""
    return {f.stem: f for f in sorted((data_dir() / "configs" / "protocols").glob("*.yaml"))}


def protocol_file(name_or_path: str) -> Path:
    """Return the file of a protocol.

    Raises:
        QsmbenchError: there is no protocol of that name.
    """
    path = Path(name_or_path) if name_or_path.endswith((".yaml", ".yml")) else protocols().get(name_or_path)
    if path is None:
        raise QsmbenchError(f"unknown protocol {name_or_path!r}; {suggest(name_or_path, protocols())}")
    return path


def load_protocol(name_or_path: str, overrides: dict[str, Any] | None = None) -> Protocol:
    """Load a protocol by name or from a YAML file, with overridden keys (such as `readout.bandwidth: 200`).

    Raises:
        QsmbenchError: no such protocol, or an invalid key or value.
    """
    return load_yaml(protocol_file(name_or_path), Protocol, overrides)
