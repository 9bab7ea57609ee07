"""The voxel grid of a scan: the phantom's default grid, or that of the protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt, field_validator
from scipy.spatial.transform import Rotation

from qsmbench.grid import Grid
from qsmbench.phantom.description.geometry import VoxelSize
from qsmbench.scan.blocks import Factor
from qsmbench.typed_yaml import Model

Point = tuple[float, float, float]
Sizes = tuple[PositiveFloat, PositiveFloat, PositiveFloat]


class GridChoice(Model):
    """The grid of a scan; omitted keys are the phantom's."""

    voxel_size: VoxelSize | None = Field(
        None, description="with slices, the third is their thickness; null: that of the phantom, mm"
    )
    field_of_view: Sizes | None = Field(
        None, description="extent along the axes of the scan; null: that of the phantom, mm"
    )
    center: Point | None = Field(None, description="centre in the coordinates of the phantom, mm")
    rotate: Point = Field((0, 0, 0), description="rotation about x, then y, then z of the world, degrees")
    supersampling: tuple[PositiveInt, PositiveInt, PositiveInt] | None = Field(
        None, description="sub-voxels along each axis of a voxel; null: that of the phantom"
    )

    @field_validator("voxel_size", "supersampling", mode="before")
    @classmethod
    def _scalar(cls, value: Any) -> Any:
        return (value,) * 3 if isinstance(value, int | float) and not isinstance(value, bool) else value


@dataclass(frozen=True)
class ScanGeometry:
    """The grid of a scan, and its subdivision.

    Attributes:
        grid: voxel grid; with a gap between slices, the spacing along z includes the gap.
        factor: sub-voxels per voxel.
        thickness: of a voxel along z without the gap, mm.
        isocentre: mm, in world coordinates: the centre of coils, B1 and head rotations.
    """

    grid: Grid
    factor: Factor
    thickness: float
    isocentre: Point


def rotation_matrix(degrees: Point) -> np.ndarray:
    """Return the (3, 3) rotation by `degrees` about the world's x, then y, then z."""
    return Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()


def centre_of(grid: Grid) -> np.ndarray:
    """Return the centre of a grid in the world, (3,) mm."""
    return grid.affine[:3, :3] @ ((np.array(grid.shape) - 1) / 2) + grid.affine[:3, 3]


def rotation_of(grid: Grid) -> np.ndarray:
    """Return the directions of the array axes in the world as columns, (3, 3)."""
    return grid.affine[:3, :3] / np.array(grid.voxel_size)


def scan_geometry(
    own: Grid,
    supersampling: tuple[int, int, int],
    choice: GridChoice | None,
    *,
    gap: float = 0,
    head: Point = (0, 0, 0),
    isocentre: Point | None = None,
) -> ScanGeometry:
    """Return the geometry of a protocol's scan of a phantom.

    Args:
        own: the phantom's grid, for omitted keys of `choice` and the direction of B0 in the world.
        supersampling: of the phantom; sub-voxels along x, y, z.
        choice: the protocol's grid.
        gap: between slices along z, mm.
        head: rotation of the head in the scanner, degrees. The grid rotates with it, so that only the direction of B0
            in its axes differs.
        isocentre: mm; by default the centre of the phantom's grid.
    """
    x, y, z = (float(c) for c in centre_of(own))
    isocentre = isocentre or (x, y, z)
    if choice is None and not gap and not any(head):
        return ScanGeometry(own, supersampling, own.voxel_size[2], isocentre)
    choice = choice or GridChoice()
    size = np.array(choice.voxel_size or own.voxel_size)
    spacing = size + np.array([0, 0, gap])
    box = np.array(choice.field_of_view or np.array(own.shape) * own.voxel_size)
    nx, ny, nz = (int(n) for n in np.maximum(np.round(box / spacing), 1))
    axes = rotation_matrix(choice.rotate) @ rotation_of(own)
    affine = np.eye(4)
    affine[:3, :3] = axes * spacing
    affine[:3, 3] = np.array(choice.center or (x, y, z)) - affine[:3, :3] @ ((np.array([nx, ny, nz]) - 1) / 2)
    bx, by, bz = axes.T @ rotation_matrix(head).T @ rotation_of(own) @ np.array(own.b0_dir)
    grid = Grid.from_affine((nx, ny, nz), affine, (float(bx), float(by), float(bz)))
    return ScanGeometry(grid, choice.supersampling or supersampling, float(size[2]), isocentre)
