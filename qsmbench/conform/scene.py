"""The scene that methods are checked on: spheres in a body, whose fields are known in closed form.

Nothing here uses the package's dipole kernel or its simulator.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from scipy.ndimage import label

from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.grid import Grid
from qsmbench.method import Method, Orientation
from qsmbench.units import DR_3T, rad_per_ppm

Volumes = dict[str, np.ndarray]
Turn = Callable[[np.ndarray], np.ndarray]
Change = Callable[[str, np.ndarray], np.ndarray]

ISOTROPIC = Grid((34, 38, 36), (1.5, 1.5, 1.5))
OBLIQUE = (0.36, -0.48, 0.8)
ECHOES = (0.004, 0.010, 0.016, 0.022)
"""Echo times [s]: evenly spaced, as some R2* fits need; the first differs from the spacing, to detect a mix-up."""

OTHERS = ((0.8, 0.0, 0.6), (0.0, 0.8, -0.6))
"""Direction of B0 in two further orientations of the head, at least 30° from those above."""

BODY = (20.0, 23.0, 21.0)
"""Semi-axes of the ellipsoid of tissue, which is the mask [mm]."""

SOURCES = (
    ((-7.0, 6.0, 4.0), 5.5, 0.12),
    ((8.0, -5.0, -6.0), 5.0, -0.10),
    ((6.5, 9.0, 7.0), 4.0, 0.08),
    ((-6.0, -9.0, -5.0), 4.5, -(0.12 * 5.5**3 - 0.10 * 5.0**3 + 0.08 * 4.0**3) / 4.5**3),
)
"""Spheres in the body: centre [mm], radius [mm], χ [ppm]. All axes and directions differ. Their moments add up to zero,
so that the mean of χ is zero over any mask that contains them, and the local field is exactly their field."""

BACKGROUND = (((10.0, 8.0, -34.0), 5.5, 9.4), ((-30.0, -48.0, 24.0), 20.0, 9.4))
"""Spheres of air outside the body."""

NOISE = 0.005
"""Standard deviation of the signal's real and imaginary part; the tissue's signal at TE = 0 is 1."""

R2 = 15.0
"""Irreversible relaxation rate of the tissue [1/s]."""

_SUB = 3  # sub-voxels along each axis, over which truth is averaged


@dataclass(frozen=True)
class Scene:
    """One synthetic scan: the inputs of a method and the expected products.

    Attributes:
        grid: of all volumes.
        te: (n_echoes,) echo times, s.
        b0: T.
        volumes: measured volumes with noise, by artifact.
        truth: expected volumes, by artifact; without noise, except for phases.
        others: grid and local field of the same head in other orientations.
    """

    grid: Grid
    te: np.ndarray
    b0: float
    volumes: Volumes
    truth: Volumes
    others: tuple[tuple[Grid, np.ndarray], ...] = ()

    @property
    def mask(self) -> np.ndarray:
        """Voxels to reconstruct, (nx, ny, nz) bool."""
        return self.volumes["mask"]

    def arguments(self, method: Method) -> dict[str, Any]:
        """Return the inputs of `method`, each array a copy; optional inputs that the scene lacks are omitted."""
        plain = {"grid": self.grid, "te": self.te.copy(), "b0": self.b0, "orientations": self._orientations()}
        volumes = {n: self.volumes[n].copy(order="K") for n in method.consumes if n in self.volumes}
        return {n: (plain | volumes)[n] for n in method.consumes if n in plain or n in volumes}

    def _orientations(self) -> tuple[Orientation, ...]:
        fields = ((self.grid, self.volumes["local_field"]), *self.others)
        return tuple(Orientation(field.copy(order="K"), self.mask.copy(), grid) for grid, field in fields)

    def changed(self, names: list[str], change: Change) -> Scene:
        """Return the same scene with `change` applied to the volumes `names` (the local field in all orientations)."""
        volumes = self.volumes | {n: change(n, self.volumes[n]) for n in names}
        others = self.others
        if "local_field" in names:
            others = tuple((grid, change("local_field", field)) for grid, field in others)
        return replace(self, volumes=volumes, others=others)

    def turned(self, place: Callable[[Grid], Grid], turn: Turn) -> Scene:
        """Return the scene with `turn` applied to each volume, and `place` to each grid."""
        others = tuple((place(grid), np.ascontiguousarray(turn(field))) for grid, field in self.others)
        return replace(
            self,
            grid=place(self.grid),
            volumes=_each(turn, self.volumes),
            truth=_each(turn, self.truth),
            others=others,
        )

    def permuted(self, order: tuple[int, int, int]) -> Scene:
        """Rename the axes: those of the volumes, the voxel size, the affine and B0 together."""

        def place(g: Grid) -> Grid:
            shape, size, b0_dir = (tuple(v[a] for a in order) for v in (g.shape, g.voxel_size, g.b0_dir))
            return Grid(shape, size, b0_dir, g.affine[:, [*order, 3]])  # type: ignore[arg-type]

        return self.turned(place, lambda v: v.transpose((*order, 3)[: v.ndim]))

    def mirrored(self) -> Scene:
        """Reverse the first axis, and B0 with it; the body is where it was."""

        def place(g: Grid) -> Grid:
            x, y, z = g.b0_dir
            affine = g.affine.copy()
            affine[:3, 3] += (g.shape[0] - 1) * affine[:3, 0]
            affine[:3, 0] *= -1
            return Grid(g.shape, g.voxel_size, (-x, y, z), affine)

        return self.turned(place, lambda v: v[::-1])

    def moved(self, shift: tuple[int, int, int]) -> Scene:
        """Shift all volumes cyclically by whole voxels."""
        return self.turned(lambda g: g, lambda v: np.roll(v, shift, (0, 1, 2)))


def _each(turn: Turn, volumes: Volumes) -> Volumes:
    return {name: np.ascontiguousarray(turn(v)) for name, v in volumes.items()}


@cache
def render(
    grid: Grid = ISOTROPIC, te: tuple[float, ...] = ECHOES, b0: float = 3.0, offset: bool = False, gap: bool = False
) -> Scene:
    """Render the scene on `grid`.

    Args:
        grid: its centre is that of the body.
        te: echo times, s.
        b0: T.
        offset: add a smooth coil phase at TE = 0.
        gap: exclude a slab of 3 mm in the middle from the mask, which splits it in two.

    Returns:
        the scene, cached by its arguments.
    """
    true = _averaged(grid)
    times = np.array(te)
    x, y, z = grid.axes()
    mask = (x / BODY[0]) ** 2 + (y / BODY[1]) ** 2 + (z / BODY[2]) ** 2 < 1
    if gap:
        mask &= np.abs(x) >= 1.6
    r2prime = DR_3T * b0 / 3 * (true["chi_para"] + true["chi_dia"])
    truth = {n: v * mask for n, v in true.items()} | {"r2prime": r2prime * mask, "r2star": (R2 + r2prime) * mask}
    body = true["inside"]
    magnitude = (body * (1 - 2 * true["chi_para"] - true["chi_dia"]))[..., None] * np.exp(
        -(R2 + r2prime)[..., None] * times
    )
    coils = 0.8 + 0.06 * x - 0.04 * y + 0 * z if offset else np.zeros(grid.shape)
    phase = coils[..., None] + rad_per_ppm(b0, 1.0) * true["total_field"][..., None] * times
    sigma = _field_noise(magnitude, times, b0)
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((2, *phase.shape)) * NOISE
    signal = magnitude * np.exp(1j * phase) + noise[0] + 1j * noise[1]
    turned = np.angle(signal * np.exp(-1j * phase))  # how far noise turns the phase
    field_error = sigma * rng.standard_normal(grid.shape)
    truth |= {
        "mask": mask,
        "unwrapped": (phase + turned) * mask[..., None],  # unwrapping takes no noise away
        "phase": np.angle(np.exp(1j * (phase + turned - coils[..., None]))),
        "field_noise": sigma * mask,
    }
    vein = (true["chi_para"] > 0.03) & mask
    measured = {
        **truth,
        "phase": np.angle(signal),
        "magnitude": np.abs(signal),
        "total_field": (true["total_field"] + field_error) * mask,
        "local_field": (true["local_field"] + field_error) * mask,
        "water": magnitude[..., 0] * mask,
        "labels": mask.astype(np.uint8),
        "swi": magnitude[..., -1] * mask,
        "vein": vein,
        "vein_diameter": 2.0 * vein,
        "oef": 0.4 * vein,
    }
    # of all other artifacts there is nothing in this body
    measured |= {name: np.zeros(grid.shape, a.dtype) for name, a in ARTIFACTS.items() if name not in measured}
    others = (Grid(grid.shape, grid.voxel_size, b0_dir) for b0_dir in OTHERS)
    turned = tuple((g, ((_local_field(g) + field_error) * mask).astype(np.float32)) for g in others)
    return Scene(grid, times, b0, _as_stored(measured), _as_stored(truth), turned)


def _as_stored(volumes: Volumes) -> Volumes:
    return {n: v.astype(np.float32) if v.dtype.kind == "f" else v for n, v in volumes.items()}


def _field_noise(magnitude: np.ndarray, te: np.ndarray, b0: float) -> np.ndarray:
    """Compute the standard deviation [ppm] of the best fit of the phase without offset, at most 1 without signal."""
    information = (magnitude**2) @ te**2
    return np.minimum(NOISE / (rad_per_ppm(b0, 1.0) * np.sqrt(np.maximum(information, 1e-12))), 1.0)


def _averaged(grid: Grid) -> Volumes:
    """Compute χ, χ+, χ−, the fields and the volume fraction of the body, averaged over sub-voxels."""
    names = ("chi_para", "chi_dia", "background", "inside")
    total = {name: np.zeros(grid.shape) for name in names}
    for x, y, z in _sub_voxels(grid):
        total["inside"] += (x / BODY[0]) ** 2 + (y / BODY[1]) ** 2 + (z / BODY[2]) ** 2 < 1
        for centre, radius, chi in SOURCES:
            fills = sphere(x, y, z, grid.b0_dir, centre, radius)[1]
            total["chi_para" if chi > 0 else "chi_dia"] += abs(chi) * fills
        for centre, radius, chi in BACKGROUND:
            total["background"] += chi * sphere(x, y, z, grid.b0_dir, centre, radius)[0]
    mean = {name: v / _SUB**3 for name, v in total.items()}
    local = _local_field(grid)
    fields = {"local_field": local, "total_field": local + mean.pop("background")}
    return mean | fields | {"chi": mean["chi_para"] - mean["chi_dia"]}


def _local_field(grid: Grid) -> np.ndarray:
    """Compute the field of the spheres in the body, averaged over sub-voxels."""
    field = np.zeros(grid.shape)
    for x, y, z in _sub_voxels(grid):
        for centre, radius, chi in SOURCES:
            field += chi * sphere(x, y, z, grid.b0_dir, centre, radius)[0]
    return field / _SUB**3


def _sub_voxels(grid: Grid) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield the positions of the first sub-voxel of all voxels, then of the second, … [mm]."""
    centres = (np.arange(_SUB) + 0.5) / _SUB - 0.5
    for steps in itertools.product(centres, repeat=3):
        yield tuple(a + s * d for a, s, d in zip(grid.axes(), steps, grid.voxel_size, strict=True))


def sphere(
    x: np.ndarray,
    y: np.ndarray,
    z: np.ndarray,
    b0_dir: tuple[float, float, float],
    centre: tuple[float, float, float],
    radius: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the field per χ of a uniform sphere (0 inside, (a/r)³(3cos²θ − 1)/3 outside), and its interior.

    Args:
        x, y, z: positions [mm], broadcastable.
        b0_dir: unit vector.
        centre: mm.
        radius: a, mm.

    Returns:
        field, without unit, and a boolean volume, both of the broadcast shape.
    """
    dx, dy, dz = x - centre[0], y - centre[1], z - centre[2]
    r2 = dx**2 + dy**2 + dz**2
    inside = r2 <= radius**2
    safe = np.where(inside, 1, r2)
    along = dx * b0_dir[0] + dy * b0_dir[1] + dz * b0_dir[2]
    return np.where(inside, 0, radius**3 / 3 / safe**1.5 * (3 * along**2 / safe - 1)), inside


def parts(mask: np.ndarray) -> list[np.ndarray]:
    """Return the connected parts of a mask, each as a boolean volume."""
    labels, count = label(mask)
    return [labels == i for i in range(1, count + 1)]
