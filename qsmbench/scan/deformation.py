"""A phantom whose tissue is displaced, as by peristalsis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid
from qsmbench.phantom.base import Phantom
from qsmbench.phantom.properties import Properties
from qsmbench.phantom.species import PROPERTIES
from qsmbench.phantom.warp import Warp
from qsmbench.scan.peristalsis import Peristalsis
from qsmbench.seeds import generator

PLANES = 8
"""Number of planes that are displaced at once."""


class AtRest:
    """A phantom that is rendered once for all its displacements, on grids with a margin.

    Args:
        phantom: the object.
        farthest: mm, what its tissue moves at most.
    """

    def __init__(self, phantom: Phantom, farthest: float) -> None:
        self.phantom = phantom
        self._farthest = farthest
        self._rendered: dict[bytes, Properties] = {}

    def render(self, grid: Grid, b0: float) -> Properties:
        """Render the object at `b0` [T] on `grid` with a margin around it, which is shared and must not be changed."""
        margin = np.ceil(np.sqrt(3) * self._farthest / np.array(grid.voxel_size)).astype(int) + 1
        wide = grid.part(-margin, grid.shape + 2 * margin)
        key = np.array([*wide.shape, b0, *wide.b0_dir]).tobytes() + wide.affine.tobytes()
        if key not in self._rendered:
            self._rendered[key] = self.phantom.render(wide, b0)
        return self._rendered[key]


@dataclass(frozen=True)
class Deformed:
    """A phantom whose tissue is displaced by maps from the displaced object to the one at rest.

    Its maps are interpolated linearly, so that it is a little smoother than at rest. Where tissue is compressed, its
    properties are kept rather than their sum.
    """

    rest: AtRest
    maps: Sequence[Warp]

    def grid(self) -> Grid:
        """Return the default grid of a scan."""
        return self.rest.phantom.grid()

    def render(self, grid: Grid, b0: float) -> Properties:
        """Render the properties of the displaced object on `grid` at `b0` [T]."""
        return _displaced(self.rest.render(grid, b0), self.maps, grid)


def _displaced(rest: Properties, maps: Sequence[Warp], grid: Grid) -> Properties:
    """Return the properties on `grid` of an object that is displaced from `rest`."""
    volumes = {c.name: getattr(rest, c.name) for c in PROPERTIES}
    for channel in PROPERTIES:  # relaxation mixes by proton density
        if channel.weight and volumes[channel.weight].any():
            volumes[channel.name] = volumes[channel.name] * volumes[channel.weight]
    stack = np.zeros((len(PROPERTIES), *grid.shape), np.float32)
    labels, mask = np.zeros(grid.shape, np.uint8), np.zeros(grid.shape, bool)
    filled = [i for i, c in enumerate(PROPERTIES) if volumes[c.name].any()]
    for start in range(0, grid.shape[0], PLANES):
        part = slice(start, min(start + PLANES, grid.shape[0]))
        place = _origin_of(part, maps, grid, rest.grid)
        for i in filled:
            ndimage.map_coordinates(volumes[PROPERTIES[i].name], place, stack[i, part], order=1, mode="nearest")
        ndimage.map_coordinates(rest.labels, place, labels[part], order=0, mode="nearest")
        ndimage.map_coordinates(rest.mask, place, mask[part], order=0, mode="nearest")
    return Properties.of(grid, stack, labels, mask, rest.regions, rest.ambient_chi, rest.spectra)


def _origin_of(part: slice, maps: Sequence[Warp], grid: Grid, rest: Grid) -> np.ndarray:
    """Return where the tissue of some planes of `grid` comes from, (3, n, ny, nz) voxel indices in `rest`."""
    _, ny, nz = grid.shape
    index = np.stack(np.meshgrid(np.arange(part.start, part.stop), np.arange(ny), np.arange(nz), indexing="ij"), -1)
    world = index.reshape(-1, 3) @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    source = world + sum(m.template(world) - world for m in maps)
    inverse = np.linalg.inv(rest.affine)
    found = source @ inverse[:3, :3].T + inverse[:3, 3]
    return found.T.reshape(3, part.stop - part.start, ny, nz)


def in_contraction(peristalsis: Peristalsis, phantom: Phantom, contraction: int) -> Warp:
    """Return the map from the object in a contraction to the object at rest.

    White noise is smoothed, given its standard deviation, and confined to the regions, with an edge half as wide.

    Args:
        peristalsis: size and scale of the displacement.
        phantom: the object.
        contraction: its number, from 0.

    Raises:
        QsmbenchError: the phantom has no region of the groups.
    """
    groups = {name: group for _, name, group in phantom.anatomy}
    moving = [phantom.atlas.label(name) for name, group in groups.items() if group in peristalsis.groups]
    if not moving:
        raise QsmbenchError(
            f"{phantom.path}: peristalsis.groups: no region is in {', '.join(peristalsis.groups)}; "
            f"choose from {', '.join(sorted(set(groups.values()) - {''}))}"
        )
    spacing = phantom.atlas.grid.voxel_size[0]
    width = peristalsis.scale / spacing
    share = np.isin(phantom.atlas.labels, moving).astype(np.float32)
    share = ndimage.gaussian_filter(share, width / 2)
    rng = generator([peristalsis.seed, contraction])
    noise = rng.standard_normal((3, *share.shape), np.float32)
    smooth = np.stack([ndimage.gaussian_filter(n, width) for n in noise])
    moved = smooth * (np.float32(peristalsis.sd) / smooth.std(axis=(1, 2, 3), keepdims=True)) * share
    return Warp(moved, phantom.atlas.grid.affine[:3, 3], spacing)
