"""Planes of a volume in radiological convention: the patient's right on the left, front or head on top."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qsmbench.grid import Grid

NORMAL = {"axial": 2, "coronal": 1, "sagittal": 0}
"""Patient axis normal to each plane: 0 from left to right, 1 from back to front, 2 upwards."""

SIDES = {"axial": ("R", "L"), "coronal": ("R", "L"), "sagittal": ("A", "P")}
"""Sides of the patient on the left and right of each plane."""

CONVENTION = "Radiological convention: the patient's right is on the left of the picture."

Voxel = tuple[int, int, int]
Point = tuple[float, float, float]
Box = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
"""Limits along the patient axes [mm]."""


@dataclass(frozen=True)
class Plane:
    """A plane through a patient.

    Attributes:
        name: sagittal, coronal or axial.
        at: position along its normal axis, mm.
        box: extent, mm; the limits along the normal are ignored.
    """

    name: str
    at: float
    box: Box

    @property
    def normal(self) -> int:
        """Axis normal to the plane."""
        return NORMAL[self.name]

    @property
    def title(self) -> str:
        """Name and position."""
        return f"{self.name}, {'xyz'[self.normal]} = {self.at:g} mm".replace("-", "−")

    @property
    def extent(self) -> tuple[float, float]:
        """Width and height [mm]."""
        width, height = (high - low for axis, (low, high) in enumerate(self.box) if axis != self.normal)
        return width, height

    def grid(self, pixel: float, thickness: float | None = None, count: int = 1) -> Grid:
        """Return the grid of slices centred on the plane.

        Args:
            pixel: voxel size within the plane, mm.
            thickness: of a slice, mm; by default `pixel`.
            count: number of slices.
        """
        size = np.full(3, float(pixel))
        size[self.normal] = thickness or pixel
        lower, upper = (np.array(ends, float) for ends in zip(*self.box, strict=True))
        half = count * size[self.normal] / 2
        lower[self.normal], upper[self.normal] = self.at - half, self.at + half
        nx, ny, nz = (int(n) for n in np.maximum(np.round((upper - lower) / size), 1))
        affine = np.diag([*size, 1.0])
        affine[:3, 3] = lower + size / 2
        return Grid.from_affine((nx, ny, nz), affine)

    def cut(self, volume: np.ndarray, grid: Grid) -> np.ndarray:
        """Return the plane of a volume as an image, without interpolation: rows run from top to bottom."""
        cuts: list[slice | int] = []
        for axis, places in enumerate(coordinates(grid)):
            if axis == self.normal:
                cuts.append(int(np.abs(places - self.at).argmin()))
            else:
                inside = np.flatnonzero((places > self.box[axis][0]) & (places < self.box[axis][1]))
                cuts.append(slice(inside[0], inside[-1] + 1))
        return radiological(along_patient(volume, grid)[tuple(cuts)])

    def position(self, point: Point) -> tuple[float, float]:
        """Return the position of a point [mm] in an image of the plane, as fractions of its width and height."""
        across, up = (axis for axis in range(3) if axis != self.normal)
        (left, right), (low, high) = self.box[across], self.box[up]
        return (right - point[across]) / (right - left), (high - point[up]) / (high - low)


def orthogonal(point: Point, box: Box) -> tuple[Plane, Plane, Plane]:
    """Return the axial, coronal and sagittal planes of a box through a point."""
    axial, coronal, sagittal = (Plane(name, point[normal], box) for name, normal in NORMAL.items())
    return axial, coronal, sagittal


def radiological(plane: np.ndarray) -> np.ndarray:
    """Convert a plane, whose axes increase towards right, front or head, to an image in radiological convention."""
    return plane.T[::-1, ::-1]


def along_patient(volume: np.ndarray, grid: Grid) -> np.ndarray:
    """Return the volume with axes that increase towards the patient's right, front and head."""
    flips = tuple(slice(None) if grows else slice(None, None, -1) for _, grows in _directions(grid))
    return volume.transpose([axis for axis, _ in _directions(grid)])[flips]


def coordinates(grid: Grid) -> list[np.ndarray]:
    """Return the voxel positions along the patient axes [mm], ascending.

    Each axis of an oblique grid is treated as the closest patient axis.
    """
    centre = grid.affine[:3, :3] @ ((np.array(grid.shape) - 1) / 2) + grid.affine[:3, 3]
    steps = ((np.arange(grid.shape[a]) - (grid.shape[a] - 1) / 2) * grid.voxel_size[a] for a, _ in _directions(grid))
    return [c + step for c, step in zip(centre, steps, strict=True)]


def location(voxel: Voxel, grid: Grid) -> Point:
    """Return the position of a voxel [mm], as in `coordinates`."""
    indices = [voxel[a] if grows else grid.shape[a] - 1 - voxel[a] for a, grows in _directions(grid)]
    x, y, z = (float(places[i]) for places, i in zip(coordinates(grid), indices, strict=True))
    return x, y, z


def mask_box(mask: np.ndarray, grid: Grid, rim: int = 0) -> Box:
    """Return the bounding box of a mask, extended by `rim` voxels within the grid."""
    box = []
    ends = mask_bounds(mask, grid, rim)
    for places, (low, high), size in zip(coordinates(grid), ends, voxel_sizes(grid), strict=True):
        box.append((float(places[low] - size / 2), float(places[high] + size / 2)))
    x, y, z = box
    return x, y, z


def mask_bounds(mask: np.ndarray, grid: Grid, rim: int = 0) -> list[tuple[int, int]]:
    """Return the first and last index of a mask along each patient axis, extended by `rim` voxels within the grid."""
    return [
        (max(low - rim, 0), min(high + rim, len(places) - 1))
        for places, (low, high) in zip(coordinates(grid), _bounds(mask, grid), strict=True)
    ]


def voxel_sizes(grid: Grid) -> list[float]:
    """Return the size of a voxel along each patient axis [mm]."""
    return [grid.voxel_size[axis] for axis, _ in _directions(grid)]


def default_centre(mask: np.ndarray, grid: Grid) -> Voxel:
    """Return the centre of the mask's bounding box, moved to the right by an eighth of its width.

    In a head, the planes through this voxel pass through the deep grey nuclei, unlike the midline.
    """
    bounds = _bounds(mask, grid)
    point = [(low + high) / 2 for low, high in bounds]
    point[0] += (bounds[0][1] - bounds[0][0]) / 8
    voxel = [0, 0, 0]
    for place, (axis, grows) in zip(point, _directions(grid), strict=True):
        voxel[axis] = int(place) if grows else grid.shape[axis] - 1 - int(place)
    x, y, z = voxel
    return x, y, z


def _directions(grid: Grid) -> list[tuple[int, bool]]:
    """Return, for each patient axis, the closest array axis and whether it has the same direction."""
    from nibabel.orientations import io_orientation

    directions = io_orientation(grid.affine).tolist()
    along = [int(axis) for axis, _ in directions]
    return [(along.index(axis), directions[along.index(axis)][1] > 0) for axis in range(3)]


def _bounds(mask: np.ndarray, grid: Grid) -> list[tuple[int, int]]:
    """Return the first and last index of a mask along each patient axis."""
    along = along_patient(mask, grid)
    hits = [np.flatnonzero(along.any(axis=tuple(b for b in range(3) if b != a))) for a in range(3)]
    return [(int(h[0]), int(h[-1])) for h in hits]
