"""Regions of a phantom by the label numbers of other projects."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from pydantic import Field

from qsmbench.errors import QsmbenchError, suggest
from qsmbench.paths import data_dir
from qsmbench.typed_yaml import Model, check, read_yaml


class Label(Model):
    """One label number: its name, and the regions and groups of regions that it contains."""

    name: str
    regions: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


class Scheme(Model):
    """The label numbers of a project."""

    description: str
    source: str
    labels: dict[int, Label] = Field(min_length=1)

    def number(self, region: str, group: str) -> int:
        """Return the label number of a region, by its name or else by its group; 0 if the scheme has none."""
        by_name = (n for n, label in self.labels.items() if region in label.regions)
        by_group = (n for n, label in self.labels.items() if group in label.groups)
        return next(by_name, next(by_group, 0))


QSM_CI = "challenge"
"""The scheme of QSM-CI, which is that of the QSM reconstruction challenge 2.0."""


def schemes_file() -> Path:
    """Return the file that holds all schemes."""
    return data_dir() / "phantoms" / "head" / "label-schemes.yaml"


def scheme(name: str) -> Scheme:
    """Read a scheme from `phantoms/head/label-schemes.yaml`.

    Raises:
        QsmbenchError: there is no scheme of that name.
    """
    path = schemes_file()
    content = read_yaml(path)
    if name not in content:
        raise QsmbenchError(f"there is no label scheme {name!r}; {suggest(name, content)}")
    return check(content[name], Scheme, f"{path}: {name}")


def renumbered(labels: np.ndarray, regions: Iterable[tuple[int, str, str]], to: Scheme) -> tuple[np.ndarray, list[str]]:
    """Replace the labels of a phantom by those of a scheme.

    Args:
        labels: (nx, ny, nz) integers, index into `regions`.
        regions: index, name and group of the labels.
        to: the scheme.

    Returns:
        (nx, ny, nz) uint8, and the names of the regions in the volume that the scheme does not have, which become 0.

    Raises:
        QsmbenchError: a label of the volume is not among the regions.
    """
    known = {index: (name, group) for index, name, group in regions}
    present = np.unique(labels)
    unknown = [int(i) for i in present if i and int(i) not in known]
    if unknown:
        raise QsmbenchError(f"label {unknown[0]} of the volume is not in its table; choose from {sorted(known)}")
    numbers = np.zeros(int(present.max(initial=0)) + 1, np.uint8)
    for index in present:
        if index:
            numbers[index] = to.number(*known[int(index)])
    left_out = [known[int(i)][0] for i in present if i and not numbers[i]]
    return numbers[labels], left_out
