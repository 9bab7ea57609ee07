"""Scenarios: a clinical question about a phantom, with several cases."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from qsmbench.data.endpoints import check as check_endpoints
from qsmbench.errors import QsmbenchError
from qsmbench.paths import data_dir
from qsmbench.typed_yaml import Model, check


def _known(names: tuple[str, ...]) -> tuple[str, ...]:
    check_endpoints(names)
    return names


class Scenario(Model):
    """The keys of a scenario's YAML.

    A case overrides keys of the phantom; its sources are added to those of the phantom. Paths are relative to the
    phantom's description.
    """

    kind: Literal["scenario"]
    phantom: str = Field(description="name of the phantom")
    question: str = Field(description="clinical question, in one line")
    endpoint: str = Field(description="the quantity to score, in words")
    endpoints: Annotated[tuple[str, ...], AfterValidator(_known)] = Field(
        (), description="metrics and endpoints that answer the question; see qsmbench list endpoints"
    )
    regions: tuple[str, ...] = Field((), description="regions in which it is scored")
    source: str = Field(description="source of the numbers")
    assumed: bool = Field(description="whether any of the numbers are assumed: neither measured nor published")
    protocol: str = Field("brain-3t", description="recommended protocol")
    controls: tuple[str, ...] = Field((), description="cases that the others are compared with; none: the first")
    cases: dict[str, dict[str, Any]] = Field(min_length=1, description="controls first; the last is the default")

    @model_validator(mode="after")
    def _known_controls(self) -> Scenario:
        for name in self.controls:
            if name not in self.cases:
                raise ValueError(f"controls: case {name!r} is unknown; choose from {', '.join(self.cases)}")
        return self

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

    def states(self, key: str) -> bool:
        """Whether it overrides the value at a dotted `key` of the phantom."""
        node: Any = self.changes
        for part in key.split("."):
            if not isinstance(node, dict) or part not in node:
                return False
            node = node[part]
        return True

    def content(self, base: dict[str, Any]) -> dict[str, Any]:
        """Return the phantom's content `base` in this case."""
        content, changes = deepcopy(base), deepcopy(self.changes)
        content["sources"] = [*content.get("sources", []), *changes.pop("sources", [])]
        for key, value in changes.items():
            old = content.get(key)
            content[key] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
        return content

    def summary(self) -> dict[str, Any]:
        """Return the facts shown with its scores: case, controls, question, endpoints, regions, source, assumed."""
        shown = {"question", "endpoint", "endpoints", "regions", "source", "assumed"}
        controls = list(self.scenario.controls) or list(self.scenario.cases)[:1]
        return {"case": self.name, "controls": controls, **self.scenario.model_dump(mode="json", include=shown)}


def scenarios() -> dict[str, Path]:
    """Return the files of the scenarios that come with qsmbench, by name."""
    return {f.stem: f for f in sorted((data_dir() / "phantoms" / "scenarios").glob("*.yaml"))}


def as_scenario(content: dict[str, Any], path: Path) -> Scenario | None:
    """Return the scenario, if the content of a description is one.

    Raises:
        QsmbenchError: an unknown key or an invalid value.
    """
    return check(content, Scenario, str(path)) if content.get("kind") == "scenario" else None
