"""Norms: volumes of the parts of a body by age and sex, and how much people differ."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from qsmbench.errors import QsmbenchError

Sex = Literal["female", "male"]
"""Sexes that there are norms of."""

SEXES: tuple[Sex, ...] = get_args(Sex)
"""Both of them."""

_QUANTITIES = {"volume": "mL", "sd": "%"}


@dataclass(frozen=True)
class Norms:
    """Volumes by age and sex.

    Attributes:
        ages: (n,) years.
        volumes: mL at each age, (n,), by structure and sex.
        sds: standard deviation between people at each age as a share of the volume, (n,), by structure.
    """

    ages: np.ndarray
    volumes: dict[tuple[str, str], np.ndarray]
    sds: dict[str, np.ndarray]

    def volume(self, name: str, age: float, sex: Sex | None = None) -> float:
        """Return the median volume [mL], log-linear in the logarithm of age, and constant beyond the ages of the table.

        Args:
            name: of the structure.
            age: years.
            sex: of the person; None: the geometric mean of both.
        """
        logs = [np.log(self.volumes[name, s]) for s in ((sex,) if sex else SEXES)]
        return float(np.exp(np.interp(np.log(age), np.log(self.ages), np.mean(logs, axis=0))))

    def sd(self, name: str, age: float) -> float:
        """Return the standard deviation of the logarithm of the volume between people of `age` [years]."""
        return float(np.interp(np.log(age), np.log(self.ages), self.sds[name]))


@cache
def read_norms(path: Path) -> Norms:
    """Read a table of norms: structure, sex, quantity (volume or sd), unit, a column for each age, source.

    Raises:
        QsmbenchError: the file is missing, or a row is not as described.
    """
    if not path.is_file():
        raise QsmbenchError(f"{path}: no such file; the population names it")
    volumes: dict[tuple[str, str], np.ndarray] = {}
    sds: dict[str, np.ndarray] = {}
    with path.open(newline="") as file:
        rows = csv.DictReader(file)
        ages = [name for name in rows.fieldnames or () if name.isdecimal()]
        for row in rows:
            where = f"{path}: {row['structure']}, {row['sex']}"
            if _QUANTITIES.get(row["quantity"]) != row["unit"]:
                legal = ", ".join(f"{q} in {u}" for q, u in _QUANTITIES.items())
                raise QsmbenchError(f"{where}: {row['quantity']} in {row['unit']} is unknown; choose from {legal}")
            try:
                values = np.array([float(row[age]) for age in ages])
            except ValueError as e:
                raise QsmbenchError(f"{where}: {e}") from e
            if row["quantity"] == "sd":
                sds[row["structure"]] = values / 100
            else:
                volumes[row["structure"], row["sex"]] = values
    for name in sds:
        for sex in SEXES:
            if (name, sex) not in volumes:
                raise QsmbenchError(f"{path}: there is no volume of {name}, {sex}")
    return Norms(np.array(ages, float), volumes, sds)
