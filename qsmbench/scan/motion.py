"""Motion of the head between parts of the scan."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from qsmbench.grid import Grid
from qsmbench.scan.geometry import Point, rotation_matrix
from qsmbench.seeds import generator
from qsmbench.typed_yaml import Model


class Motion(Model):
    """Motion between equal parts of the scan; in each part, the head is at rest in a random pose.

    The part that measures the centre of k-space has the pose of the truth.
    """

    poses: Annotated[int, Field(ge=2, le=16)] = Field(description="number of poses during the scan")
    translate: Annotated[float, Field(ge=0)] = Field(description="standard deviation of the shift along each axis, mm")
    rotate: Annotated[float, Field(ge=0)] = Field(
        description="standard deviation of the rotation about each axis, degrees"
    )
    seed: Annotated[int, Field(ge=0)] = Field(0, description="seed of the poses")


def poses(motion: Motion, about: Point, still: int) -> list[np.ndarray]:
    """Draw (4, 4) rigid motions in the world [mm], rotating about the point `about`; number `still` is the identity."""
    rng = generator(motion.seed)
    found = []
    for p in range(motion.poses):
        shift = rng.normal(0, motion.translate, 3)
        x, y, z = rng.normal(0, motion.rotate, 3)
        pose = np.eye(4)
        if p != still:
            pose[:3, :3] = rotation_matrix((float(x), float(y), float(z)))
            pose[:3, 3] = shift + about - pose[:3, :3] @ np.array(about)
        found.append(pose)
    return found


def grid_in_pose(grid: Grid, pose: np.ndarray) -> Grid:
    """Return the grid in the coordinates of the moved head: voxels and B0 are fixed to the scanner."""
    return Grid(grid.shape, grid.voxel_size, grid.b0_dir, np.linalg.solve(pose, grid.affine))


def pose_at(time: np.ndarray, total: float, n: int) -> np.ndarray:
    """Return the index of the head's pose.

    Args:
        time: s, of any shape.
        total: duration of the scan, s.
        n: number of poses.
    """
    return np.clip((time / total * n).astype(int), 0, n - 1)
