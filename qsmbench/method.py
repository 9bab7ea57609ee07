"""Definition of a method: a function whose signature names its inputs and settings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid


@dataclass(frozen=True)
class Orientation:
    """A local field measured in another orientation of the head, resampled to the voxels of the reference.

    Attributes:
        local_field: (nx, ny, nz) ppm.
        mask: (nx, ny, nz) bool, where the field is known.
        grid: shape and voxel size of the reference, and the direction of B0 in its voxel axes.
        magnitude: (nx, ny, nz, n_echoes) a.u., which determines the precision of the field; None: uniform.
        te: (n_echoes,) echo times of the magnitude, s.
    """

    local_field: Any
    mask: Any
    grid: Grid
    magnitude: Any = None
    te: Any = None


PARAMETERS = {
    "grid": "voxel size and direction of B0",
    "te": "(n_echoes,) echo times, s",
    "b0": "field strength, T",
    "orientations": "tuple of `Orientation`s of the same head, the reference first",
}
"""Inputs of methods other than artifacts."""


SETTINGS = {
    "pad": "zeros around the bounding box of the mask, mm along each axis",
    "radius": "radius of the ball, mm; raised to the longest voxel side if smaller",
    "opening": "radius of the ball for opening, which removes bridges and specks, mm",
    "closing": "radius of the ball for closing, which fills gaps, mm",
    "offset_smoothing": "standard deviation of the Gaussian that smooths the phase at TE = 0, mm; 0: no smoothing",
    "r2star_max": "upper limit of R2*, 1/s",
    "edges": "fraction of the magnitude's differences in the mask that count as edges; 0 for plain total variation",
    "regularisation": "λ, weight of the regularisation, ppm·mm (the gradient is per mm)",
    "curvature": "α₀/α₁, ratio of the weights of the second and the first derivative of χ, mm",
    "first_regularisation": "λ of the initial iterations with an L1 data term, mm",
    "first_iterations": "number of initial iterations with an L1 data term",
    "penalty": "weight of the gradient splitting, in multiples of λ / |field|, mm; affects the speed, not the limit",
    "curvature_penalty": "weight of the splitting of Ev, in multiples of α₀ / |field|, mm²; affects only the speed",
    "data_penalty": "ρ, weight of the field splitting; affects the speed, not the limit",
    "relaxation": "over-relaxation of the splittings, 1 (none) to 2",
    "tolerance": "stop when χ changes by less than this fraction between iterations",
    "max_iterations": "largest number of iterations",
}
"""Settings shared by several methods. A method's docstring describes only its other settings, and differences."""


STAGES = (
    "mask",
    "unwrap",
    "field",
    "chemical_shift",
    "background",
    "inversion",
    "joint",
    "separation",
    "contrast",
    "controls",
)
"""The folders below `methods/`, in the order of the pipeline."""


Container = Literal["none", "bubblewrap", "docker", "podman", "apptainer"]
"""Where third-party code runs: directly on this machine; on this machine without access to its data and the network
(bubblewrap); or, of a folder, in the container that it names."""


@dataclass(frozen=True)
class Method:
    """A reconstruction step, described by its function."""

    name: str
    function: Callable[..., Any]
    produces: tuple[str, ...]
    reference: str
    portable: bool = False
    """Whether it accepts arrays of any library."""
    inner: Method | None = None
    """The method that it wraps."""
    optional: tuple[str, ...] = ()
    """Optional inputs: those with a default."""
    files: tuple[Path, ...] = ()
    """Files that it depends on in addition to its source, such as a network's weights."""
    stochastic: bool = False
    """Whether it uses other random numbers in every run, so that results of the same code differ."""
    watched: bool = True
    """Whether all processes that it starts are child processes; docker and podman start a container elsewhere."""
    label_scheme: str = ""
    """Name of the scheme whose numbers its labels have (`data.label_scheme`); empty: those of the phantom."""
    broken: str = ""
    """Why it cannot be loaded; empty if it can."""

    def __post_init__(self) -> None:
        # what inspect.signature, help and notebooks show of a function that another one wraps
        vars(self).update(__wrapped__=self.function, __name__=self.name, __doc__=self.function.__doc__)

    def __repr__(self) -> str:
        return f"<method {self.name}({', '.join(self.consumes)}) → {', '.join(self.produces)}>"

    @cached_property
    def _parameters(self) -> tuple[inspect.Parameter, ...]:
        return tuple(inspect.signature(self.function).parameters.values())

    @property
    def consumes(self) -> tuple[str, ...]:
        """Names of the inputs: artifacts, and `grid`, `te`, `b0`."""
        return tuple(p.name for p in self._parameters if p.kind is not p.KEYWORD_ONLY)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings and their defaults, from the signature."""
        return {p.name: p.default for p in self._parameters if p.kind is p.KEYWORD_ONLY}

    @property
    def summary(self) -> str:
        """First line of the docstring."""
        return (inspect.getdoc(self.function) or "").split("\n", 1)[0]

    @property
    def differences(self) -> str:
        """Where it departs from the publication: the docstring's section Differences; empty if there is none."""
        own = section(inspect.getdoc(self.function) or "", "Differences")
        return own or (self.inner.differences if self.inner else "")

    @property
    def references(self) -> str:
        """All references: the docstring's section Reference, otherwise `reference`."""
        own = " ".join(section(inspect.getdoc(self.function) or "", "Reference").split())
        return own or (self.inner.references if self.inner else self.reference)

    @property
    def parameter_texts(self) -> dict[str, str]:
        """The description of each artifact, parameter and setting; empty if there is none.

        Taken from the docstring, otherwise from the wrapped method, otherwise from the shared descriptions.
        """
        texts = self.inner.parameter_texts if self.inner else {}
        return _described((*self.consumes, *self.settings), self.function, "Args", texts)

    @property
    def product_texts(self) -> dict[str, str]:
        """The description of each product, as in `parameter_texts`."""
        texts = self.inner.product_texts if self.inner else {}
        return _described(self.produces, self.function, "Returns", texts)

    @property
    def source(self) -> Path:
        """The file of the method (of the innermost one, if it wraps another)."""
        return self.inner.source if self.inner else Path(inspect.getfile(self.function))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function on arrays.

        Masks may have any type; non-zero voxels are inside. Arrays may be lists.

        Raises:
            QsmbenchError: an array does not fit the grid, or is complex.
        """
        arguments = dict(zip(self.consumes, args, strict=False)) | kwargs
        given = {n: _fitting(self.name, n, value, arguments) for n, value in arguments.items()}
        rest = args[len(self.consumes) :]  # the function says what is wrong with them
        return self.function(*(given.pop(n) for n, _ in zip(self.consumes, args, strict=False)), *rest, **given)


@dataclass(frozen=True)
class ExternalMethod(Method):
    """A method that is not described by the signature of a function in this process.

    Its function takes artifacts and settings as keywords; a setting may have any name, such as `lambda`.

    Attributes:
        inputs: names of the inputs: artifacts, and `grid`, `te`, `b0`.
        defaults: its settings and their defaults.
        description: one-line description.
        texts: descriptions of inputs and settings that differ from the shared ones.
        file: file of the method; None for that of its function.
    """

    inputs: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)
    file: Path | None = None

    def __post_init__(self) -> None:
        vars(self).update(__doc__=self.description)

    @property
    def consumes(self) -> tuple[str, ...]:
        """As described."""
        return self.inputs

    @property
    def settings(self) -> dict[str, Any]:
        """As described."""
        return dict(self.defaults)

    @property
    def summary(self) -> str:
        """As described."""
        return self.description

    @property
    def parameter_texts(self) -> dict[str, str]:
        """As described, otherwise the shared descriptions."""
        return super().parameter_texts | {name: text for name, text in self.texts.items() if text}

    @property
    def source(self) -> Path:
        """The file of the method."""
        return self.file or super().source


def _fitting(method: str, name: str, value: Any, arguments: Mapping[str, Any]) -> Any:
    """Return an argument in the form that the method takes, and check its grid and echo times."""
    if name == "grid" and not isinstance(value, Grid):
        raise QsmbenchError(f"method {method}: grid is {type(value).__name__}; it must be a Grid, such as scan.grid")
    if isinstance(value, list | tuple) and (name == "te" or name in ARTIFACTS):
        value = np.asarray(value, float if name == "te" else ARTIFACTS[name].dtype)
    artifact, grid = ARTIFACTS.get(name), arguments.get("grid")
    if artifact is None or not isinstance(value, np.ndarray):
        return value
    if value.dtype.kind not in "fbiu":
        raise QsmbenchError(f"method {method}: {name} is of type {value.dtype}; it must be real numbers")
    axes = 3 + artifact.echoes
    if value.ndim != axes or (isinstance(grid, Grid) and value.shape[:3] != grid.shape):
        there = f" {grid.shape}" if isinstance(grid, Grid) else ""
        echoes = ", and one axis of echoes" if artifact.echoes else ""
        raise QsmbenchError(
            f"method {method}: {name} has shape {value.shape}; it must be that of the grid{there}{echoes}"
        )
    if artifact.echoes and "te" in arguments and np.size(arguments["te"]) != value.shape[3]:
        count = np.size(arguments["te"])
        raise QsmbenchError(f"method {method}: {name} has {value.shape[3]} echoes, but te has {count} echo times")
    return value != 0 if artifact.is_mask and value.dtype != bool else value


def _described(
    names: Iterable[str], function: Callable[..., Any], section: str, inherited: dict[str, str]
) -> dict[str, str]:
    own = entries(inspect.getdoc(function) or "", section)
    return {n: own.get(n) or inherited.get(n) or glossary_text(n) for n in names}


def section(doc: str, name: str) -> str:
    """Return the text of a section of a docstring, such as Reference; empty if there is none."""
    body = re.search(rf"^{name}:\n((?:[ \t].*\n?|\n)*)", doc, re.MULTILINE)
    return inspect.cleandoc(body[1]) if body else ""


def entries(doc: str, name: str) -> dict[str, str]:
    """Return the entries of a section of a docstring, such as Args, by name."""
    entries = re.findall(r"^(\w+): (.*(?:\n +.*)*)", section(doc, name), re.MULTILINE)
    return {name: " ".join(text.split()).rstrip(".") for name, text in entries}


def glossary_text(name: str) -> str:
    """Return the description of an artifact, a parameter or a shared setting, with shape and unit; empty if unknown."""
    if name not in ARTIFACTS:
        return PARAMETERS.get(name) or SETTINGS.get(name, "")
    artifact = ARTIFACTS[name]
    axes = "(nx, ny, nz, n_echoes)" if artifact.echoes else "(nx, ny, nz)"
    unit = artifact.unit or ("bool" if name == "mask" else "integer")
    return f"{axes} {unit}: {artifact.meaning}"


def method(
    *, produces: str | tuple[str, ...], reference: str, portable: bool = False, stochastic: bool = False
) -> Callable[[Callable[..., Any]], Method]:
    """Declare a function to be a method.

    Args:
        produces: the artifact that it returns, or several, in the order of the returned tuple.
        reference: source of the algorithm, as "Author year, doi:…".
        portable: whether it accepts arrays of any library that follows the array API (see `ops.arrays.array`), so that
            it can run on a GPU; otherwise it receives NumPy arrays.
        stochastic: whether it uses other random numbers in every run, so that results of the same code differ; the
            regression gate then tests its scores.

    Raises:
        TypeError: it is no plain function, a parameter or a product is not an artifact, or a setting has no default.
    """
    names = (produces,) if isinstance(produces, str) else tuple(produces)

    def declare(function: Callable[..., Any]) -> Method:
        if any(
            is_so(function) for is_so in (inspect.isclass, inspect.iscoroutinefunction, inspect.isgeneratorfunction)
        ):
            raise TypeError(f"method {function.__name__}: @method is for a plain function, which returns arrays")
        optional = _with_default(function)
        declared = Method(
            function.__name__, function, names, reference, portable, optional=optional, stochastic=stochastic
        )
        unknown = [n for n in names if n not in ARTIFACTS]
        unknown += [n for n in declared.consumes if n not in ARTIFACTS and n not in PARAMETERS]
        if unknown:
            legal = ", ".join([*ARTIFACTS, *PARAMETERS])
            raise TypeError(f"method {declared.name}: {unknown[0]!r} is not an artifact; choose from {legal}")
        missing = [n for n, default in declared.settings.items() if default is inspect.Parameter.empty]
        if missing:
            raise TypeError(f"method {declared.name}: the setting {missing[0]!r} has no default")
        return declared

    return declare


def _with_default(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of the inputs that have a default."""
    parameters = inspect.signature(function).parameters.values()
    return tuple(p.name for p in parameters if p.kind is not p.KEYWORD_ONLY and p.default is not p.empty)


_notes: ContextVar[dict[str, Any] | None] = ContextVar("notes", default=None)


def note(key: str, value: Any) -> None:
    """Add an entry to the record of the run; no effect outside a run."""
    notes = _notes.get()
    if notes is not None:
        notes[key] = value


@contextmanager
def collected() -> Iterator[dict[str, Any]]:
    """Collect the entries noted within the context."""
    notes: dict[str, Any] = {}
    token = _notes.set(notes)
    try:
        yield notes
    finally:
        _notes.reset(token)
