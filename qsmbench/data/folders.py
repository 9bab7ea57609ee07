"""Folders of artifacts, and the small files in them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.phase_units import Evidence, to_radians
from qsmbench.data.read_mask import to_mask
from qsmbench.data.tables import read_table, read_text
from qsmbench.data.volumes import check_finite, on_grid, open_grid, open_volume, save_volume, without_unit_axes
from qsmbench.errors import QsmbenchError, shown
from qsmbench.grid import Grid

PARAMS_FILE = "params.json"


REGIONS_FILE = "dseg.tsv"
VEINS_FILE = "veins.tsv"


RECEIVER_FILE = "receiver.json"
"""File next to a noise-free scan: σ of its noise, and the centre of the coils [mm]."""


@dataclass(frozen=True)
class Params:
    """Acquisition parameters: echo times `te` [s], main field `b0` [T], and the grid (with the B0 direction)."""

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
            raise QsmbenchError(f"{path}: {key} is missing; required: TE [s], B0 [T] and B0_dir (unit vector)")
        if not _is_numbers(content[key]) or isinstance(content[key], list) == (key == "B0"):
            raise QsmbenchError(f"{path}: {key} is {shown(content[key])}; it must be {_PARAMS[key]}")
    volumes = [f for a in ARTIFACTS.values() if (f := folder / a.file).is_file()]
    if not volumes:
        raise QsmbenchError(f"{folder}: contains no volume, such as phase.nii.gz or mask.nii.gz")
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
    """Return `params` with the rounding that `write`, `write_params` and `read_params` would cause.

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

    What is converted is logged as a note: the order of axes, a mask of shares, a unit of phase, and what is not finite
    outside the mask that lies in the same folder. Without `grid`, all values must be finite.

    Raises:
        QsmbenchError: the file is missing, damaged, not finite in the mask, on another grid, not a mask, an empty one,
            labels that are no whole numbers, or a phase of no clear unit.
    """
    artifact = ARTIFACTS[name]
    path = folder / artifact.file
    values, affine = open_volume(path, finite=False)
    axes = 4 if artifact.echoes else 3
    values = values if artifact.is_mask else without_unit_axes(values, axes)
    if artifact.echoes and values.ndim == 3:
        values = values[..., None]
    if values.ndim != axes and not artifact.is_mask:
        raise QsmbenchError(f"{path}: has {values.ndim} axes {values.shape}; {name} has {axes}")
    notes = []
    if grid is not None:
        values, note = on_grid(path, values, affine, grid)
        notes += [note] if note else []
    if artifact.is_mask:
        values, more = to_mask(values, str(path))
        notes += more
    else:
        values, more = _finite(path, values, grid)
        notes += more
    if np.issubdtype(artifact.dtype, np.integer):
        values = _whole(path, values, artifact.dtype)
    if name == "phase":
        values, more = to_radians(values, str(path), _stated(folder))
        notes += more
    for note in notes:
        logging.getLogger("qsmbench").warning(note)
    return values.astype(artifact.dtype, copy=False)


def _whole(path: Path, values: np.ndarray, dtype: type) -> np.ndarray:
    """Return labels as whole numbers; a millionth is what scaling by a slope leaves.

    Raises:
        QsmbenchError: some are not whole, as between two labels, or not of the range of `dtype`.
    """
    whole, last = np.rint(values), np.iinfo(dtype).max
    wrong = (np.abs(values - whole) > 1e-6 * last) | (whole < 0) | (whole > last)
    if wrong.any():
        raise QsmbenchError(f"{path}: holds {values[wrong][0]:g}; its values must be whole numbers from 0 to {last}")
    return whole


def _stated(folder: Path) -> Evidence:
    """What `params.json` says of a phase in `folder`: `phase_unit` or `phase_scale`, which both may be left out."""
    path = folder / PARAMS_FILE
    content = read_json(path) if path.is_file() else {}
    unit, scale = content.get("phase_unit"), content.get("phase_scale")
    if not isinstance(unit, str | None) or isinstance(scale, bool) or not isinstance(scale, int | float | None):
        raise QsmbenchError(f"{path}: phase_unit is {unit!r} and phase_scale {scale!r}; a name, or a number, is needed")
    return Evidence(unit, scale, by_convention="rad")


def _finite(path: Path, values: np.ndarray, grid: Grid | None) -> tuple[np.ndarray, list[str]]:
    """Put 0 in place of what is not finite outside the mask beside a file that is on a grid."""
    if np.isfinite(values).all():
        return values, []
    masked = grid is not None and (path.parent / ARTIFACTS["mask"].file).is_file()
    count = check_finite(path, values, read(path.parent, "mask", grid) if masked else None)
    note = f"{path}: {count} voxels outside the mask are NaN or infinite; set to 0"
    return np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0), [note]


def read_of(folder: Path, name: str, params: Params) -> np.ndarray:
    """Read one artifact of a scan as `read` does, and check its number of echoes.

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
    """Return a copy of an artifact with the type and memory order that `write` and `read` would give it.

    The first axis varies fastest, as in NIfTI; this determines the order of sums, and so their rounding.
    """
    return np.array(values, ARTIFACTS[name].dtype, order="F")


def present(folder: Path) -> list[str]:
    """Return the names of the artifacts in `folder`."""
    return [name for name, artifact in ARTIFACTS.items() if (folder / artifact.file).is_file()]


def orientation_folder(i: int) -> str:
    """Return the path of the i-th orientation of a scan, relative to the folder of the first."""
    return f"orientation-{i}" if i else ""


def further_orientations(scan: Path) -> list[str]:
    """Return the names of the folders of a scan's further orientations, in order."""
    return sorted((f.name for f in scan.glob("orientation-*")), key=lambda name: int(name.rpartition("-")[2]))


def make_folder(folder: Path) -> None:
    """Create `folder` and its parents.

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
        content = json.loads(read_text(path), parse_int=_whole_number)
    except RecursionError as e:
        raise QsmbenchError(f"{path}: is not JSON that can be used (it is nested too deeply)") from e
    except ValueError as e:
        if isinstance(e, QsmbenchError):
            raise
        raise QsmbenchError(f"{path}: is not JSON ({e})") from e
    if not isinstance(content, dict):
        raise QsmbenchError(f"{path}: contains {type(content).__name__}; it must be a JSON object")
    return content


def _whole_number(digits: str) -> int:
    if len(digits) > 300:  # about the largest float has 309
        raise ValueError(f"a number of {len(digits)} digits, {digits[:9]}…")
    return int(digits)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write an object as JSON, atomically, so that a reader never sees a partial file."""
    partial = path.with_name(path.name + ".part")
    partial.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    partial.replace(path)


def write_regions(path: Path, regions: Iterable[tuple[int, str, str]]) -> None:
    """Write the table of `labels` or `vein_name`: rows of index, name and group (`dgm`: deep grey matter)."""
    lines = ["index\tname\tgroup", *(f"{index}\t{name}\t{group}" for index, name, group in regions)]
    path.write_text("\n".join(lines) + "\n")


def read_vein_names(folder: Path) -> list[tuple[int, str, str]]:
    """Read number, name and region of the veins of a truth; none if it has no such table."""
    path = folder / VEINS_FILE
    return read_regions(path) if path.is_file() else []


def read_regions(path: Path) -> list[tuple[int, str, str]]:
    """Read the table of `labels` or `vein_name` as rows of index, name and group (empty if there is no such column).

    Raises:
        QsmbenchError: no such file, or no columns `index` and `name`.
    """
    rows = read_table(path)
    if not rows or not {"index", "name"} <= rows[0].keys():
        found = ", ".join(rows[0])[:100] if rows else "missing"
        raise QsmbenchError(f"{path}: columns are {found!r}; index and name are required")
    for row in rows:
        if not row["index"].strip().isdecimal() or len(row["index"]) > 9:
            raise QsmbenchError(f"{path}: index is {shown(row['index'])}; it must be a whole number")
    return [(int(r["index"]), r["name"], r.get("group", "")) for r in rows]
