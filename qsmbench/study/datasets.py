"""The datasets of a study: scans that are simulated, or read."""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, TypeAdapter, field_validator, model_validator

from qsmbench.data.bids import subjects as all_subjects
from qsmbench.data.measured import Stated
from qsmbench.data.phase_units import UNITS
from qsmbench.phantom.description.sources import InPlace
from qsmbench.phantom.load import load
from qsmbench.scan.geometry import scan_geometry
from qsmbench.scan.memory import check_memory
from qsmbench.scan.protocol import Protocol, load_protocol
from qsmbench.typed_yaml import Model

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9+-]*$", max_length=100)]


@dataclass(frozen=True)
class Outline:
    """What a plan needs to know of a simulation.

    Attributes:
        phantom: name of the phantom's file.
        scenario: name of the scenario; empty for a phantom.
        case: of the scenario; empty for a phantom.
        files: files that the phantom depends on.
        orientations: indices of the protocol's orientations that are scanned; the first one is scored.
        positions: number of positions of the object in a scan.
        voxels: number of voxels of a scan.
    """

    phantom: str
    scenario: str
    case: str
    files: tuple[Path, ...]
    orientations: tuple[int, ...]
    positions: int
    voxels: int


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

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: list[int]) -> list[int]:
        twice = [s for i, s in enumerate(seeds) if s in seeds[:i]]
        if twice:
            raise ValueError(f"{twice[0]} is listed twice")
        return seeds

    @model_validator(mode="before")
    @classmethod
    def _first_of_crossed(cls, content: Any) -> Any:
        """Take the first of the crossed phantoms or protocols as the value of that key, which is then replaced."""
        if not isinstance(content, dict) or not isinstance(content.get("over"), dict):
            return content
        crossed = {k: v[0] for k, v in content["over"].items() if isinstance(v, list) and v}
        return {**{k: crossed[k] for k in ("phantom", "protocol") if k in crossed}, **content}

    @cached_property
    def outline(self) -> Outline:
        """What a plan needs to know; the descriptions of the phantom and the protocol are read once.

        Raises:
            QsmbenchError: no such phantom, protocol or key, an invalid value, or more than fits into the memory.
        """
        phantom, protocol = load(self.phantom, self.set), load_protocol(self.protocol, self.set_protocol)
        check_memory(phantom, protocol)
        orientations = self.orientations(protocol)
        for orientation in orientations:
            protocol.check_orientation(orientation)
        grid = scan_geometry(phantom.grid(), phantom.description.supersampling, protocol.grid).grid
        scenario, case = (phantom.name, phantom.case.name) if phantom.case else ("", "")
        name, files, voxels = phantom.path.stem, tuple(phantom.files), math.prod(grid.shape)
        return Outline(name, scenario, case, files, tuple(orientations), protocol.positions, voxels)

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


Label = Annotated[str, BeforeValidator(lambda v: str(v) if isinstance(v, int) and not isinstance(v, bool) else v)]
"""A label of BIDS; YAML reads `1` and `01` as numbers."""


class Measured(Model):
    """A real scan: chains run on it, and are judged by data consistency, since no truth is known."""

    bids: Path = Field(description="folder of a BIDS dataset with MEGRE or T2starw images, or with a table echoes.tsv")
    subject: Label | None = Field(None, description="label without sub-; by default the first")
    subjects: Literal["all"] | list[Label] | None = Field(
        None, description="several subjects, each a dataset of its own: their labels, or all"
    )
    session: Label | None = Field(None, description="label without ses-; by default the first, if there are any")
    acq: Label | None = Field(None, description="label without acq-; needed if it alone tells scans apart")
    rec: Label | None = Field(None, description="label without rec-; needed if it alone tells scans apart")
    run: Label | None = Field(None, description="label without run-; needed if it alone tells scans apart")
    entities: str | None = Field(
        None, description="further entities that tell scans apart, with their labels, such as ce-gd_dir-AP"
    )
    mask: Path | None = Field(None, description="NIfTI mask; by default made from the magnitude")
    b0_dir: tuple[float, float, float] | None = Field(
        None, description="B0 in voxel axes; by default that of the sidecar, else of the header's scanner form"
    )
    phase_sign: int = Field(1, description="-1 if the scanner's phase falls with the field")
    phase_unit: str | None = Field(
        None, description=f"unit of the phase: {', '.join(UNITS)}; by default found by the evidence"
    )
    phase_scale: float | None = Field(None, description="rad per stored number, in place of phase_unit")
    plant: list[dict[str, Any]] = Field(
        [],
        description="sources planted into the scan, as a second dataset, NAME_planted: the differences of the "
        "reconstructions with and without them are scored (qsmbench list sources)",
    )
    plant_tissue: str = Field("white_matter", description="tissue that the sources are planted in")
    name: Name | None = Field(None, description="name of the dataset; by default that of the BIDS folder")

    @field_validator("plant")
    @classmethod
    def _sources(cls, sources: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Check the sources, which are kept as they are written."""
        TypeAdapter(list[Annotated[InPlace, Discriminator("source")]]).validate_python(sources)
        return sources

    @model_validator(mode="after")
    def _stated(self) -> Measured:
        if self.subjects == []:
            raise ValueError("subjects is empty; list labels, or say all")
        if self.subject is not None and self.subjects is not None:
            raise ValueError("subject and subjects are both given; state one of them")
        if self.subjects is not None and self.mask is not None and "{subject}" not in str(self.mask):
            raise ValueError("one mask for several subjects; write {subject} where the label stands in its path")
        Stated(
            b0_dir=self.b0_dir,
            phase_sign=self.phase_sign,
            phase_unit=self.phase_unit,
            phase_scale=self.phase_scale,
            entities=self.entities,
        )
        return self

    def each(self) -> list[Measured]:
        """Return a dataset for each of `subjects`; itself if it is of one, or the folder holds none."""
        if self.subjects is None:
            return [self]
        labels = all_subjects(self.bids) if self.subjects == "all" else self.subjects
        alone = {"subjects": None}
        if not labels:
            return [self.model_copy(update=alone)]
        return [self.model_copy(update={**alone, **self._of_subject(label)}) for label in labels]

    def _of_subject(self, label: str) -> dict[str, Any]:
        mask = None if self.mask is None else Path(str(self.mask).replace("{subject}", label))
        name = None if self.name is None else f"{self.name}-{safe_name(label)}"
        return {"subject": label, "mask": mask, "name": name}

    @property
    def group(self) -> str:
        """Name of the dataset: as stated, or the folder's and the labels of what was chosen, of safe characters."""
        if self.name:
            return self.name
        chosen = {"sub": self.subject, "ses": self.session, "acq": self.acq, "rec": self.rec, "run": self.run}
        labels = [f"{entity}-{safe_name(label)}" for entity, label in chosen.items() if label]
        labels += [safe_name(self.entities)] if self.entities else []
        place = self.bids.resolve() if ".." in self.bids.parts else self.bids.absolute()  # the name of a link is kept
        return "_".join([safe_name(place.name), *labels])


def safe_name(text: str) -> str:
    """Return a text as a part of a name of a dataset: letters without accents, digits, . + - and _."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9.+_]+", "-", plain).strip("-.+_") or "scan"


def _kind(dataset: Any) -> str:
    keys = dataset if isinstance(dataset, dict) else getattr(dataset, "__dict__", ())
    return "Measured" if "bids" in keys else "Simulated"


Dataset = Annotated[Annotated[Simulated, Tag("Simulated")] | Annotated[Measured, Tag("Measured")], Discriminator(_kind)]
