"""The datasets of a study: scans that are simulated, or read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from qsmbench.scan.protocol import Protocol
from qsmbench.typed_yaml import Model

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9+-]*$")]


class Simulated(Model):
    """Scans of a phantom: one for each seed of the noise, and for each combination of the keys in `over`."""

    phantom: str = Field(description="name of a phantom or scenario, or path of its YAML")
    protocol: str = Field(description="name of a protocol, or path of its YAML")
    seeds: list[Annotated[int, Field(ge=0)]] = Field([0], min_length=1, description="seeds of the noise")
    set: dict[str, Any] = Field({}, description="keys of the phantom to override, such as voxel_size: 1.5")
    set_protocol: dict[str, Any] = Field({}, description="keys of the protocol to override, such as snr: 50")
    orientation: Annotated[int, Field(ge=0)] | Literal["all"] | None = Field(
        None, description="which of the protocol's orientations, by default the first; all: for methods such as cosmos"
    )
    over: dict[str, list[Any] | Literal["all"]] = Field(
        {},
        description="values to cross, by key of the phantom or the protocol, or phantom, protocol or orientation; "
        "all: every case or orientation",
    )
    name: Name | None = Field(None, description="name of the group of datasets; by default phantom-case_protocol")

    @model_validator(mode="before")
    @classmethod
    def _first_of_crossed(cls, content: Any) -> Any:
        """Take the first of the crossed phantoms or protocols as the value of that key, which is then replaced."""
        if not isinstance(content, dict) or not isinstance(content.get("over"), dict):
            return content
        crossed = {k: v[0] for k, v in content["over"].items() if isinstance(v, list) and v}
        return {**{k: crossed[k] for k in ("phantom", "protocol") if k in crossed}, **content}

    def orientations(self, protocol: Protocol) -> list[int]:
        """Return the indices of the orientations that are scanned; the first one is scored."""
        return list(range(len(protocol.orientations))) if self.orientation == "all" else [self.orientation or 0]

    def scans(self) -> list[dict[str, Any]]:
        """Return what each scan is made from, which distinguishes it from others."""
        same = self.model_dump(mode="json", include={"phantom", "protocol", "set", "set_protocol"})
        return [{**same, "seed": seed} for seed in self.seeds]

    @property
    def group(self) -> str:
        """What the datasets that differ by their seed alone have in common."""
        what = [Path(self.phantom).stem]
        what += [f"{start}{self.set[key]}" for key, start in (("case", ""), ("subject", "subject-")) if key in self.set]
        turned = "" if self.orientation is None else f"_orientation-{self.orientation}"
        return self.name or f"{'-'.join(what)}_{Path(self.protocol).stem}{turned}"


class Measured(Model):
    """A real scan, in BIDS: chains run on it, and are judged by data consistency, since no truth is known."""

    bids: Path = Field(description="folder of a BIDS dataset with MEGRE images")
    subject: str | None = Field(None, description="label without sub-; by default the first")
    session: str | None = Field(None, description="label without ses-; by default the first, if there are any")
    mask: Path | None = Field(None, description="NIfTI mask; by default made from the magnitude")
    b0_dir: tuple[float, float, float] | None = Field(None, description="B0 in voxel axes; by default the affine's")
    phase_sign: int = Field(1, description="-1 if the scanner's phase falls with the field")
    name: Name | None = Field(None, description="name of the dataset; by default that of the BIDS folder")

    @field_validator("phase_sign")
    @classmethod
    def _sign(cls, sign: int) -> int:
        if sign not in (1, -1):
            raise ValueError("must be 1 or -1")
        return sign

    @property
    def group(self) -> str:
        """Name of the dataset without its subject."""
        return self.name or self.bids.name


def _kind(dataset: Any) -> str:
    keys = dataset if isinstance(dataset, dict) else getattr(dataset, "__dict__", ())
    return "Measured" if "bids" in keys else "Simulated"


Dataset = Annotated[Annotated[Simulated, Tag("Simulated")] | Annotated[Measured, Tag("Measured")], Discriminator(_kind)]
