"""The artifacts: what passes between steps, where it lies, in which unit. Everything else derives from this table.

A step reads a directory of artifacts and writes one. File names and the keys of `params.json` are those of the
QSM-CI contract, so that a method folder written for it runs here.
"""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import nibabel as nib
import numpy as np
from isal import igzip
from nibabel.filebasedimages import ImageFileError

from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid, affine_voxel_size
from qsmbench.phase_units import to_radians


@dataclass(frozen=True)
class Artifact:
    """One kind of volume: its file, unit, whether it has an echo axis, and what it is."""

    file: str
    unit: str
    meaning: str
    echoes: bool = False
    dtype: type = np.float32


ARTIFACTS = {
    "phase": Artifact("phase.nii.gz", "rad", "wrapped phase, growing with the field", echoes=True),
    "magnitude": Artifact("magnitude.nii.gz", "a.u.", "magnitude", echoes=True),
    "mask": Artifact("mask.nii.gz", "", "voxels to reconstruct", dtype=np.bool_),
    "unwrapped": Artifact("unwrapped.nii.gz", "rad", "unwrapped phase", echoes=True),
    "total_field": Artifact("totalfield.nii.gz", "ppm", "field of all sources, ppm of B0"),
    "field_noise": Artifact("fieldnoise.nii.gz", "ppm", "standard deviation of the total field's noise"),
    "local_field": Artifact("localfield.nii.gz", "ppm", "field of the sources in the mask, ppm of B0"),
    "chi": Artifact("chimap.nii.gz", "ppm", "magnetic susceptibility relative to water (SI)"),
    "chi_para": Artifact("chi-para.nii.gz", "ppm", "paramagnetic part of χ"),
    "chi_dia": Artifact("chi-dia.nii.gz", "ppm", "diamagnetic part of χ, as a positive magnitude"),
    "r2star": Artifact("r2star.nii.gz", "1/s", "effective transverse relaxation rate"),
    "r2prime": Artifact("r2prime.nii.gz", "1/s", "reversible transverse relaxation rate"),
    "water": Artifact("water.nii.gz", "a.u.", "water signal"),
    "fat": Artifact("fat.nii.gz", "a.u.", "fat signal"),
    "fat_fraction": Artifact("fat-fraction.nii.gz", "0–1", "proton-density fat fraction"),
    "ct": Artifact("ct.nii.gz", "HU", "what calcified mineral adds to the density on CT"),
    "labels": Artifact("dseg.nii.gz", "", "index into dseg.tsv", dtype=np.uint8),
}

T = TypeVar("T")

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


def _open(path: Path, take: Callable[[Any], T]) -> T:
    """What `take` reads off the NIfTI image in a file; anything that is wrong with the file is one line."""
    if not path.is_file():
        raise QsmbenchError(f"{path}: no such file")
    try:
        return take(nib.load(path))
    except (ImageFileError, OSError, EOFError, ValueError, zlib.error) as e:
        reason = " ".join(str(e).split()).replace(str(path), path.name)[:200]
        raise QsmbenchError(f"{path}: cannot be read as NIfTI, truncated or damaged ({reason})") from e


def _values(image: Any) -> np.ndarray:
    scaled = image.dataobj.slope != 1 or image.dataobj.inter != 0
    stored = image.get_data_dtype()
    if stored.kind not in "fiub":
        raise ValueError(f"its voxels are of type {stored}; they must be real numbers")
    return np.asarray(image.dataobj, dtype=np.float32 if scaled or stored.kind == "f" else stored)


def open_grid(path: Path) -> tuple[tuple[int, ...], np.ndarray]:
    """The shape and the affine of a NIfTI file.

    Raises:
        QsmbenchError: no such file, or not a NIfTI file.
    """
    return _open(path, lambda image: (tuple(image.shape), np.array(image.affine, float)))


def open_volume(path: Path, *, finite: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """The values (scaled, float32 or integer as stored) and the affine of a NIfTI file.

    Args:
        path: of the file.
        finite: refuse values that are not.

    Raises:
        QsmbenchError: no such file, not a NIfTI file, truncated, not of real numbers, or not finite everywhere.
    """
    values, affine = _open(path, lambda image: (_values(image), np.array(image.affine, float)))
    if finite and not np.isfinite(values).all():
        count = int(np.count_nonzero(~np.isfinite(values)))
        raise QsmbenchError(f"{path}: {count} of {values.size} voxels are NaN or infinite; all must be finite")
    return values, affine


def save_volume(path: Path, values: np.ndarray, affine: np.ndarray) -> None:
    """Write a volume as NIfTI, float32 or small integers, in units of mm, without scaling."""
    values = np.asarray(values)
    values = values.astype(np.uint8) if values.dtype == np.bool_ else values
    values = values.astype(np.float32, copy=False) if values.dtype.kind == "f" else values
    image = nib.Nifti1Image(values, affine)
    image.header.set_xyzt_units("mm")
    image.header.set_slope_inter(1, 0)
    with path.open("wb") as file:
        if path.suffix != ".gz":
            image.to_file_map({"image": nib.FileHolder(fileobj=file)})
            return
        # ISA-L is ten times faster than zlib for the same size; no time stamp, so that equal volumes are equal files
        with igzip.IGzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0) as packed:
            image.to_file_map({"image": nib.FileHolder(fileobj=packed)})


_PARAMS = {"TE": "a list of echo times in s", "B0": "a field strength in T", "B0_dir": "a unit vector in voxel axes"}


def _is_numbers(value: Any) -> bool:
    flat = value if isinstance(value, list) else [value]
    return all(isinstance(n, int | float) and not isinstance(n, bool) for n in flat)


def read_params(folder: Path) -> Params:
    """Read `params.json` and the grid of the mask (or of any other volume) in `folder`.

    Raises:
        QsmbenchError: a key is missing or illegal, or `voxel_size` contradicts the volume.
    """
    path = folder / PARAMS_FILE
    content = read_json(path)
    for key in _PARAMS:
        if key not in content:
            raise QsmbenchError(f"{path}: {key} is missing; needed are TE [s], B0 [T] and B0_dir (unit vector)")
        if not _is_numbers(content[key]):
            raise QsmbenchError(f"{path}: {key} is {content[key]!r}; it must be {_PARAMS[key]}")
    volumes = [f for a in ARTIFACTS.values() if (f := folder / a.file).is_file()]
    if not volumes:
        raise QsmbenchError(f"{folder}: holds no volume; expected for example phase.nii.gz, mask.nii.gz")
    shape, affine = open_grid(volumes[0])
    try:
        grid = Grid.from_affine(shape, affine, tuple(content["B0_dir"]))
        params = Params(content["TE"], float(content["B0"]), grid)
    except (TypeError, ValueError) as e:
        raise QsmbenchError(f"{path}: {e}") from e
    stated = content.get("voxel_size", grid.voxel_size)
    if not np.allclose(stated, grid.voxel_size, rtol=1e-3):
        found = [round(d, 4) for d in grid.voxel_size]
        raise QsmbenchError(f"{path}: voxel_size is {stated}, but {volumes[0].name} has {found}")
    return params


def write_params(folder: Path, params: Params) -> None:
    """Write `params.json` (keys TE, B0, B0_dir, voxel_size)."""
    content = {
        "TE": [round(float(t), 9) for t in params.te],
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
    if name == "mask":
        values = _not_empty(path, values != 0)
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


def read_mask(path: Path, grid: Grid) -> np.ndarray:
    """Read any NIfTI file as a mask: (nx, ny, nz) bool, where it is not zero.

    Raises:
        QsmbenchError: it is missing, damaged, on another grid, or empty.
    """
    values, affine = open_volume(path)
    check_grid(path, values.shape, affine, grid)
    return _not_empty(path, values != 0)


def _not_empty(path: Path, mask: np.ndarray) -> np.ndarray:
    if not mask.any():
        raise QsmbenchError(f"{path}: the mask is empty; at least one voxel must be non-zero")
    return mask


def check_grid(path: Path, shape: tuple[int, ...], affine: np.ndarray, grid: Grid) -> None:
    """Refuse a volume whose shape or affine is not that of `grid`.

    Raises:
        QsmbenchError: the shapes differ, or a corner of the volume lies more than a tenth of a voxel elsewhere.
    """
    if tuple(shape[:3]) != grid.shape:
        raise QsmbenchError(f"{path}: shape {tuple(shape[:3])} differs from the scan's {grid.shape}")
    corners = np.array([[i, j, k, 1] for i in (0, shape[0]) for j in (0, shape[1]) for k in (0, shape[2])], float)
    shift = np.abs(corners @ (affine - grid.affine).T).max()
    if shift > 0.1 * min(grid.voxel_size):
        size = [round(d, 4) for d in affine_voxel_size(affine)]
        raise QsmbenchError(
            f"{path}: its affine (voxel size {size}) moves a corner by {shift:.3g} mm from the scan's grid; "
            "all volumes of a scan must share one grid"
        )


def write(folder: Path, values: Mapping[str, np.ndarray], grid: Grid) -> None:
    """Write artifacts by name into `folder`, on `grid`."""
    make_folder(folder)
    for name, volume in values.items():
        artifact = ARTIFACTS[name]
        save_volume(folder / artifact.file, np.asarray(volume).astype(artifact.dtype, copy=False), grid.affine)


def present(folder: Path) -> list[str]:
    """Names of the artifacts that lie in `folder`."""
    return [name for name, artifact in ARTIFACTS.items() if (folder / artifact.file).is_file()]


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
    """The object in a JSON file.

    Raises:
        QsmbenchError: no such file, or not a JSON object.
    """
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError as e:
        raise QsmbenchError(f"{path}: no such file") from e
    except (json.JSONDecodeError, UnicodeDecodeError) as e:
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
    header, *rows = (line.split("\t") for line in path.read_text().splitlines() if line.strip())
    if "index" not in header or "name" not in header:
        raise QsmbenchError(f"{path}: columns are {header}; index and name are needed")
    index, name = header.index("index"), header.index("name")
    group = header.index("group") if "group" in header else None
    return [(int(r[index]), r[name], r[group] if group is not None else "") for r in rows]
