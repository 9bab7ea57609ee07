"""Declaration and discovery of metrics.

A metric is a function in a file of the same name: `metrics/nrmse.py` contains `nrmse`. Its parameter names determine
its inputs. Other packages add metrics through the entry-point group `qsmbench.metrics`.
"""

from __future__ import annotations

import importlib
import inspect
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal

from qsmbench import probe
from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.errors import NotApplicable, QsmbenchError, suggest
from qsmbench.metrics._values import cut_to_mask

CONSUMABLE = {
    "estimate": "(nx, ny, nz), the reconstruction, 0 where the method did not reconstruct; see `Metric.centred`",
    "truth": "(nx, ny, nz), the truth, in the unit of the estimate; see `Metric.centred`",
    "mask": "(nx, ny, nz) bool, the voxels to score",
    "study_mask": "(nx, ny, nz) bool, the study mask",
    "support": "(nx, ny, nz) bool, the voxels that the method reconstructed",
    "labels": "(nx, ny, nz) integer, index of the region",
    "regions": "list of (index, name, group), the key to the labels",
    "sources": "(nx, ny, nz) integer, index of the source in each voxel, 0 for none; see `data.source_table`",
    "source_table": "list of `PlacedSource`, the key to the sources",
    "vein_diameter": "(nx, ny, nz) mm, the true diameter of the vein in a voxel, 0 without one",
    "vein_angle": "(nx, ny, nz) degrees, the true angle of the vein in a voxel to B0",
    "vein_name": "(nx, ny, nz) integer, number of the name of the vein in a voxel, 0 without one",
    "vein_table": "list of (number, name, region), the key to the names of veins",
    "field": "(nx, ny, nz) float32, ppm of B0, the input field of the inversion",
    "grid": "the Grid",
}
"""The inputs that a metric may have, and their meaning. All arrays are read-only."""

MARGIN = 3
"""Margin around the study mask that a local metric receives [voxels]."""

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Metric:
    """A score of a reconstruction, described by its function.

    Attributes:
        name: of the function and of its file.
        function: computes the score.
        unit: of its value; None: that of the scored artifact.
        best: value of a perfect reconstruction.
        higher_is_better: None if the value may err on either side of `best`.
        reference: source of the definition.
        label: name in tables.
        artifacts: the artifacts that it can score; empty for all.
        centred: how `estimate` and `truth` are prepared. None: float64, 0 outside the mask, and relative to their mean
            in it if the artifact is known up to a constant, as χ and fields are. True: relative to their mean for every
            artifact. False: unchanged. A metric that takes no mask receives them unchanged.
        per: what the keys of its dict are: names of regions, or indices of sources.
        local: whether its value depends neither on voxels more than `MARGIN` voxels outside the study mask along an
            axis, nor on the position of the grid. Its volumes and grid may then be cropped to that box.
    """

    name: str
    function: Callable[..., float | dict[str, float] | dict[int, float]]
    unit: str | None
    best: float
    higher_is_better: bool | None
    reference: str
    label: str
    artifacts: tuple[str, ...] = ()
    centred: bool | None = None
    local: bool = False
    per: Literal["region", "source"] = "region"

    @property
    def consumes(self) -> tuple[str, ...]:
        """Names of the metric's inputs."""
        return tuple(inspect.signature(self.function).parameters)

    @property
    def definition(self) -> str:
        """The docstring without its sections `Returns` and `Raises`."""
        return re.split(r"\n(?:Args|Returns|Raises):", inspect.getdoc(self.function) or "")[0].strip()

    def unit_of(self, artifact: str) -> str:
        """Return the unit of the value when `artifact` is scored."""
        return ARTIFACTS[artifact].unit if self.unit is None else self.unit

    def can_score(self, artifact: str) -> bool:
        """Return whether it is defined for `artifact`; masks and sparse maps need metrics declared for them."""
        if self.artifacts:
            return artifact in self.artifacts
        row = ARTIFACTS[artifact]
        return not (row.is_mask or row.sparse) or "estimate" not in self.consumes

    def distance(self, value: float) -> float:
        """Return the distance of `value` from the best value; smaller is better for every metric."""
        return abs(value - self.best)

    def centres(self, artifact: str) -> bool | None:
        """Return whether maps of an artifact are taken relative to their mean in the mask; None: unchanged."""
        if self.centred is False or "mask" not in self.consumes:
            return None
        return self.centred or not ARTIFACTS[artifact].own_zero

    def __call__(self, *args: Any, artifact: str = "chi", **kwargs: Any) -> Any:
        """Compute the metric of `artifact`; the other arguments are those of its function, with unprepared maps."""
        arguments = inspect.signature(self.function).bind(*args, **kwargs).arguments
        return self.function(**apply_centring(arguments, self.centres(artifact)))


def apply_centring(arguments: Mapping[str, Any], centred: bool | None) -> dict[str, Any]:
    """Return `arguments` with `estimate` and `truth` prepared as `Metric.centres` requires.

    Raises:
        NotApplicable: the mask is empty.
    """
    maps = [n for n in ("estimate", "truth") if centred is not None and arguments.get(n) is not None]
    return {**arguments, **{n: cut_to_mask(arguments[n], arguments["mask"], centred=bool(centred)) for n in maps}}


def metric(
    *,
    unit: str | None,
    best: float,
    higher_is_better: bool | None,
    reference: str,
    label: str = "",
    artifacts: tuple[str, ...] = (),
    centred: bool | None = None,
    local: bool = False,
    per: Literal["region", "source"] = "region",
) -> Callable[[Callable[..., Any]], Metric]:
    """Declare a function to be a metric; the arguments are the attributes of `Metric`.

    The function returns a float, or a dict from region name (or the index of a source) to float, which omits those
    without a voxel in the mask; if it takes neither `regions` nor sources, the keys are groups of its own. It raises
    `NotApplicable` where it is undefined.

    Raises:
        TypeError: a parameter is not an input of metrics, or an artifact is unknown.
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
            centred,
            local,
            per,
        )
        unknown = [n for n in declared.consumes if n not in CONSUMABLE]
        if unknown:
            raise TypeError(f"metric {name}: unknown parameter {unknown[0]!r}; choose from {', '.join(CONSUMABLE)}")
        strange = [a for a in artifacts if a not in ARTIFACTS]
        if strange:
            raise TypeError(f"metric {name}: {strange[0]!r} is not an artifact; choose from {', '.join(ARTIFACTS)}")
        return declared

    return declare


@cache
def _plugins() -> dict[str, Any]:
    return {e.name: e for e in entry_points(group="qsmbench.metrics")}


@cache
def names() -> list[str]:
    """Return the names of all metrics: built-in ones first, then those of installed packages."""
    own = sorted(f.stem for f in _FOLDER.glob("[a-z]*.py"))
    return [*own, *(n for n in _plugins() if n not in own)]


@cache
def files() -> tuple[Path, ...]:
    """Return the files of the built-in metrics and of the scoring code."""
    return tuple(sorted(f for f in _FOLDER.glob("*.py") if f.name != "__init__.py"))


@cache
def modules() -> tuple[str, ...]:
    """Return the dotted names of the modules that contain the metrics of installed packages."""
    return tuple(sorted({e.value.partition(":")[0] for e in _plugins().values()}))


@cache
def find(name: str) -> Metric:
    """Find the metric called `name`.

    A third-party metric that cannot be imported raises NotApplicable with the reason.

    Raises:
        QsmbenchError: there is no such metric.
    """
    if name not in names():
        raise QsmbenchError(f"unknown metric {name!r}; {suggest(name, names())}")
    if (_FOLDER / f"{name}.py").is_file():
        return _declared(name, getattr(importlib.import_module(f"qsmbench.metrics.{name}"), name, None))
    problem = probe.ask("qsmbench.metrics._declaration", name).get("error")
    return _broken(name, problem) if problem else load(name)


def load(name: str) -> Metric:
    """Import a third-party metric.

    Raises:
        QsmbenchError: its entry point declares no metric.
    """
    return _declared(name, _plugins()[name].load())


def _declared(name: str, found: Any) -> Metric:
    if not isinstance(found, Metric):
        raise QsmbenchError(f"metric {name!r} is {found!r}; it must be a function decorated with @metric")
    return found


def _broken(name: str, problem: str) -> Metric:
    def never() -> float:
        raise NotApplicable(f"the metric cannot be used: {problem}")

    never.__doc__ = f"Cannot be used: {problem}"
    return Metric(name, never, "", math.nan, None, "none", name)


def _import(name: str) -> dict[str, Any]:
    from qsmbench.metrics._declaration import load  # by its full name: this file runs as a program

    load(name)
    return {}


if __name__ == "__main__":
    probe.answer(_import)
