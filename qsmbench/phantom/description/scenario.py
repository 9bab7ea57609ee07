"""Scenarios: a clinical question about a phantom, with several cases."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from qsmbench.errors import QsmbenchError
from qsmbench.paths import data_dir
from qsmbench.typed_yaml import Model, check


class Scenario(Model):
    """The keys of a scenario's YAML.

    A case overrides keys of the phantom; its sources are added to those of the phantom. Paths are relative to the
    phantom's description.
    """

    kind: Literal["scenario"]
    phantom: str = Field(description="name of the phantom")
    question: str = Field(description="clinical question, in one line")
    endpoint: str = Field(description="the quantity to score")
    regions: tuple[str, ...] = Field((), description="regions in which it is scored")
    source: str = Field(description="source of the numbers")
    assumed: bool = Field(description="whether any of the numbers are assumed: neither measured nor published")
    protocol: str = Field("brain-3t", description="recommended protocol")
    cases: dict[str, dict[str, Any]] = Field(min_length=1, description="controls first; the last is the default")

    def case(self, name: str | None, where: Path) -> Case:
        """Return the case called `name`, by default the last.

        Raises:
            QsmbenchError: there is no such case.
        """
        name = name or list(self.cases)[-1]
        if name not in self.cases:
            raise QsmbenchError(f"{where}: case {name!r} is unknown; choose from {', '.join(self.cases)}")
        return Case(self, name)


@dataclass(frozen=True)
class Case:
    """A scenario in one of its cases."""

    scenario: Scenario
    name: str

    @property
    def changes(self) -> dict[str, Any]:
        """The keys of the phantom that it overrides."""
        return self.scenario.cases[self.name]

    def content(self, base: dict[str, Any]) -> dict[str, Any]:
        """Return the phantom's content `base` in this case."""
        content, changes = deepcopy(base), deepcopy(self.changes)
        content["sources"] = [*content.get("sources", []), *changes.pop("sources", [])]
        for key, value in changes.items():
            old = content.get(key)
            content[key] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
        return content

    def summary(self) -> dict[str, Any]:
        """Return the facts shown with its scores: case, question, endpoint, regions, source, assumed."""
        shown = {"question", "endpoint", "regions", "source", "assumed"}
        return {"case": self.name, **self.scenario.model_dump(mode="json", include=shown)}


def scenarios() -> dict[str, Path]:
    """Return the files of the scenarios that come with qsmbench, by name."""
    return {f.stem: f for f in sorted((data_dir() / "phantoms" / "scenarios").glob("*.yaml"))}


def as_scenario(content: dict[str, Any], path: Path) -> Scenario | None:
    """Return the scenario, if the content of a description is one.

    Raises:
        QsmbenchError: an unknown key or an invalid value.
    """
    return check(content, Scenario, str(path)) if content.get("kind") == "scenario" else None
