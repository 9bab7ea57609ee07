"""The file that `qsmbench tune` writes and a study reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from qsmbench.errors import QsmbenchError
from qsmbench.typed_yaml import Model, load_yaml

SOURCE_FILE = "source.json"
"""File in the truth of a simulated scan: its phantom, protocol and seed."""


class Development(Model):
    """The development data of a tuning, and its result."""

    chain: str
    metric: str
    default: float = Field(description="mean of the metric with the default")
    tuned: float = Field(description="mean of the metric with the tuned setting")
    data: list[dict[str, Any]] = Field(description="the scans, as in SOURCE_FILE")


class Tuned(Model):
    """A YAML file written by `qsmbench tune`, which a study's methods may refer to as `tuned`."""

    use: str
    set: dict[str, int | float]
    development: Development

    @property
    def summary(self) -> str:
        """Short description of the metric, the chain and the development data."""
        scans = [
            " ".join([Path(str(d.get("phantom"))).stem, Path(str(d.get("protocol"))).stem, f"seed {d.get('seed')}"])
            for d in self.development.data
        ]
        return f"{self.development.metric} of {self.development.chain} on {', '.join(scans)}"


def read_tuned(path: Path) -> Tuned:
    """Read the result of a tuning.

    Raises:
        QsmbenchError: no such file, or not written by `qsmbench tune`.
    """
    return load_yaml(path, Tuned)


def write_tuned(path: Path, tuned: Tuned) -> None:
    """Write the result of a tuning as YAML."""
    text = yaml.safe_dump(tuned.model_dump(), sort_keys=False, allow_unicode=True)
    path.write_text("# written by qsmbench tune\n" + text)


def check_apart(tuned: Tuned, where: Path, sources: Sequence[Mapping[str, Any]]) -> None:
    """Check that a study does not score the development data of a setting.

    Args:
        tuned: the tuning result.
        where: its file.
        sources: the scans of a study, as in SOURCE_FILE.

    Raises:
        QsmbenchError: a scan of the study belongs to the development data.
    """
    for source in sources:
        if source in tuned.development.data:
            raise QsmbenchError(
                f"{where}: was tuned on {source['phantom']}, {source['protocol']}, seed {source['seed']}, which the "
                "study scores; tune on other seeds, subjects or phantoms"
            )
