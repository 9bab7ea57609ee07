"""Acquisition protocols: `configs/protocols/*.yaml`, typed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, field_validator

from qsmbench.errors import QsmbenchError
from qsmbench.model import Model, load_yaml
from qsmbench.paths import share

Positive = Annotated[float, Field(gt=0)]


class Protocol(Model):
    """A 3D spoiled multi-echo gradient-echo acquisition."""

    description: str = Field(description="one line, shown by `qsmbench list protocols`")
    source: str = Field(description="where the numbers come from; `assumed` where they are ours")
    b0: Annotated[float, Field(gt=0.01, le=30)] = Field(description="main field, T")
    te: list[Positive] = Field(min_length=1, description="echo times, s, increasing")
    tr: Positive = Field(description="repetition time, s")
    flip_angle: Annotated[float, Field(gt=0, le=180)] = Field(description="degrees")
    snr: Positive | None = Field(description="mean magnitude in the mask at the first echo over σ; null: no noise")
    shim_order: Annotated[int, Field(ge=0, le=2)] = Field(description="order of the shim fitted over the mask")
    phase_offset: list[float] = Field(
        max_length=9,
        description="phase at TE = 0, rad: coefficients of 1, x, y, z, xy, xz, yz, x²−y², 2z²−x²−y²",
    )

    @field_validator("te")
    @classmethod
    def _increasing(cls, te: list[float]) -> list[float]:
        if np.any(np.diff(te) <= 0) or te[-1] > 1:
            raise ValueError("echo times must increase and be in seconds")
        return te


def protocols() -> dict[str, Path]:
    """The protocols that come with qsmbench, by name."""
    return {f.stem: f for f in sorted((share() / "configs" / "protocols").glob("*.yaml"))}


def protocol_file(name_or_path: str) -> Path:
    """The file of a protocol.

    Raises:
        QsmbenchError: there is none of that name.
    """
    path = Path(name_or_path) if name_or_path.endswith((".yaml", ".yml")) else protocols().get(name_or_path)
    if path is None:
        raise QsmbenchError(f"unknown protocol {name_or_path!r}; there are {', '.join(protocols())}")
    return path


def load_protocol(name_or_path: str, overrides: dict[str, Any] | None = None) -> Protocol:
    """The protocol of a name, or in a YAML file, with some of its keys set anew.

    Raises:
        QsmbenchError: no such protocol, or an illegal key or value.
    """
    return load_yaml(protocol_file(name_or_path), Protocol, overrides)
