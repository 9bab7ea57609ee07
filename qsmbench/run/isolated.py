"""Others' Python, and networks, run where nothing is to be seen but their code and their inputs; see `sandbox`.

The method runs in a process of its own (`run.inside`). What it leaves there is files of a stranger: each is looked at
before it is read, and none is unpickled.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from qsmbench.child import run_and_tell
from qsmbench.compiled import copy_kept
from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.dependencies import PACKAGE, find_package, imported_by
from qsmbench.errors import FailedError, NotApplicable
from qsmbench.grid import Grid
from qsmbench.log import first_error
from qsmbench.method import ExternalMethod, Method, note
from qsmbench.probe import how_it_ended
from qsmbench.run import registry
from qsmbench.run.inside import ANSWER, CALL
from qsmbench.sandbox import Sandbox, launch_environment, read_plain, take_plain

INPUT, OUTPUT = "/input", "/output"

LOOPS = ".numba"
"""Folder in /tmp for compiled loops."""

MAX_ANSWER = 2**20
"""Bytes that a method's account of its run may have, notes included; assumed."""

MAX_ECHOES = 64
"""Volumes that a product may hold; assumed, no protocol has as many."""


def isolated(name: str, names: Sequence[str], hidden: Sequence[Path] = ()) -> Method:
    """Return a method that runs isolated.

    Args:
        name: of the method; see `registry.find`.
        names: of all methods whose code it runs: itself, and those that its settings name.
        hidden: folders that must not be seen, wherever they lie.

    Raises:
        FailedError: it cannot be imported.
    """
    trusted = registry.without_choice(name).endswith((".yaml", ".yml")) or not registry.is_others(name)
    method = registry.find(name) if trusted else registry.describe(name, container="bubblewrap")
    if method.broken:
        raise FailedError(method.broken)
    return ExternalMethod(
        name=method.name,
        function=partial(_run, name, tuple(names), tuple(hidden), method),
        produces=method.produces,
        reference=method.reference,
        optional=method.optional,
        stochastic=method.stochastic,
        files=method.files,
        inputs=method.consumes,
        defaults=method.settings,
        description=method.summary,
        texts=method.parameter_texts,
        file=method.source,
    )


def room_for(names: Sequence[str], work: Path, out: Path, hidden: Sequence[Path] = ()) -> Sandbox:
    """Return a room that shows the code of some methods, each file at its own path, and one folder to write to."""
    shown = {str(path): path for name in names for path in _code_of(name)}
    shown |= {} if PACKAGE.is_relative_to(sys.prefix) else {str(PACKAGE): PACKAGE}
    path = os.pathsep.join([str(PACKAGE.parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    return Sandbox(work, shown, {str(out): out}, hidden, {"PYTHONPATH": path})


def source_of(name: str) -> Path:
    """Return the file that holds a method of others, by what its name says; nothing is imported."""
    base = registry.without_choice(name)
    if base.endswith((".py", ".yaml", ".yml")):
        return Path(base)
    top, *rest = registry.entry_point_methods()[base].value.partition(":")[0].strip().split(".")
    place = find_package(top)
    if place is None or place.is_file():
        return place or Path(__file__)
    file = place.joinpath(*rest)
    return file.with_suffix(".py") if file.with_suffix(".py").is_file() else file / "__init__.py"


def _code_of(name: str) -> list[Path]:
    """Return the files and folders that a method of others is made of, but for what is installed."""
    base = registry.without_choice(name)
    if registry.is_folder(base):
        return [Path(base).resolve() if Path(base).is_dir() else Path(base).resolve().parent]
    if not registry.is_others(base):
        return []
    if base.endswith((".yaml", ".yml")):
        return [f.absolute() for f in registry.find(base).files]
    source = source_of(name).absolute()
    return list(dict.fromkeys(_whole(f.absolute()) for f in (source, *imported_by(source)) if not _is_installed(f)))


def _is_installed(file: Path) -> bool:
    return any(file.resolve().is_relative_to(Path(p).resolve()) for p in (sys.prefix, sys.base_prefix))


def _whole(file: Path) -> Path:
    """Return the package that a file belongs to, with its data; the file itself if it belongs to none."""
    whole = file
    while (whole.parent / "__init__.py").is_file():
        whole = whole.parent
    return whole


def _run(name: str, names: Sequence[str], hidden: Sequence[Path], method: Method, **values: Any) -> Any:
    """Run a method on artifacts, parameters and settings; return its products.

    Raises:
        NotApplicable: the method says so.
        FailedError: it raised something, or ended without an answer.
        MemoryError: it had too little.
        ValueError: a product is not what it should be.
    """
    settings = {n: values.pop(n) for n in list(values) if n in method.settings}
    grid = values.get("grid") or _grid_of(values)
    with tempfile.TemporaryDirectory(prefix="qsmbench-") as folder:
        work, given, out = (Path(folder, n) for n in ("work", "in", "out"))
        for made in (work, given, out):
            made.mkdir()
        call = {"name": absolute(name), "settings": _with_absolute(settings), "arguments": values}
        (given / CALL).write_bytes(pickle.dumps(call))
        room = room_for(names, work, out, hidden)
        copy_kept(work / "tmp" / LOOPS)
        variables = {**room.environment, "NUMBA_CACHE_DIR": f"/tmp/{LOOPS}"}
        room = replace(room, shown={**room.shown, INPUT: given}, writable={OUTPUT: out}, environment=variables)
        command = [sys.executable, "-P", "-m", "qsmbench.run.inside", INPUT, OUTPUT]
        code, said = run_and_tell(room.command(command), work, launch_environment())
        _tell(_answer(out, code, said))
        return tuple(_product(out, n, grid) for n in method.produces)


def _grid_of(values: Mapping[str, Any]) -> Grid | None:
    """The shape of the volumes that a method takes, where it does not take the grid."""
    for name, value in values.items():
        if name in ARTIFACTS and isinstance(value, np.ndarray):
            return Grid(value.shape[:3], (1.0, 1.0, 1.0))
    return None


def absolute(name: str) -> str:
    """A name that leads to the same method from any folder."""
    base = registry.without_choice(name)
    is_path = registry.is_folder(base) or base.endswith((".py", ".yaml", ".yml"))
    return str(Path(base).absolute()) + name[len(base) :] if is_path and Path(base).exists() else name


def _with_absolute(settings: Mapping[str, Any]) -> dict[str, Any]:
    named = registry.named_in(settings)
    return {n: absolute(v) if isinstance(v, str) and v in named else v for n, v in settings.items()}


def _answer(out: Path, code: int, said: str) -> dict[str, Any]:
    """What the process says of its run."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        answer = json.loads(read_plain(out / ANSWER, MAX_ANSWER))
        if code == 0 and isinstance(answer, dict):
            return answer
    error = first_error(said)[:200]
    ended = how_it_ended(code if code <= 128 else 128 - code)  # as a shell tells the signal that ended a process
    raise FailedError(f"crashed: {ended}{f' ({error})' if error else ''}")


def _tell(answer: Mapping[str, Any]) -> None:
    """Pass on the notes of a run, or raise what it raised."""
    status, reason = answer.get("status"), str(answer.get("reason"))
    if status == "skipped":
        raise NotApplicable(reason)
    if status == "memory":
        raise MemoryError(reason)
    if status != "ok":
        raise FailedError(reason)
    notes = answer.get("notes")
    for key, value in notes.items() if isinstance(notes, dict) else ():
        note(str(key), value)


def _product(out: Path, name: str, grid: Grid | None) -> np.ndarray:
    """Read a product of a stranger, unless it is too large to be one."""
    file = out / f"{name}.npy"
    voxels = float(np.prod(grid.shape)) if grid else 2.0**30
    most = voxels * 16 * (MAX_ECHOES if ARTIFACTS[name].echoes else 1) + 4096
    try:
        with tempfile.TemporaryDirectory(prefix="qsmbench-") as own:
            take_plain(file, Path(own, file.name), most)
            return np.array(np.load(Path(own, file.name), mmap_mode="r", allow_pickle=False))
    except Exception as e:  # a header may be anything
        raise ValueError(f"{name} cannot be read ({' '.join(str(e).split())[:200]})") from e
