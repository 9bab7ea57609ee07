"""What can be told of a submitted map without the truth: its file, grid and values, and what its field looks like."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from isal import igzip, isal_zlib

from qsmbench.analysis.suspicion import Suspicion, suspicions
from qsmbench.challenge.entries import Refused, told
from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.folders import Params, read, read_of, read_params
from qsmbench.data.read_mask import to_mask
from qsmbench.data.volumes import on_grid, open_header, open_volume, without_unit_axes
from qsmbench.errors import QsmbenchError
from qsmbench.run import registry
from qsmbench.run.call import Inputs as Given
from qsmbench.run.call import apply
from qsmbench.scan.field import field_of

FIELD_CHAIN = ("romeo", "fit", "vsharp")
"""How the local field of a scan is measured, with which that of a map is compared."""

REFUSED = ("unit", "sign", "axis")
"""Kinds of suspicion that are refused; others are notes, since a poor reconstruction may look so."""

SURE = 0.65
"""Correlation of fields from which a sign or an axis is told. Assumed: reconstructions have 0.9 or more, with the right
sign, and a field that was sent as χ has −0.56."""

SLACK = 2**20
"""Bytes that a file may hold beside its voxels, in header extensions."""


@dataclass(frozen=True)
class Map:
    """A submitted map of χ.

    Attributes:
        chi: (nx, ny, nz) float32, ppm, 0 outside the mask of the scan.
        whole: the same as it was submitted, also outside the mask.
        support: (nx, ny, nz) bool, the voxels that it reconstructs.
        notes: what was converted.
    """

    chi: np.ndarray
    whole: np.ndarray
    support: np.ndarray
    notes: list[str]


class Inputs:
    """A scan as participants have it.

    Args:
        folder: with phase, magnitude, mask and `params.json`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def params(self) -> Params:
        """Acquisition parameters and grid."""
        return read_params(self.folder)

    @cached_property
    def mask(self) -> np.ndarray:
        """Mask of the scan, (nx, ny, nz) bool."""
        return read(self.folder, "mask", self.params.grid)

    @cached_property
    def field(self) -> tuple[np.ndarray, np.ndarray]:
        """Local field measured from the phase, (nx, ny, nz) ppm of B0, and where it is known."""
        volumes = {name: read_of(self.folder, name, self.params) for name in ("phase", "magnitude")}
        volumes["mask"] = self.mask
        for name in FIELD_CHAIN:
            given = Given(self.params, {n: partial(np.copy, v) for n, v in volumes.items()})
            volumes |= apply(registry.find(name), {}, given)[0]
        return volumes["local_field"], volumes["mask"] & self.mask


def read_map(folder: Path, params: Params, mask: np.ndarray) -> Map:
    """Read a submitted map of a scan.

    Args:
        folder: of the scan within the copied submission.
        params: of the scan.
        mask: (nx, ny, nz) bool, of the scan.

    Raises:
        Refused: it is missing, damaged, on another grid, not finite, constant or empty.
    """
    name = ARTIFACTS["chi"].file
    if not (folder / name).is_file():
        there = ", ".join(sorted(f.name for f in folder.iterdir())[:5]) or "nothing"
        raise Refused(f"{folder.name}: has no {name}; it holds {there}")
    try:
        chi, notes = _volume(folder / name, params)
        own, more = _own_mask(folder, params)
    except QsmbenchError as e:
        raise Refused(told(e, folder.parent)) from e
    wanted = mask if own is None else mask & own
    wrong = int(np.count_nonzero(~np.isfinite(chi[wanted])))
    if wrong:
        raise Refused(f"{folder.name}/{name}: {wrong} of {wanted.sum()} voxels in the mask are NaN or infinite")
    whole = np.where(np.isfinite(chi), chi, 0).astype(np.float32)
    chi = np.where(mask, whole, 0)
    support = wanted if own is not None else mask & (chi != 0)
    if not support.any():
        raise Refused(f"{folder.name}/{name}: has no voxel other than 0 in the mask of the scan")
    if np.ptp(chi[support]) == 0:
        raise Refused(f"{folder.name}/{name}: is {chi[support][0]:.4g} in all of its voxels")
    return Map(chi, whole, support, notes + more)


def _volume(file: Path, params: Params) -> tuple[np.ndarray, list[str]]:
    """Read a volume of 3 axes; what is not finite stays so."""
    grid = params.grid
    _check_size(file, int(np.prod(grid.shape)))
    header = open_header(file)
    if header.dtype.kind not in "fiub":
        raise QsmbenchError(f"{file}: its voxels are of type {header.dtype}; they must be real numbers")
    # before memory is taken for it; axes may be in another order
    if sorted(header.shape[:3]) != sorted(grid.shape) or any(n != 1 for n in header.shape[3:]):
        raise QsmbenchError(f"{file}: shape {header.shape} differs from the scan's {grid.shape}")
    values, affine = open_volume(file, finite=False)
    values, note = on_grid(file, without_unit_axes(values, 3), affine, grid)
    return np.asarray(values), [note.replace(f"{file.parent.parent}/", "")] if note else []


def _own_mask(folder: Path, params: Params) -> tuple[np.ndarray | None, list[str]]:
    file = folder / ARTIFACTS["mask"].file
    if not file.is_file():
        return None, []
    values, notes = _volume(file, params)
    voxels, more = to_mask(values, str(file))
    return voxels, [text.replace(f"{folder.parent}/", "") for text in notes + more]


def _check_size(file: Path, voxels: int) -> None:
    """Refuse a file that unpacks to more than the voxels of the scan take, before it is unpacked."""
    most, size = 16 * voxels + SLACK, 0
    try:
        with igzip.open(file) as packed:
            while part := packed.read(2**20):
                size += len(part)
                if size > most:
                    raise QsmbenchError(
                        f"{file}: unpacks to more than {most / 2**20:.0f} MiB, which no map of this scan takes"
                    )
    except (OSError, EOFError, ValueError, zlib.error, isal_zlib.error) as e:  # type: ignore[misc]
        if isinstance(e, QsmbenchError):
            raise
        raise QsmbenchError(
            f"{file}: cannot be unpacked, truncated or damaged ({' '.join(str(e).split())[:100]})"
        ) from e


def refusal(found: Sequence[Suspicion]) -> str:
    """Return why a map is refused for what it looks like; empty if it is not."""
    return "; ".join(s.text for s in found if s.kind in REFUSED)


def field_suspicions(given: Map, inputs: Inputs) -> list[Suspicion]:
    """Return what a submitted map looks like by its field; if nothing in the mask, whether the whole of it is turned.

    The mask of the scan cuts off most of a map that is turned and does not lie in the middle of the volume.
    """
    return _by_field(given.chi, inputs) or [s for s in _by_field(given.whole, inputs) if s.kind == "axis"]


def _by_field(chi: np.ndarray, inputs: Inputs) -> list[Suspicion]:
    """Return what a map looks like when its field is compared with the one that the phase shows.

    The field of a map is linear in it, so that a wrong unit or sign shows as a slope, and turned axes of the map as
    turned axes of its field. Whether a map has little to do with the phase for another reason is not told.

    Args:
        chi: (nx, ny, nz) ppm, 0 where it is not known.
        inputs: the scan.
    """
    measured, known = inputs.field
    inside = chi != 0
    source = np.where(inside, chi - chi[inside].mean(dtype=float), 0)
    grid, te = inputs.params.grid, inputs.params.te
    seen: dict[str, Any] = {"artifact": "chi", "b0": inputs.params.b0, "te": te, "against": "the phase's field"}
    # the field of the whole volume: of a turned map, that of the turned mask is needed
    found = suspicions(field_of(source, grid), measured, known, **seen)
    return [s for s in found if s.kind == "unit" or (s.kind in REFUSED and abs(s.value) >= SURE)]
