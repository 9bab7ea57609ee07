"""Voxels of a mask as a list, their six neighbours, and the blocks that they form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Lattice:
    """The voxels of a mask in the order of memory (x slowest).

    Attributes:
        mask: (nx, ny, nz) bool.
        index: (nx, ny, nz) int32, number of each voxel; −1 outside.
        neighbour: (n_voxels, 6) int32, those at −x, −y, −z, +x, +y, +z; −1 if there is none.
    """

    mask: np.ndarray
    index: np.ndarray
    neighbour: np.ndarray


def lattice(mask: np.ndarray) -> Lattice:
    """Number the voxels of a mask, and find their neighbours."""
    count = int(np.count_nonzero(mask))
    index = np.full(mask.shape, -1, np.int32)
    index[mask] = np.arange(count, dtype=np.int32)
    neighbour = np.full((count, 6), -1, np.int32)
    for axis in range(3):
        low = tuple(slice(0, -1) if a == axis else slice(None) for a in range(3))
        high = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        both = mask[low] & mask[high]
        here, there = index[low][both], index[high][both]
        neighbour[here, axis + 3] = there
        neighbour[there, axis] = here
    return Lattice(mask, index, neighbour)


@dataclass(frozen=True)
class Blocks:
    """Blocks of voxels, as a coarser lattice.

    Attributes:
        lattice: of the blocks with at least one voxel.
        voxels: the lattice that they divide.
        block: (n_voxels,) int32, the block of each voxel.
        start: (n_blocks + 1,) int64, where the voxels of each block lie in `members`.
        members: (n_voxels,) int32, voxels in the order of their blocks.
        size: voxels along each axis of a block.
    """

    lattice: Lattice
    voxels: Lattice
    block: np.ndarray
    start: np.ndarray
    members: np.ndarray
    size: tuple[int, int, int]


def blocks(fine: Lattice, size: tuple[int, int, int]) -> Blocks:
    """Group the voxels of a lattice into blocks of `size` voxels."""
    shape = tuple(-(-n // s) for n, s in zip(fine.mask.shape, size, strict=True))
    places = [p // s for p, s in zip(np.nonzero(fine.mask), size, strict=True)]
    flat = np.ravel_multi_index(tuple(places), shape)
    coarse_mask = np.zeros(shape, bool)
    coarse_mask.reshape(-1)[flat] = True
    coarse = lattice(coarse_mask)
    block = coarse.index.reshape(-1)[flat]
    members = np.argsort(block, kind="stable").astype(np.int32)
    start = np.searchsorted(block[members], np.arange(coarse.neighbour.shape[0] + 1))
    return Blocks(coarse, fine, block, start.astype(np.int64), members, size)
