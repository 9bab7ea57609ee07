"""What `qsmbench tune` writes, and a study reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from qsmbench.errors import QsmbenchError
from qsmbench.typed_yaml import Model, load_yaml

SOURCE_FILE = "source.json"
"""In the truth of a simulated scan: the phantom, protocol and seed that it was made from."""


class Development(Model):
    """What a setting was tuned on, and what that gave."""

    chain: str
    metric: str
    default: float = Field(description="mean of the metric with the default")
    tuned: float = Field(description="mean of the metric with the tuned setting")
    data: list[dict[str, Any]] = Field(description="the scans, as SOURCE_FILE tells them")


class Tuned(Model):
    """A YAML that `qsmbench tune` writes, and that a study's methods may name under `tuned`."""

    use: str
    set: dict[str, int | float]
    development: Development

    @property
    def summary(self) -> str:
        """What it was tuned for, and on, in a few words."""
        scans = [
            " ".join([Path(str(d.get("phantom"))).stem, Path(str(d.get("protocol"))).stem, f"seed {d.get('seed')}"])
            for d in self.development.data
        ]
        return f"{self.development.metric} of {self.development.chain} on {', '.join(scans)}"


def read_tuned(path: Path) -> Tuned:
    """Read the result of a tuning.

    Raises:
        QsmbenchError: no such file, or not one that `qsmbench tune` wrote.
    """
    return load_yaml(path, Tuned)


def write_tuned(path: Path, tuned: Tuned) -> None:
    """Write what a tuning found as YAML."""
    text = yaml.safe_dump(tuned.model_dump(), sort_keys=False, allow_unicode=True)
    path.write_text("# written by qsmbench tune\n" + text)


def check_apart(tuned: Tuned, where: Path, sources: Sequence[Mapping[str, Any]]) -> None:
    """See that a setting is not judged on what it was tuned on.

    Args:
        tuned: what was found.
        where: its file.
        sources: the scans of a study, as SOURCE_FILE tells them.

    Raises:
        QsmbenchError: a scan of the study is one of its development data.
    """
    for source in sources:
        if source in tuned.development.data:
            raise QsmbenchError(
                f"{where}: was tuned on {source['phantom']}, {source['protocol']}, seed {source['seed']}, which the "
                "study scores; tune on other seeds, subjects or phantoms"
            )
