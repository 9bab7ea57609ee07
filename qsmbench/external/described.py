"""A method that a file describes, instead of the signature of a Python function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from qsmbench.method import Method


@dataclass(frozen=True)
class Described(Method):
    """A method whose inputs and settings stand in a file of its author's.

    Its function takes the artifacts and the settings as keywords; a setting may have any name, such as `lambda`.

    Attributes:
        inputs: names of the artifacts (and of `grid`, `te`, `b0`) that it takes.
        defaults: its settings and what they are if they are not given.
        description: what it is, in a line.
    """

    inputs: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""

    @property
    def consumes(self) -> tuple[str, ...]:
        """As the file says."""
        return self.inputs

    @property
    def settings(self) -> dict[str, Any]:
        """As the file says."""
        return dict(self.defaults)

    @property
    def summary(self) -> str:
        """As the file says."""
        return self.description
