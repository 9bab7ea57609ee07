"""The voxel grid: shape, voxel size, B0 direction and the axes of k-space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from qsmbench.errors import QsmbenchError

Triple = tuple[float, float, float]


def affine_voxel_size(affine: np.ndarray) -> Triple:
    """Return the voxel size [mm] along the three array axes of a 4×4 `affine` (voxel index → mm)."""
    x, y, z = np.linalg.norm(np.asarray(affine, float)[:3, :3], axis=0)
    return float(x), float(y), float(z)


def affine_b0_dir(affine: np.ndarray) -> Triple:
    """Return the direction of B0 in voxel axes, for a main field along the scanner's (and the world's) +z.

    b = normalise(R⁻¹ ẑ), R being the rotation in `affine`, without the voxel sizes.
    """
    rotation = np.asarray(affine, float)[:3, :3] / np.array(affine_voxel_size(affine))
    b = np.linalg.solve(rotation, [0.0, 0.0, 1.0])
    b /= np.linalg.norm(b)
    return float(b[0]), float(b[1]), float(b[2])


def affine_shear(affine: np.ndarray) -> float:
    """Largest deviation of the angles between the array axes of a 4×4 `affine` from 90°, in degrees."""
    axes = np.asarray(affine, float)[:3, :3] / np.array(affine_voxel_size(affine))
    cosines = np.abs(axes.T @ axes)[np.triu_indices(3, 1)]
    return float(np.degrees(np.arcsin(np.clip(cosines.max(), 0, 1))))


@dataclass(frozen=True)
class Grid:
    """The voxel grid of a volume.

    Attributes:
        shape: number of voxels along x, y, z.
        voxel_size: mm, along the array axes.
        b0_dir: unit vector of B0 in the array axes (not in world axes).
        affine: (4, 4) voxel index → mm; by default a diagonal one with the centre of the volume at the origin.
    """

    shape: tuple[int, int, int]
    voxel_size: Triple
    b0_dir: Triple = (0.0, 0.0, 1.0)
    affine: np.ndarray = field(default=None, compare=False, repr=False)  # type: ignore[arg-type]

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        object.__setattr__(self, "voxel_size", tuple(float(d) for d in self.voxel_size))
        object.__setattr__(self, "b0_dir", tuple(float(b) for b in self.b0_dir))
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise QsmbenchError(f"shape is {self.shape}; it must be three positive counts")
        if len(self.voxel_size) != 3 or not all(np.isfinite(d) and d > 0 for d in self.voxel_size):
            raise QsmbenchError(f"voxel_size is {self.voxel_size}; it must be three positive lengths in mm")
        norm = float(np.linalg.norm(self.b0_dir))
        if len(self.b0_dir) != 3 or not abs(norm - 1) < 1e-3:
            raise QsmbenchError(f"b0_dir is {self.b0_dir} of length {norm:.4g}; it must be a unit vector in voxel axes")
        if self.affine is None:
            affine = np.diag([*self.voxel_size, 1.0])
            affine[:3, 3] = -affine[:3, :3] @ ((np.array(self.shape) - 1) / 2)
            object.__setattr__(self, "affine", affine)

    @classmethod
    def from_affine(cls, shape: tuple[int, ...], affine: np.ndarray, b0_dir: Triple | None = None) -> Grid:
        """Return the grid of a volume of `shape` with `affine`; B0 is along z of the world unless `b0_dir` is given."""
        affine = np.array(affine, float)
        nx, ny, nz = shape[:3]
        return cls((nx, ny, nz), affine_voxel_size(affine), b0_dir or affine_b0_dir(affine), affine)

    @property
    def voxel_volume(self) -> float:
        """Volume of a voxel [mm³]."""
        return float(np.prod(self.voxel_size))

    def refine(self, factor: tuple[int, int, int]) -> Grid:
        """Return the same box with each voxel divided into `factor` parts along x, y, z."""
        fine = np.array(factor)
        affine = self.affine.copy()
        affine[:3, :3] = self.affine[:3, :3] / fine
        affine[:3, 3] = self.affine[:3, 3] + self.affine[:3, :3] @ ((1 - fine) / (2 * fine))
        nx, ny, nz = (int(n) for n in np.array(self.shape) * fine)
        dx, dy, dz = (float(d) for d in np.array(self.voxel_size) / fine)
        return Grid((nx, ny, nz), (dx, dy, dz), self.b0_dir, affine)

    def part(self, start: Sequence[int] | np.ndarray, shape: Sequence[int] | np.ndarray) -> Grid:
        """Return a grid of `shape` with the same voxels, whose first one is that at the index `start`.

        It may reach beyond this one.
        """
        affine = self.affine.copy()
        affine[:3, 3] += affine[:3, :3] @ np.asarray(start)
        nx, ny, nz = (int(n) for n in shape)
        return Grid((nx, ny, nz), self.voxel_size, self.b0_dir, affine)

    def axes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the distances of the voxel centres from the centre of the grid along each axis [mm], broadcastable."""
        x, y, z = (((np.arange(n) - (n - 1) / 2) * d) for n, d in zip(self.shape, self.voxel_size, strict=True))
        return x[:, None, None], y[None, :, None], z[None, None, :]

    def kspace_axes(self, shape: tuple[int, int, int] | None = None) -> tuple[np.ndarray, ...]:
        """Return the spatial frequencies kx, ky, kz [1/mm] of a real-to-complex FFT, broadcastable, float32.

        `shape` is the padded shape of the transform (default: that of the grid); kz is the halved axis.
        """
        nx, ny, nz = shape or self.shape
        dx, dy, dz = self.voxel_size
        kx, ky, kz = np.fft.fftfreq(nx, dx), np.fft.fftfreq(ny, dy), np.fft.rfftfreq(nz, dz)
        return (
            kx.astype(np.float32)[:, None, None],
            ky.astype(np.float32)[None, :, None],
            kz.astype(np.float32)[None, None, :],
        )
