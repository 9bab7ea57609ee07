"""A challenge's YAML."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field, PositiveFloat, field_validator

from qsmbench.data.score_table import COSTS
from qsmbench.metrics import find
from qsmbench.study.datasets import Name
from qsmbench.typed_yaml import Model, load_yaml


class Redraw(Model):
    """How χ is drawn for each secret subject, so that no image but the phase shows it.

    The sum χ+ + χ− of a tissue, on which R2* depends, stays as the phantom and the subject have it. The share of χ+ in
    it is drawn uniformly within `share` for each tissue, and varies within the tissue by `balance`.
    """

    share: tuple[float, float] = Field((0.1, 0.9), description="limits of the share of χ+ in χ+ + χ− of a tissue")
    balance: Annotated[float, Field(ge=0, le=0.4)] = Field(
        0.3, description="standard deviation of that share within a tissue, for a phantom with texture"
    )
    groups: tuple[str, ...] = Field(("wm", "gm", "dgm"), description="groups of tissues that are drawn")

    @field_validator("share")
    @classmethod
    def _ordered(cls, share: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= share[0] < share[1] <= 1:
            raise ValueError("it must be two shares, the smaller one first, such as [0.1, 0.9]")
        return share


class Entry(Model):
    """Scans of one kind, each of a subject of its own."""

    phantom: str = Field(description="name of a phantom or scenario, or path of its YAML")
    protocol: str = Field("brain-3t", description="name of a protocol, or path of its YAML")
    subjects: Annotated[int, Field(ge=1, le=100)] = Field(1, description="number of secret subjects")
    cases: list[str] = Field([], description="cases of a scenario; the nonce draws one for each subject")
    set: dict[str, Any] = Field({}, description="keys of the phantom to override, such as voxel_size: 1.5")
    set_protocol: dict[str, Any] = Field({}, description="keys of the protocol to override, such as snr: 50")

    @field_validator("set", "set_protocol")
    @classmethod
    def _without_seeds(cls, keys: dict[str, Any]) -> dict[str, Any]:
        for key in keys:
            if key == "subject" or key.split(".")[-1] == "seed":
                raise ValueError(f"{key} is derived from the nonce, and cannot be set")
        return keys

    @property
    def condition(self) -> str:
        """What scans of one kind have in common."""
        return f"{Path(self.phantom).stem}_{Path(self.protocol).stem}"


class Challenge(Model):
    """The keys of a challenge's YAML."""

    challenge: Name = Field(description="name of the challenge")
    description: str = Field("", description="one line for participants")
    scenarios: Annotated[list[Entry], Field(min_length=1)] = Field(description="the scans")
    deadline: AwareDatetime | None = Field(
        None, description="time with its zone, such as 2027-03-01T12:00:00Z; what is received later is not ranked"
    )
    counts: Literal["first", "last"] = Field("last", description="which of a team's submissions in time is ranked")
    metric: str = Field("nrmse", description="metric of χ that ranks")
    further: list[str] = Field(
        ["deep_nrmse", "correlation", "dgm_slope"], description="metrics that are shown beside it"
    )
    redraw: Redraw = Field(Redraw(), description="how the χ of secret subjects is drawn")
    time_limit: PositiveFloat = Field(600, description="limit of each step of a submitted method, s")
    memory_limit: PositiveFloat | None = Field(8192, description="limit of each step of a submitted method, MiB")

    @field_validator("metric")
    @classmethod
    def _ranks(cls, name: str) -> str:
        if find(name).best != find(name).best:
            raise ValueError("it has no best value, and cannot rank")
        return name

    @field_validator("further")
    @classmethod
    def _known(cls, names: list[str]) -> list[str]:
        for name in names:
            if name in COSTS:
                raise ValueError(f"{name} is no metric of χ")
            find(name)
        return names

    def is_over(self, time: datetime) -> bool:
        """Return whether the deadline has passed."""
        return self.deadline is not None and time > self.deadline


def load_challenge(path: Path) -> Challenge:
    """Read a challenge's YAML.

    Raises:
        QsmbenchError: no such file, an unknown key or an invalid value.
    """
    return load_yaml(path, Challenge)
