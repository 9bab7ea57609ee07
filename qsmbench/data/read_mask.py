"""What people write as a mask → the voxels in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from qsmbench.data.volumes import on_grid, open_header, open_volume, without_unit_axes
from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid

_SAME = 1e-3
"""Two values of a mask that differ by less, in units of its largest, are one: rounding of scaled integers."""

_MANY = 64
"""More different whole numbers than this are an image or shares of 100 or 255, not the labels of regions; assumed."""


def to_mask(values: np.ndarray, where: str) -> tuple[np.ndarray, list[str]]:
    """Take a volume as a mask.

    | values | outcome |
    |---|---|
    | two, one of them 0 | the voxels that are not 0 |
    | one throughout, above 0 | all voxels, and a note |
    | whole numbers, some below 0, as −1 outside | those above 0, and a note |
    | shares 0…1, or somewhat beyond after an interpolation | those of 0.5 and more, and a note |
    | up to 64 whole numbers and 0: labels of regions | those that are not 0, and a note |
    | anything else: an image, two values without 0, percentages | refused |

    A further axis, as of a mask for each echo, is reduced to the voxels that are in all of them, with a note where
    they differ. NaN is outside, with a note.

    Args:
        values: (nx, ny, nz), perhaps with further axes.
        where: begins an error's message and a note: the file, or the name of an argument.

    Returns:
        (nx, ny, nz) bool, and the notes.

    Raises:
        QsmbenchError: it is refused, or empty.
    """
    values, notes = without_unit_axes(np.asarray(values), 3), []
    if values.dtype.kind == "f":
        wrong = ~np.isfinite(values)
        if wrong.any():
            notes.append(f"{where}: {np.count_nonzero(wrong)} voxels are NaN or infinite; they are outside the mask")
            values = np.where(wrong, 0, values)
    if values.ndim not in (3, 4):
        raise QsmbenchError(f"{where}: the mask has {values.ndim} axes {values.shape}; it must have x, y, z")
    inside, note = _inside(values, where)
    notes += [note] if note else []
    if inside.ndim == 4:
        inside, note = _of_all(inside, where)
        notes += [note] if note else []
    if not inside.any():
        raise QsmbenchError(f"{where}: the mask is empty; at least one voxel must be non-zero")
    return inside, notes


def read_mask(path: Path, grid: Grid, others: Sequence[np.ndarray] = ()) -> tuple[np.ndarray, list[str]]:
    """Read a NIfTI file as a mask on a grid; see `to_mask`.

    Args:
        path: of the file.
        grid: of the scan.
        others: further affines of the scan's voxels, [mm]: of its other form, which a tool may have kept alone.

    Returns:
        (nx, ny, nz) bool, in the order of the grid's axes, and notes.

    Raises:
        QsmbenchError: it is missing, damaged, on another grid, not a mask, or empty.
    """
    header, (values, affine) = open_header(path), open_volume(path, finite=False)
    places = [affine, *(form.affine for form in header.forms if form.code > 0)]
    same = [*(np.array(o) for o in others), grid.affine]
    fits = any(np.allclose(a, b, atol=1e-3) for a in places for b in same) and values.shape[:3] == grid.shape
    values, note = (values, None) if fits else on_grid(path, values, affine, grid)
    mask, notes = to_mask(values, str(path))
    return mask, [*([note] if note else []), *notes]


def _inside(values: np.ndarray, where: str) -> tuple[np.ndarray, str | None]:
    low, high = float(values.min()), float(values.max())
    if low > 0 and low == high:
        return values != 0, f"{where}: the mask is {low:g} everywhere; all of the volume is inside"
    if low in (0, 1) and high in (0, 1) and (values.dtype.kind in "biu" or np.isin(values, (0, 1)).all()):
        return values != 0, None
    different = _different(values)
    whole = np.array_equal(different, np.round(different))
    if low < 0 and whole and different.size <= _MANY:
        taken = values > 0
        return taken, f"{where}: the mask goes down to {low:g}; its {np.count_nonzero(taken)} voxels above 0 are taken"
    if low >= 0 and different.size == 1:
        return values != 0, None
    if low > _SAME * high:
        raise QsmbenchError(f"{where}: the mask is 0 nowhere, but runs from {low:g} to {high:g}; it must be 0 outside")
    if low >= 0 and different.size == 2:
        return values > high / 2, None
    if low > -0.3 and high < 1.3 and not whole:
        taken, some = values >= 0.5, np.count_nonzero(values > 0)
        note = f"the mask holds shares 0…1; the {np.count_nonzero(taken)} voxels of 0.5 and more are taken, of {some}"
        return taken, f"{where}: {note} above 0"
    if low >= 0 and whole and different.size <= _MANY:
        return values != 0, f"{where}: the mask holds {different.size} values; all but 0 are inside"
    raise QsmbenchError(
        f"{where}: holds {different.size} values from {low:g} to {high:g}; a mask holds two values, one of them 0, "
        "or shares 0…1"
    )


def _different(values: np.ndarray) -> np.ndarray:
    """Return the different values, in their order; those that rounding alone distinguishes count once."""
    found = np.unique(values).astype(float)
    step = _SAME * np.abs(found).max()
    kept = [found[0]]
    for value in np.unique(np.searchsorted(found, np.arange(found[0], found[-1] + step, step / 2))):
        if value < found.size and found[value] - kept[-1] > step:
            kept.append(found[value])
    near = np.round(kept)
    return np.where(np.abs(kept - near) < _SAME, near, kept)


def _of_all(inside: np.ndarray, where: str) -> tuple[np.ndarray, str | None]:
    """Return the voxels that the masks of all echoes hold."""
    common, any_ = np.asarray(np.all(inside, axis=3)), np.asarray(np.any(inside, axis=3))
    if np.array_equal(common, any_):
        return common, f"{where}: {inside.shape[3]} equal masks; one is taken"
    counts = np.count_nonzero(common), np.count_nonzero(any_)
    return common, f"{where}: {inside.shape[3]} masks; the {counts[0]} of {counts[1]} voxels that are in all are taken"
