"""Volumes as NIfTI files, checked as they are read."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import nibabel as nib
import numpy as np
from isal import igzip
from nibabel.filebasedimages import ImageFileError

from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid, affine_voxel_size

T = TypeVar("T")

nib.imageglobals.logger.setLevel(logging.CRITICAL)  # what is wrong with a header is told here, in one line

_MOST_PACKED = 1100
"""Bytes that a byte of gzip may unpack to; deflate reaches 1032."""

MM = {"meter": 1000.0, "mm": 1.0, "micron": 0.001, "unknown": 1.0}
"""The units of length that NIfTI knows, in mm; a header that names none is taken to be in mm."""

_LENGTHS = ("unknown", "meter", "mm", "micron")
"""Units of length by their code in `xyzt_units`."""


@dataclass(frozen=True)
class Form:
    """One of the two affines of a NIfTI header.

    Attributes:
        name: sform or qform.
        code: what it leads to: 0 unknown, 1 the scanner, 2 another scan, 3 Talairach, 4 MNI 152, 5 another template.
        affine: (4, 4) voxel index → mm.
    """

    name: str
    code: int
    affine: np.ndarray


@dataclass(frozen=True)
class Header:
    """What a file says of its volume beside the values.

    Attributes:
        shape: number of voxels along each axis.
        affine: (4, 4) voxel index → mm: the sform if it is coded, else the qform if it is coded, else `pixdim`.
        forms: sform and qform; none if the file is not NIfTI.
        pixdim: sizes of a voxel that stand in the header beside the forms, mm.
        length: the header's unit of length: meter, mm, micron or unknown.
        dtype: of the stored numbers.
        slope, inter: value = slope · stored number + inter.
    """

    shape: tuple[int, ...]
    affine: np.ndarray
    forms: tuple[Form, ...]
    pixdim: tuple[float, ...]
    length: str
    dtype: np.dtype[Any]
    slope: float
    inter: float

    @property
    def is_scaled(self) -> bool:
        """Whether the values are other than the stored numbers."""
        return self.slope != 1 or self.inter != 0


_NOT_FETCHED = "points to a file that is not there; fetch it first, as by datalad get, git annex get or git lfs pull"

_POINTERS = (b"version https://git-lfs", b"/annex/objects/")
"""Beginnings of what Git LFS and git-annex leave in place of a file."""


def _open(path: Path, take: Callable[[Any], T]) -> T:
    """Return what `take` reads off the NIfTI image in a file; anything that is wrong with the file is one line."""
    if not path.is_file():
        raise QsmbenchError(f"{path}: {_NOT_FETCHED if path.is_symlink() else 'no such file'}")
    try:
        if path.name.endswith(".nii.gz"):
            with igzip.open(path) as packed:  # ISA-L unpacks three times faster than zlib
                return take(_checked(_nifti(packed), path.stat().st_size * _MOST_PACKED))
        return take(_checked(nib.load(path), path.stat().st_size if path.suffix == ".nii" else None))
    except Exception as e:  # a header may hold anything, and what reads it raise anything
        with path.open("rb") as file:
            if file.read(40).startswith(_POINTERS):
                raise QsmbenchError(f"{path}: {_NOT_FETCHED}") from e
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


def _checked(image: Any, most: int | None) -> Any:
    """Refuse an image that says to hold more bytes than its file can, before memory is taken for them."""
    stated = math.prod(int(n) for n in image.shape) * image.get_data_dtype().itemsize
    if most is not None and stated > most:
        raise ValueError(f"its header says {image.shape} voxels of {image.get_data_dtype()}, more than the file holds")
    return image


def _values(image: Any) -> np.ndarray:
    scaled = image.dataobj.slope != 1 or image.dataobj.inter != 0
    stored = image.get_data_dtype()
    if stored.kind not in "fiub":
        raise ValueError(f"its voxels are of type {stored}; they must be real numbers")
    return np.asarray(image.dataobj, dtype=np.float32 if scaled or stored.kind == "f" else stored)


def _header(image: Any) -> Header:
    header = image.header
    code = int(header["xyzt_units"]) % 8 if hasattr(header, "get_sform") else _LENGTHS.index("mm")
    if code >= len(_LENGTHS):
        raise ValueError(f"its unit of length has the code {code}; NIfTI knows 0 to {len(_LENGTHS) - 1}")
    length = _LENGTHS[code]
    forms: tuple[Form, ...] = ()
    if hasattr(header, "get_sform"):
        forms = (
            Form("sform", int(header["sform_code"]), _in_mm(header.get_sform(), length)),
            Form("qform", int(header["qform_code"]), _in_mm(header.get_qform(), length)),
        )
    scale = MM[length]
    return Header(
        tuple(int(n) for n in image.shape),
        _in_mm(image.affine, length),
        forms,
        tuple(float(d) * scale for d in header.get_zooms()[:3]),
        length,
        image.get_data_dtype(),
        float(getattr(image.dataobj, "slope", 1.0)),
        float(getattr(image.dataobj, "inter", 0.0)),
    )


def _in_mm(affine: np.ndarray, length: str) -> np.ndarray:
    affine = np.array(affine, float)
    affine[:3] *= MM[length]
    return affine


def open_header(path: Path) -> Header:
    """Read what a NIfTI file says of its volume beside the values, with all lengths in mm.

    Raises:
        QsmbenchError: no such file, or not a NIfTI file.
    """
    return _open(path, _header)


def open_grid(path: Path) -> tuple[tuple[int, ...], np.ndarray]:
    """Read the shape and the affine [mm] of a NIfTI file.

    Raises:
        QsmbenchError: no such file, or not a NIfTI file.
    """
    header = open_header(path)
    return header.shape, header.affine


def open_volume(path: Path, *, finite: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Read the values (scaled, float32 or integer as stored) and the affine [mm] of a NIfTI file.

    Args:
        path: of the file.
        finite: refuse values that are not.

    Raises:
        QsmbenchError: no such file, not a NIfTI file, truncated, not of real numbers, or not finite everywhere.
    """
    values, affine = _open(path, lambda image: (_values(image), _header(image).affine))
    if finite:
        check_finite(path, values)
    return values, affine


def open_stored(path: Path) -> np.ndarray:
    """Read the numbers of a NIfTI file as they are stored, float32, before slope and intercept.

    Raises:
        QsmbenchError: no such file, not a NIfTI file, or truncated.
    """
    return _open(path, lambda image: np.asarray(image.dataobj.get_unscaled(), np.float32))


def check_finite(path: Path | str, values: np.ndarray, mask: np.ndarray | None = None) -> int:
    """Refuse values that are not finite, or only those within a mask; return how many there are elsewhere.

    Args:
        path: begins the error's message.
        values: (nx, ny, nz), perhaps with a further axis.
        mask: (nx, ny, nz) bool; by default all voxels count.

    Raises:
        QsmbenchError: a value that counts is NaN or infinite.
    """
    wrong = ~np.isfinite(values)
    count = int(np.count_nonzero(wrong))
    if not count:
        return 0
    if mask is None:
        raise QsmbenchError(f"{path}: {count} of {values.size} voxels are NaN or infinite; all must be finite")
    inside = int(np.count_nonzero(wrong[mask]))
    if inside:
        raise QsmbenchError(
            f"{path}: {inside} of {values[mask].size} voxels are NaN or infinite in the mask; all there must be finite"
        )
    return count


def without_unit_axes(values: np.ndarray, axes: int) -> np.ndarray:
    """Return a volume without those axes of length 1 that follow x, y, z and are too many.

    Args:
        values: (nx, ny, nz, …).
        axes: how many axes there should be.
    """
    extra = [i for i in range(3, values.ndim) if values.shape[i] == 1]
    drop = extra[: max(values.ndim - axes, 0)]
    return np.squeeze(values, tuple(drop)) if drop else values


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


def check_grid(path: Path, shape: tuple[int, ...], affine: np.ndarray, grid: Grid) -> None:
    """Refuse a volume whose shape or affine is not that of `grid`.

    Raises:
        QsmbenchError: the shapes differ, or a corner of the volume lies more than a tenth of a voxel elsewhere.
    """
    if tuple(shape[:3]) != grid.shape:
        raise QsmbenchError(f"{path}: shape {tuple(shape[:3])} differs from the scan's {grid.shape}")
    shift = _shift(shape, affine, grid)
    if shift > 0.1 * min(grid.voxel_size):
        size = [round(d, 4) for d in affine_voxel_size(affine)]
        raise QsmbenchError(
            f"{path}: its affine (voxel size {size}) moves a corner by {shift:.3g} mm from the scan's grid; "
            "all volumes of a scan must share one grid"
        )


def _shift(shape: tuple[int, ...], affine: np.ndarray, grid: Grid) -> float:
    corners = np.array([[i, j, k, 1] for i in (0, shape[0]) for j in (0, shape[1]) for k in (0, shape[2])], float)
    return float(np.abs(corners @ (affine - grid.affine).T).max())


def on_grid(path: Path, values: np.ndarray, affine: np.ndarray, grid: Grid) -> tuple[np.ndarray, str | None]:
    """Return a volume in the order of a grid's axes.

    A volume that fills the same box, with its axes stored in another order or direction (such as LAS in place of RAS),
    is reordered; its values stay as they are.

    Args:
        path: of the volume, for messages.
        values: (nx, ny, nz), perhaps with a further axis.
        affine: (4, 4) voxel index → mm, of the volume.
        grid: to be on.

    Returns:
        the volume, and a note if it was reordered.

    Raises:
        QsmbenchError: it lies elsewhere; see `check_grid`.
    """
    here, there = nib.io_orientation(affine), nib.io_orientation(grid.affine)
    if not (np.array_equal(here, there) or np.isnan(here).any() or np.isnan(there).any()):
        turn = nib.orientations.ornt_transform(here, there)
        turned = affine @ nib.orientations.inv_ornt_aff(turn, values.shape[:3])
        moved = nib.orientations.apply_orientation(values, turn)
        if moved.shape[:3] == grid.shape and _shift(moved.shape, turned, grid) <= 0.1 * min(grid.voxel_size):
            names = ["".join(nib.orientations.aff2axcodes(a)) for a in (affine, grid.affine)]
            return np.asfortranarray(moved), f"{path}: stored as {names[0]}, reordered to {names[1]} like the scan"
    check_grid(path, values.shape, affine, grid)
    return values, None
