"""Volumes as NIfTI files, checked as they are read."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import nibabel as nib
import numpy as np
from isal import igzip, isal_zlib
from nibabel.filebasedimages import ImageFileError

from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid, affine_voxel_size

T = TypeVar("T")


def _open(path: Path, take: Callable[[Any], T]) -> T:
    """Return what `take` reads off the NIfTI image in a file; anything that is wrong with the file is one line."""
    if not path.is_file():
        raise QsmbenchError(f"{path}: no such file")
    try:
        if path.name.endswith(".nii.gz"):
            with igzip.open(path) as packed:  # ISA-L unpacks three times faster than zlib
                return take(_nifti(packed))
        return take(nib.load(path))
    except (ImageFileError, OSError, EOFError, ValueError, zlib.error, isal_zlib.error) as e:  # type: ignore[misc]
        reason = " ".join(str(e).split()).replace(str(path), path.name)[:200]
        raise QsmbenchError(f"{path}: cannot be read as NIfTI, truncated or damaged ({reason})") from e


def _nifti(file: Any) -> Any:
    """Return the NIfTI image in an open file; its values are read when they are asked for."""
    head = file.read(nib.Nifti2Image.header_class.sizeof_hdr)
    file.seek(0)
    for kind in (nib.Nifti1Image, nib.Nifti2Image):
        if kind.header_class.may_contain_header(head):
            return kind.from_file_map({"image": nib.FileHolder(fileobj=file)})
    raise ImageFileError("it has no NIfTI header")


def _values(image: Any) -> np.ndarray:
    scaled = image.dataobj.slope != 1 or image.dataobj.inter != 0
    stored = image.get_data_dtype()
    if stored.kind not in "fiub":
        raise ValueError(f"its voxels are of type {stored}; they must be real numbers")
    return np.asarray(image.dataobj, dtype=np.float32 if scaled or stored.kind == "f" else stored)


def open_grid(path: Path) -> tuple[tuple[int, ...], np.ndarray]:
    """Read the shape and the affine of a NIfTI file.

    Raises:
        QsmbenchError: no such file, or not a NIfTI file.
    """
    return _open(path, lambda image: (tuple(image.shape), np.array(image.affine, float)))


def open_volume(path: Path, *, finite: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Read the values (scaled, float32 or integer as stored) and the affine of a NIfTI file.

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


def read_mask(path: Path, grid: Grid) -> np.ndarray:
    """Read any NIfTI file as a mask: (nx, ny, nz) bool, where it is not zero.

    Raises:
        QsmbenchError: it is missing, damaged, on another grid, or empty.
    """
    values, affine = open_volume(path)
    check_grid(path, values.shape, affine, grid)
    return check_not_empty(path, values != 0)


def check_not_empty(path: Path, mask: np.ndarray) -> np.ndarray:
    """Return the mask unless it is empty.

    Raises:
        QsmbenchError: it is.
    """
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
