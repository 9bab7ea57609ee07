"""Folders of artifacts, and the small files beside them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.phase_units import to_radians
from qsmbench.data.volumes import check_grid, check_not_empty, open_grid, open_volume, save_volume
from qsmbench.errors import QsmbenchError, shown
from qsmbench.grid import Grid

PARAMS_FILE = "params.json"


REGIONS_FILE = "dseg.tsv"


RECEIVER_FILE = "receiver.json"
"""Beside a noise-free scan: σ of its noise, and where the middle of the coils is [mm]."""


@dataclass(frozen=True)
class Params:
    """How a scan was acquired: echo times `te` [s], main field `b0` [T], and its grid (with the B0 direction)."""

    te: np.ndarray
    b0: float
    grid: Grid

    def __post_init__(self) -> None:
        te = np.asarray(self.te, float)
        if te.ndim != 1 or te.size == 0:
            raise QsmbenchError(f"TE is {self.te}; it must be a list of echo times in seconds")
        if not np.all(np.isfinite(te)) or te[0] <= 0 or np.any(np.diff(te) <= 0):
            raise QsmbenchError(f"TE is {te.tolist()}; echo times must be positive, in seconds, and increasing")
        if te[-1] > 1:
            raise QsmbenchError(f"TE is {te.tolist()}; echo times are in seconds (these look like milliseconds)")
        if not (np.isfinite(self.b0) and 0.01 <= self.b0 <= 30):
            raise QsmbenchError(f"B0 is {self.b0}; it must be a field strength in tesla")
        object.__setattr__(self, "te", te)


_PARAMS = {"TE": "a list of echo times in s", "B0": "a field strength in T", "B0_dir": "a unit vector in voxel axes"}


def _is_numbers(value: Any) -> bool:
    flat = value if isinstance(value, list) else [value]
    return all(isinstance(n, int | float) and not isinstance(n, bool) and abs(n) < 1e300 for n in flat)


def read_params(folder: Path) -> Params:
    """Read `params.json` and the grid of the mask (or of any other volume) in `folder`.

    Raises:
        QsmbenchError: a key is missing or invalid, or `voxel_size` contradicts the volume.
    """
    path = folder / PARAMS_FILE
    content = read_json(path)
    for key in _PARAMS:
        if key not in content:
            raise QsmbenchError(f"{path}: {key} is missing; needed are TE [s], B0 [T] and B0_dir (unit vector)")
        if not _is_numbers(content[key]) or isinstance(content[key], list) == (key == "B0"):
            raise QsmbenchError(f"{path}: {key} is {shown(content[key])}; it must be {_PARAMS[key]}")
    volumes = [f for a in ARTIFACTS.values() if (f := folder / a.file).is_file()]
    if not volumes:
        raise QsmbenchError(f"{folder}: holds no volume; expected for example phase.nii.gz, mask.nii.gz")
    shape, affine = open_grid(volumes[0])
    try:
        grid = Grid.from_affine(shape, affine, tuple(content["B0_dir"]))
        params = Params(content["TE"], float(content["B0"]), grid)
    except (TypeError, ValueError, OverflowError) as e:
        raise QsmbenchError(f"{path}: {e}") from e
    stated = content.get("voxel_size", list(grid.voxel_size))
    if not _is_numbers(stated) or np.size(stated) not in (1, 3):
        raise QsmbenchError(f"{path}: voxel_size is {shown(stated)}; it must be three numbers, mm")
    if not np.allclose(stated, grid.voxel_size, rtol=1e-3):
        found = [round(d, 4) for d in grid.voxel_size]
        raise QsmbenchError(f"{path}: voxel_size is {stated}, but {volumes[0].name} has {found}")
    return params


def as_read_params(params: Params) -> Params:
    """Return `params` as `read_params` finds them where `write` and `write_params` wrote them.

    Echo times are rounded to ns, and NIfTI keeps affines in float32.
    """
    grid = params.grid
    affine = grid.affine.astype(np.float32)
    return Params(np.array(_rounded(params.te)), params.b0, Grid.from_affine(grid.shape, affine, grid.b0_dir))


def _rounded(te: np.ndarray) -> list[float]:
    return [round(float(t), 9) for t in te]


def write_params(folder: Path, params: Params) -> None:
    """Write `params.json` (keys TE, B0, B0_dir, voxel_size)."""
    content = {
        "TE": _rounded(params.te),
        "B0": params.b0,
        "B0_dir": list(params.grid.b0_dir),
        "voxel_size": list(params.grid.voxel_size),
    }
    write_json(folder / PARAMS_FILE, content)


def read(folder: Path, name: str, grid: Grid | None = None) -> np.ndarray:
    """Read one artifact from `folder`, checked against the artifact table and, if given, against `grid`.

    Raises:
        QsmbenchError: the file is missing, damaged, not finite, on another grid, an empty mask, or no phase in rad.
    """
    artifact = ARTIFACTS[name]
    path = folder / artifact.file
    values, affine = open_volume(path)
    axes = 4 if artifact.echoes else 3
    if artifact.echoes and values.ndim == 3:
        values = values[..., None]
    if values.ndim != axes:
        raise QsmbenchError(f"{path}: has {values.ndim} axes {values.shape}; {name} has {axes}")
    if grid is not None:
        check_grid(path, values.shape, affine, grid)
    if artifact.is_mask:
        values = check_not_empty(path, values != 0)
    if name == "phase":
        values, note = to_radians(values, str(path))
        if note:
            logging.getLogger("qsmbench").warning(note)
    return values.astype(artifact.dtype, copy=False)


def read_of(folder: Path, name: str, params: Params) -> np.ndarray:
    """Read one artifact of a scan: `read`, and as many echoes as there are echo times.

    Raises:
        QsmbenchError: as for `read`, or the number of echoes differs.
    """
    values = read(folder, name, params.grid)
    if ARTIFACTS[name].echoes and values.shape[3] != len(params.te):
        raise QsmbenchError(
            f"{folder / ARTIFACTS[name].file}: has {values.shape[3]} echoes, "
            f"but {PARAMS_FILE} has {len(params.te)} echo times"
        )
    return values


def write(folder: Path, values: Mapping[str, np.ndarray], grid: Grid) -> None:
    """Write artifacts by name into `folder`, on `grid`."""
    make_folder(folder)
    for name, volume in values.items():
        artifact = ARTIFACTS[name]
        save_volume(folder / artifact.file, np.asarray(volume).astype(artifact.dtype, copy=False), grid.affine)


def as_read(name: str, values: np.ndarray) -> np.ndarray:
    """Return an artifact as a new array, of the type and order that `read` finds where `write` wrote it.

    In memory the first axis runs fastest, as in NIfTI: this decides the order of sums, and so their last digit.
    """
    return np.array(values, ARTIFACTS[name].dtype, order="F")


def present(folder: Path) -> list[str]:
    """Return the names of the artifacts that lie in `folder`."""
    return [name for name, artifact in ARTIFACTS.items() if (folder / artifact.file).is_file()]


def orientation_folder(i: int) -> str:
    """Return where the i-th orientation of a scan lies within the folder of the first."""
    return f"orientation-{i}" if i else ""


def further_orientations(scan: Path) -> list[str]:
    """Return the names of the folders of a scan's further orientations, in their order."""
    return sorted((f.name for f in scan.glob("orientation-*")), key=lambda name: int(name.rpartition("-")[2]))


def make_folder(folder: Path) -> None:
    """Make `folder` and its parents.

    Raises:
        QsmbenchError: it cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as e:
        raise QsmbenchError(f"{folder}: cannot be written to ({e.strerror}); name a writable folder") from e


def read_json(path: Path) -> dict[str, Any]:
    """Read the object in a JSON file.

    Raises:
        QsmbenchError: no such file, or not a JSON object.
    """
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError as e:
        raise QsmbenchError(f"{path}: no such file") from e
    except OSError as e:
        raise QsmbenchError(f"{path}: {e.strerror}") from e
    except RecursionError as e:
        raise QsmbenchError(f"{path}: is not JSON that can be used (it is nested too deeply)") from e
    except ValueError as e:
        raise QsmbenchError(f"{path}: is not JSON ({e})") from e
    if not isinstance(content, dict):
        raise QsmbenchError(f"{path}: holds {type(content).__name__}; it must be a JSON object")
    return content


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write an object as JSON, in one move, so that a reader never sees half a file."""
    partial = path.with_name(path.name + ".part")
    partial.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    partial.replace(path)


def write_regions(path: Path, regions: Iterable[tuple[int, str, str]]) -> None:
    """Write the key to `labels`, such as `dseg.tsv`: rows of index, name and group (`dgm`: deep grey matter)."""
    lines = ["index\tname\tgroup", *(f"{index}\t{name}\t{group}" for index, name, group in regions)]
    path.write_text("\n".join(lines) + "\n")


def read_regions(path: Path) -> list[tuple[int, str, str]]:
    """Read the key to `labels` as rows of index, name and group (empty where the table has no such column).

    Raises:
        QsmbenchError: no such file, or no columns `index` and `name`.
    """
    if not path.is_file():
        raise QsmbenchError(f"{path}: no such file")
    try:
        header, *rows = [line.split("\t") for line in path.read_text().splitlines() if line.strip()] or [[]]
    except ValueError as e:
        raise QsmbenchError(f"{path}: is not text ({e})") from e
    if "index" not in header or "name" not in header:
        raise QsmbenchError(f"{path}: columns are {', '.join(header)[:100]!r}; index and name are needed")
    index, name = header.index("index"), header.index("name")
    group = header.index("group") if "group" in header else None
    for row in rows:
        if len(row) < len(header) or not row[index].strip().isdecimal() or len(row[index]) > 9:
            shown = " ".join(row)[:100]
            needed = ", ".join(header)
            raise QsmbenchError(f"{path}: a row is {shown!r}; needed are {needed}, the index a whole number")
    return [(int(r[index]), r[name], r[group] if group is not None else "") for r in rows]
