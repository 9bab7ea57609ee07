"""A volume cut into overlapping parts, and the parts joined again."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Patches:
    """Where the parts of a padded volume lie, and how much each counts where they overlap.

    Attributes:
        shape: of the volume.
        padded: shape with zeros around it.
        size: of a part.
        overlap: voxels that neighbours share, at least.
        crop: cut neighbours in the middle of their overlap, instead of going from one to the other.
    """

    shape: Shape
    padded: Shape
    size: Shape
    overlap: int
    crop: bool

    @classmethod
    def of(
        cls, shape: Shape, multiple: Shape | int, size: Shape | None = None, overlap: int = 0, *, crop: bool = False
    ) -> Patches:
        """Divide a volume of `shape` into parts of `size` (None: one part), padded to a `multiple`."""
        steps = (multiple,) * 3 if isinstance(multiple, int) else multiple
        least = shape if size is None else tuple(map(max, shape, size))
        x, y, z = (-(-n // step) * step for n, step in zip(least, steps, strict=True))
        return cls(shape, (x, y, z), size or (x, y, z), overlap, crop)

    def apply(
        self,
        operator: Callable[[list[np.ndarray]], np.ndarray],
        inputs: Sequence[np.ndarray],
        n_outputs: int,
    ) -> np.ndarray:
        """Apply an operator to each part, and join what it gives.

        Args:
            operator: list of (channels, *size) → (n_outputs, *size).
            inputs: (channels, nx, ny, nz) each.
            n_outputs: how many volumes the operator gives.

        Returns:
            (n_outputs, nx, ny, nz) float32.
        """
        around = [((n - m) // 2, n - m - (n - m) // 2) for n, m in zip(self.padded, self.shape, strict=True)]
        padded = [np.pad(volume, [(0, 0), *around]) for volume in inputs]
        total = np.zeros((n_outputs, *self.padded), np.float32)
        weight = np.zeros(self.padded, np.float32)
        for starts in itertools.product(*(self._starts(axis) for axis in range(3))):
            box = tuple(slice(start, start + n) for start, n in zip(starts, self.size, strict=True))
            x, y, z = (self._weights(axis, start) for axis, start in enumerate(starts))
            share = x[:, None, None] * y[:, None] * z
            total[(slice(None), *box)] += share * operator([volume[(slice(None), *box)] for volume in padded])
            weight[box] += share
        total /= weight
        inner = tuple(slice(before, before + n) for (before, _), n in zip(around, self.shape, strict=True))
        return total[(slice(None), *inner)]

    def _starts(self, axis: int) -> list[int]:
        last = self.padded[axis] - self.size[axis]
        return [*range(0, last, self.size[axis] - self.overlap), last]

    def _weights(self, axis: int, start: int) -> np.ndarray:
        """Return the weight of each plane of a part, which falls towards neighbours but not at the volume's edge."""
        n, place = self.size[axis], np.arange(self.size[axis])
        nearest = np.full(n, n)
        if start > 0:
            nearest = np.minimum(nearest, place)
        if start + n < self.padded[axis]:
            nearest = np.minimum(nearest, n - 1 - place)
        if self.crop:
            return (nearest >= self.overlap // 2).astype(np.float32)
        return np.minimum((nearest + 1) / (self.overlap + 1), 1).astype(np.float32)
