"""How a metric is declared, and how metrics are found.

A metric is a function in a file of the same name: `metrics/nrmse.py` holds `nrmse`. Its parameter names say
what it consumes. Another package adds its own through the entry-point group `qsmbench.metrics`.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.errors import QsmbenchError, suggest

CONSUMABLE = {
    "estimate": "(nx, ny, nz) float32, the reconstruction; 0 where the method did not reconstruct",
    "truth": "(nx, ny, nz) float32, the truth, in the unit of the estimate",
    "mask": "(nx, ny, nz) bool, the voxels to score",
    "study_mask": "(nx, ny, nz) bool, the voxels that the study asks for",
    "support": "(nx, ny, nz) bool, the voxels that the method reconstructed",
    "labels": "(nx, ny, nz) integer, index of the region",
    "regions": "list of (index, name, group), the key to the labels",
    "field": "(nx, ny, nz) float32, ppm of B0, the field that the inversion was fed",
    "grid": "the Grid",
}
"""What a metric may consume."""

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Metric:
    """A score of a reconstruction, read off its function.

    Attributes:
        name: that of the function and of its file.
        function: what computes it.
        unit: of its value; None says that of the artifact that is scored.
        best: the value of a perfect reconstruction.
        higher_is_better: None where the value may err on either side of `best`.
        reference: where the definition comes from.
        label: what a table calls it.
        artifacts: the artifacts that it can score; empty for all.
    """

    name: str
    function: Callable[..., float | dict[str, float]]
    unit: str | None
    best: float
    higher_is_better: bool | None
    reference: str
    label: str
    artifacts: tuple[str, ...] = ()

    @property
    def consumes(self) -> tuple[str, ...]:
        """Names of what the metric takes."""
        return tuple(inspect.signature(self.function).parameters)

    @property
    def definition(self) -> str:
        """The docstring up to its `Args`: what the metric computes."""
        return (inspect.getdoc(self.function) or "").split("\nArgs:")[0].strip()

    def unit_of(self, artifact: str) -> str:
        """Unit of the value when `artifact` is scored."""
        return ARTIFACTS[artifact].unit if self.unit is None else self.unit

    def distance(self, value: float) -> float:
        """How far `value` is from the best one; smaller is better for every metric."""
        return abs(value - self.best)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


def metric(
    *,
    unit: str | None,
    best: float,
    higher_is_better: bool | None,
    reference: str,
    label: str = "",
    artifacts: tuple[str, ...] = (),
) -> Callable[[Callable[..., Any]], Metric]:
    """Declare a function to be a metric; the arguments are the attributes of `Metric`.

    The function returns a float, or a dict from the name of a region to a float that leaves out the regions
    without a voxel in the mask. It raises `NotApplicable` where it is undefined.

    Raises:
        TypeError: a parameter is nothing that a metric may consume, or an artifact is unknown.
    """

    def declare(function: Callable[..., Any]) -> Metric:
        name = function.__name__
        declared = Metric(
            name,
            function,
            unit,
            best,
            higher_is_better,
            reference,
            label or name.replace("_", " "),
            artifacts,
        )
        unknown = [n for n in declared.consumes if n not in CONSUMABLE]
        if unknown:
            raise TypeError(f"metric {name}: no {unknown[0]!r} to consume; there are {', '.join(CONSUMABLE)}")
        strange = [a for a in artifacts if a not in ARTIFACTS]
        if strange:
            raise TypeError(f"metric {name}: {strange[0]!r} is no artifact; there are {', '.join(ARTIFACTS)}")
        return declared

    return declare


@cache
def _plugins() -> dict[str, Any]:
    return {e.name: e for e in entry_points(group="qsmbench.metrics")}


@cache
def names() -> list[str]:
    """Names of all metrics: the built-in ones, then those of installed packages."""
    own = sorted(f.stem for f in _FOLDER.glob("[a-z]*.py"))
    return [*own, *(n for n in _plugins() if n not in own)]


def files() -> list[Path]:
    """Return the files of the built-in metrics, and of what scores with them."""
    return sorted(f for f in _FOLDER.glob("*.py") if f.name != "__init__.py")


def modules() -> list[str]:
    """Return the dotted names of the modules that hold the metrics of installed packages."""
    return sorted({e.value.partition(":")[0] for e in _plugins().values()})


@cache
def find(name: str) -> Metric:
    """The metric called `name`.

    Raises:
        QsmbenchError: there is no such metric, or its file or entry point declares none of that name.
    """
    if name not in names():
        raise QsmbenchError(f"unknown metric {name!r}; {suggest(name, names())}")
    if (_FOLDER / f"{name}.py").is_file():
        found = getattr(importlib.import_module(f"qsmbench.metrics.{name}"), name, None)
    else:
        found = _plugins()[name].load()
    if not isinstance(found, Metric):
        raise QsmbenchError(f"metric {name!r} is {found!r}; it must be a function decorated with @metric")
    return found
