"""Real-to-complex Fourier transforms, and the padded window of a volume that they run on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import array_api_compat
import numpy as np
import scipy.fft

from qsmbench.grid import Grid
from qsmbench.ops.arrays.array import is_numpy, masked, namespace, to_numpy
from qsmbench.ops.arrays.box import Box, bounding_box
from qsmbench.threads import n_threads

Shape = tuple[int, int, int]


def rfftn(volume: Any) -> Any:
    """Transform a real volume: (nx, ny, nz) → (nx, ny, nz // 2 + 1), in the precision of the input."""
    if is_numpy(volume):
        return scipy.fft.rfftn(volume, workers=n_threads())
    return namespace(volume).fft.rfftn(volume)


def irfftn(spectrum: Any, shape: Shape) -> Any:
    """Return the real volume of `shape` whose Fourier transform is `spectrum`, which is overwritten."""
    if is_numpy(spectrum):
        return scipy.fft.irfftn(spectrum, shape, workers=n_threads(), overwrite_x=True)
    return namespace(spectrum).fft.irfftn(spectrum, s=shape, axes=(0, 1, 2))


def convolve(volume: Any, kernel: Any) -> Any:
    """Convolve a real volume cyclically with the kernel whose half spectrum is `kernel` (real or complex)."""
    spectrum = rfftn(volume)
    spectrum *= kernel
    return irfftn(spectrum, volume.shape)


def hermitian_weights(shape: Shape) -> np.ndarray:
    """Return how often each kz of a half spectrum occurs in the full one: 2, or 1 at zero and at an even Nyquist."""
    weights = np.full(shape[2] // 2 + 1, 2.0, np.float32)
    weights[0] = 1
    if shape[2] % 2 == 0:
        weights[-1] = 1
    return weights


@dataclass(frozen=True)
class Window:
    """A box of a volume, placed in the corner of a zero-padded array whose size suits the FFT.

    To a cyclic convolution, zeros before, after and around the box are the same.

    Attributes:
        full: shape of the volume.
        box: the part of the volume that is used.
        shape: shape of the padded array.
    """

    full: Shape
    box: Box
    shape: Shape

    @classmethod
    def around(cls, mask: Any, grid: Grid, pad: float) -> Window:
        """Take the bounding box of `mask`, with at least `pad` [mm] of zeros between its cyclic copies.

        Args:
            mask: (nx, ny, nz) bool.
            grid: of the mask.
            pad: zeros added along each axis, in all, mm.

        Raises:
            NotApplicable: the mask is empty.
        """
        box = bounding_box(to_numpy(mask))
        nx, ny, nz = (
            scipy.fft.next_fast_len(s.stop - s.start + int(np.ceil(pad / d)), real=True)
            for s, d in zip(box, grid.voxel_size, strict=True)
        )
        return cls(mask.shape, box, (nx, ny, nz))

    @property
    def _corner(self) -> tuple[slice, ...]:
        return tuple(slice(0, s.stop - s.start) for s in self.box)

    def take(self, volume: Any, mask: Any = None) -> Any:
        """Take the box of `volume`, zero-padded to `shape`, as float32; zero where `mask` (of the volume) is false."""
        xp = namespace(volume)
        padded = xp.zeros(self.shape, dtype=xp.float32, device=array_api_compat.device(volume))
        padded[self._corner] = volume[self.box] if mask is None else masked(volume[self.box], mask[self.box])
        return padded

    def take_mask(self, mask: Any) -> Any:
        """Take the box of a mask, padded with False to `shape`, as bool."""
        xp = namespace(mask)
        padded = xp.zeros(self.shape, dtype=xp.bool, device=array_api_compat.device(mask))
        padded[self._corner] = mask[self.box]
        return padded

    def put(self, padded: Any, mask: Any) -> Any:
        """Return the volume with `padded` where `mask` (of the volume) is true, and zero elsewhere."""
        xp = namespace(padded)
        volume = xp.zeros(self.full, dtype=padded.dtype, device=array_api_compat.device(padded))
        if padded.dtype == xp.bool:
            volume[self.box] = padded[self._corner] & mask[self.box]
        else:
            volume[self.box] = masked(padded[self._corner], mask[self.box])
        return volume
