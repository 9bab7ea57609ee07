"""What a method is: a function whose signature says what it consumes and how it is set."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.grid import Grid


@dataclass(frozen=True)
class Orientation:
    """A local field that was measured with the head turned, brought to the voxels of the reference.

    Attributes:
        local_field: (nx, ny, nz) ppm.
        mask: (nx, ny, nz) bool, where the field is known.
        grid: shape and voxel size of the reference, and the direction of B0 in its voxel axes.
        weight: (nx, ny, nz) relative precision of the field, 1/σ (see
            `ops.solvers.weight.field_weight`); None: the same in all of the mask.
    """

    local_field: Any
    mask: Any
    grid: Grid
    weight: Any = None


PARAMETERS = ("grid", "te", "b0", "orientations")
"""What a method may consume beside artifacts: the Grid, the echo times [s] as an array, B0 [T], and a tuple of the
`Orientation`s that show the same head."""


STAGES = ("mask", "unwrap", "field", "background", "inversion", "joint", "separation", "contrast", "controls")
"""The folders below `methods/`, in the order of the pipeline."""


Container = Literal["none", "bubblewrap", "docker", "podman", "apptainer"]
"""Where a folder of others' code is run: as it is on this machine; so, but shut off from its data and from the network
(bubblewrap); or in the container that it names."""


@dataclass(frozen=True)
class Method:
    """A reconstruction step, read off its function."""

    name: str
    function: Callable[..., Any]
    produces: tuple[str, ...]
    reference: str
    portable: bool = False
    """Whether it takes arrays of any library."""
    inner: Method | None = None
    """The method that it wraps."""
    optional: tuple[str, ...] = ()
    """What it also takes where it is there."""
    files: tuple[Path, ...] = ()
    """Files beside its source that it rests on, such as a network's weights."""
    watched: bool = True
    """Whether all that it starts are children of ours; docker and podman start a container elsewhere."""
    broken: str = ""
    """Why it cannot be loaded; empty if it can."""

    @property
    def consumes(self) -> tuple[str, ...]:
        """Names of the artifacts (and of `grid`, `te`, `b0`) that the method takes."""
        parameters = inspect.signature(self.function).parameters.values()
        return tuple(p.name for p in parameters if p.kind is not p.KEYWORD_ONLY)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings and their defaults, as the signature states them."""
        parameters = inspect.signature(self.function).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}

    @property
    def summary(self) -> str:
        """First line of the docstring."""
        return (inspect.getdoc(self.function) or "").split("\n", 1)[0]

    @property
    def source(self) -> Path:
        """The file that holds the method (the innermost, of one that wraps another)."""
        return self.inner.source if self.inner else Path(inspect.getfile(self.function))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


@dataclass(frozen=True)
class ExternalMethod(Method):
    """A method that is described elsewhere than in the signature of a function of this process.

    Its function takes the artifacts and the settings as keywords; a setting may have any name, such as `lambda`.

    Attributes:
        inputs: names of the artifacts (and of `grid`, `te`, `b0`) that it takes.
        defaults: its settings and their defaults.
        description: what it is, in a line.
        file: the file that holds it; None where its function's file does.
    """

    inputs: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""
    file: Path | None = None

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
    def source(self) -> Path:
        """The file that holds it."""
        return self.file or super().source


def method(
    *, produces: str | tuple[str, ...], reference: str, portable: bool = False
) -> Callable[[Callable[..., Any]], Method]:
    """Declare a function to be a method.

    Args:
        produces: the artifact that it returns, or several, in the order of the returned tuple.
        reference: where the algorithm comes from, as "Author year, doi:…".
        portable: whether it takes arrays of any library that follows the array API (see `ops.arrays.array`), so that
            it runs on a GPU; otherwise it is given NumPy's.

    Raises:
        TypeError: a parameter or a product is no artifact, or a setting has no default.
    """
    names = (produces,) if isinstance(produces, str) else tuple(produces)

    def declare(function: Callable[..., Any]) -> Method:
        declared = Method(function.__name__, function, names, reference, portable)
        unknown = [n for n in names if n not in ARTIFACTS]
        unknown += [n for n in declared.consumes if n not in ARTIFACTS and n not in PARAMETERS]
        if unknown:
            legal = ", ".join([*ARTIFACTS, *PARAMETERS])
            raise TypeError(f"method {declared.name}: {unknown[0]!r} is no artifact; there are {legal}")
        missing = [n for n, default in declared.settings.items() if default is inspect.Parameter.empty]
        if missing:
            raise TypeError(f"method {declared.name}: the setting {missing[0]!r} has no default")
        return declared

    return declare


_notes: ContextVar[dict[str, Any] | None] = ContextVar("notes", default=None)


def note(key: str, value: Any) -> None:
    """Add a fact to the record of the run; without effect outside of one."""
    notes = _notes.get()
    if notes is not None:
        notes[key] = value


@contextmanager
def collected() -> Iterator[dict[str, Any]]:
    """The facts that are noted within."""
    notes: dict[str, Any] = {}
    token = _notes.set(notes)
    try:
        yield notes
    finally:
        _notes.reset(token)
