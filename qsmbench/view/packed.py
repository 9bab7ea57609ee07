"""Volumes as small texts that a browser can read: cropped to the mask, rounded to whole numbers, deflated."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid
from qsmbench.view.planes import along_patient, coordinates, mask_bounds, voxel_sizes

LEVELS = 100
"""Whole numbers between zero and the largest error of an artifact's colour scale."""

OUTSIDE = {"int16": -32768, "uint8": 255, "uint16": 65535}
"""Whole number of a voxel without a value, by type."""


VOLUMES = "volumes"
"""Folder of a dataset's packed volumes."""


def packed_chains(folder: Path, artifact: str) -> Path:
    """Return the folder of the results of the chains that end in an artifact, below the folder of packed volumes."""
    return folder / artifact / "chains"


def packed_chain(folder: Path, artifact: str, chain: str) -> Path:
    """Return the file of a chain's result, below the folder of packed volumes."""
    return packed_chains(folder, artifact) / f"{chain}.json"


def packed_truth(folder: Path, artifact: str) -> Path:
    """Return the file of a true map, below the folder of packed volumes."""
    return folder / artifact / "truth.json"


def packed_regions(folder: Path) -> Path:
    """Return the file of the regions, below the folder of packed volumes."""
    return folder / "regions.json"


@dataclass(frozen=True)
class Packed:
    """A volume for a browser: value = step · whole number.

    Attributes:
        shape: number of voxels along the patient axes (right, front, head).
        first: position of the first voxel, mm.
        spacing: distance between voxels, mm.
        type: int16, uint8 or uint16.
        step: of the values, in their unit.
        data: the whole numbers as base64 of a zlib stream, little-endian, the first axis fastest. `OUTSIDE[type]` is a
            voxel without a value.
    """

    shape: list[int]
    first: list[float]
    spacing: list[float]
    type: str
    step: float
    data: str

    def values(self) -> np.ndarray:
        """Return the values, (nx, ny, nz) float32 along the patient axes; NaN outside."""
        raw = zlib.decompress(base64.b64decode(self.data))
        whole = np.frombuffer(raw, np.dtype(self.type).newbyteorder("<")).reshape(self.shape, order="F")
        return np.where(whole == OUTSIDE[self.type], np.nan, whole * np.float32(self.step)).astype(np.float32)


def write_packed(path: Path, volume: Packed, **about: Any) -> None:
    """Write a volume as JSON, with further keys, such as the `names` of regions by number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**about, **asdict(volume)}, separators=(",", ":"), ensure_ascii=False))


def pack_map(
    values: np.ndarray, artifact: str, inside: np.ndarray, mask: np.ndarray, grid: Grid, mean: float = 0.0
) -> Packed:
    """Pack a map, in the part of the grid around the mask.

    A map that is known up to a constant gets a given mean in `inside`. Values are rounded to 1/`LEVELS` of the
    largest error of the artifact's colour scale; those beyond the range of the whole numbers become its ends.

    Args:
        values: (nx, ny, nz), in the unit of the artifact.
        artifact: its name; it must have a colour scale.
        inside: (nx, ny, nz) bool, voxels with a value.
        mask: (nx, ny, nz) bool, not empty.
        grid: of all volumes.
        mean: in the unit of the artifact; see `scales.reference_mean`.
    """
    row = ARTIFACTS[artifact]
    if row.scale is None:
        raise QsmbenchError(f"no colour scale for {artifact!r}")
    if row.is_mask:
        return _packed(np.where(inside, values != 0, OUTSIDE["uint8"]), "uint8", 1.0, mask, grid)
    step = row.scale.error / LEVELS
    zero = 0.0 if row.own_zero or not inside.any() else float(values[inside].mean(dtype=np.float64)) - mean
    whole = np.clip(np.rint((values - np.float32(zero)) / np.float32(step)), -32767, 32767)
    return _packed(np.where(inside, whole, OUTSIDE["int16"]), "int16", step, mask, grid)


def pack_labels(labels: np.ndarray, mask: np.ndarray, grid: Grid) -> Packed:
    """Pack label numbers, in the part of the grid around the mask.

    Args:
        labels: (nx, ny, nz), whole numbers up to 65534.
        mask: (nx, ny, nz) bool, not empty.
        grid: of both.
    """
    return _packed(labels, "uint8" if labels.max(initial=0) < OUTSIDE["uint8"] else "uint16", 1.0, mask, grid)


def _packed(whole: np.ndarray, kind: str, step: float, mask: np.ndarray, grid: Grid) -> Packed:
    bounds = mask_bounds(mask, grid, rim=2)
    box = tuple(slice(low, high + 1) for low, high in bounds)
    cut = along_patient(whole, grid)[box].astype(np.dtype(kind).newbyteorder("<"))
    return Packed(
        shape=list(cut.shape),
        first=[round(float(p[low]), 4) for p, (low, _) in zip(coordinates(grid), bounds, strict=True)],
        spacing=[round(size, 4) for size in voxel_sizes(grid)],
        type=kind,
        step=step,
        data=base64.b64encode(zlib.compress(cut.tobytes(order="F"), 6)).decode(),
    )
